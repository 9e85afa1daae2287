//! One file per subcommand. Each takes what it needs as arguments and writes where it is told to.

pub mod doctor;
pub mod identify;
pub mod once;
