//! Whole-program and fixture tests that need no rights.

mod btf;
mod otlp_faults;
mod powercap;
