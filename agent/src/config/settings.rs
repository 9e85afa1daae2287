//! What was said about each option, and by whom, before anybody judges it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

/// Who said a value. The order is the order of strength; the defaults are weaker than all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The configuration file.
    File {
        /// As it was asked for.
        path: PathBuf,
        /// From 1, where it is known.
        line: Option<usize>,
    },
    /// An environment variable.
    Variable(&'static str),
    /// A flag of the command line, `--interval`.
    Flag(&'static str),
}

impl Origin {
    /// Of two origins of the same rank neither is the stronger.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::File { .. } => 0,
            Self::Variable(_) => 1,
            Self::Flag(_) => 2,
        }
    }

    pub(super) fn is_variable(&self, name: &str) -> bool {
        matches!(self, Self::Variable(own) if *own == name)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong: where, what, and what to do. Never holds the value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Who said it.
    pub origin: Origin,
    /// One line.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

/// A value as all origins can say it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Whole(u64),
    Switch(bool),
    Text(String),
    Table(BTreeMap<String, String>),
}

impl Value {
    pub(super) fn text(text: &(impl ToString + ?Sized)) -> Self {
        Self::Text(text.to_string())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Everything that was said, by option, weakest first. Overridden values stay: they are judged too, or a
/// mistake in the file would show up on the day a variable goes away.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings(BTreeMap<&'static str, Vec<Setting>>);

impl Settings {
    /// Callers go from weak to strong.
    pub(super) fn set(&mut self, key: &'static str, value: Value, origin: Origin) {
        self.0.entry(key).or_default().push(Setting { value, origin });
    }

    pub(super) fn all(&self, key: &str) -> &[Setting] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    pub(super) fn strongest(&self, key: &str) -> Option<&Setting> {
        self.all(key).last()
    }

    /// The variables that said something, in the order of their names.
    pub(super) fn variables(&self) -> Vec<&'static str> {
        let name = |setting: &Setting| match setting.origin {
            Origin::Variable(name) => Some(name),
            Origin::File { .. } | Origin::Flag(_) => None,
        };
        let mut names: Vec<_> = self.0.values().flatten().filter_map(name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
