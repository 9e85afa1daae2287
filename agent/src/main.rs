//! The program: a table of contents.
fn main() {}
