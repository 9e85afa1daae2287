//! Small files of `/proc` and `/sys` below a root: read whole, errors with their path.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::parse::ParseError;

/// Why a file gave no value.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It could not be read.
    #[error("cannot read {}: {source}; check that the root holds the host's /proc and /sys", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It held something else.
    #[error("{}: {source}; please report this kernel's output", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What was expected.
        source: ParseError,
    },
}

impl FileError {
    /// Whether the file is not there, as opposed to unreadable.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Reads `path` and parses it.
pub(super) fn parse<T>(path: &Path, parser: impl FnOnce(&[u8]) -> Result<T, ParseError>) -> Result<T, FileError> {
    let bytes = fs::read(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    parser(&bytes).map_err(|source| FileError::Malformed { path: path.to_owned(), source })
}
