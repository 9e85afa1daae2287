//! Whole-program and fixture tests that need no rights.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod btf;
mod config;
mod diagnostics;
mod disks;
mod doctor;
mod events;
mod faults;
mod files;
mod idle;
mod meters;
mod once;
mod otlp_faults;
mod powercap;
mod processes;
mod robust;
mod table;
