//! What the whole-program tests share.

pub mod powercap_tree;
