//! Whole-program and fixture tests that need no rights.

mod btf;
mod powercap;
