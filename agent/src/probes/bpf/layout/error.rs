//! Why a layout did not resolve, and why there is nothing to resolve from.

use std::path::PathBuf;

use super::super::btf::{BtfError, LookupError};

/// What did not resolve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutCause {
    /// A struct, member or tracepoint is not there.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The member has another size than the program reads.
    #[error("{name}.{path} of this kernel has {found} bytes instead of {expected}")]
    Size {
        /// Name of the struct.
        name: &'static str,
        /// Path of the member.
        path: &'static str,
        /// Bytes the program reads.
        expected: u32,
        /// Bytes the member has.
        found: u32,
    },
    /// The member is no pointer to the struct that the program follows it to.
    #[error("{name}.{path} of this kernel does not point to a {expected} but {}", target(found.as_deref()))]
    Pointee {
        /// Name of the struct.
        name: &'static str,
        /// Path of the member.
        path: &'static str,
        /// Struct the program expects.
        expected: &'static str,
        /// Struct it points to, if it is a pointer to one.
        found: Option<String>,
    },
    /// The tracepoint passes other arguments than the program takes.
    #[error("tracepoint {name} of this kernel does not pass {expected}")]
    Arguments {
        /// Name of the tracepoint.
        name: &'static str,
        /// What the program takes.
        expected: &'static str,
    },
}

/// Why there is no BTF to resolve from.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No such file.
    #[error("{} does not exist: the kernel probes need a kernel built with CONFIG_DEBUG_INFO_BTF", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The file is not BTF that can be read.
    #[error("{}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: BtfError,
    },
}

fn target(found: Option<&str>) -> String {
    found.map_or_else(|| "to no named struct".to_owned(), |name| format!("to a {name}"))
}
