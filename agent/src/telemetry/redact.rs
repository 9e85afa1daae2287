//! Arguments of programs without what looks like a secret. Pure.
//!
//! Masks by name (`--password X`, `TOKEN=x`, headers, JSON, queries), by program (`mysql -pX`), and by shape (keys of
//! known services, what looks random). It rather masks too much: what it lets pass leaves the machine. A secret that no
//! name goes before, and that looks like a word, cannot be told from one.

mod names;
mod shapes;
mod text;
mod tools;
mod words;

use names::Strength;
use tools::Taken;

/// Stands for what was masked.
pub const MASK: &str = "[redacted]";

/// Texts within texts that are looked into: a shell that starts a shell.
const DEPTH: u8 = 3;

/// Arguments as the kernel has them, a NUL after each, without their secrets. `is_cut`: there were more.
pub fn redacted(args: &[u8], is_cut: bool) -> Vec<String> {
    let (whole, rest) = match args.iter().rposition(|byte| *byte == 0) {
        Some(last) => (args.get(..last), args.get(last + 1..).unwrap_or_default()),
        None => (None, args),
    };
    let whole = whole.into_iter().flat_map(|whole| whole.split(|byte| *byte == 0));
    let whole: Vec<_> = whole.map(String::from_utf8_lossy).collect();
    let mut line = Line::new(DEPTH);
    let mut told: Vec<String> = whole.iter().map(|arg| line.arg(arg)).collect();
    if !rest.is_empty() {
        let rest = String::from_utf8_lossy(rest);
        // The part of it that would have told is missing.
        let is_told = !is_cut || is_harmless(&rest);
        told.push(if is_told { line.arg(&rest) } else { MASK.to_owned() });
    }
    told
}

/// Whether the beginning of an argument can be no part of a secret: of a path, or of a flag, in plain words.
fn is_harmless(cut: &str) -> bool {
    let is_plain = cut.bytes().all(|byte| byte.is_ascii_lowercase() || b"/-._".contains(&byte));
    is_plain && (cut.starts_with('/') || cut.starts_with("--"))
}

/// What the arguments before say of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Nothing.
    Plain,
    /// It is a secret.
    Secret,
    /// It is one, unless it is a path.
    MaybePath,
    /// A user, and a secret behind this character.
    Behind(char),
    /// It is a script.
    Script,
}

impl From<Strength> for Next {
    fn from(strength: Strength) -> Self {
        match strength {
            Strength::Strong => Self::Secret,
            Strength::Weak => Self::MaybePath,
        }
    }
}

/// A command line that is being read, or a part of a script.
struct Line {
    next: Next,
    /// Names of programs and words so far.
    seen: Vec<String>,
    depth: u8,
}

impl Line {
    fn new(depth: u8) -> Self {
        Self { next: Next::Plain, seen: Vec::new(), depth }
    }

    fn arg(&mut self, arg: &str) -> String {
        match std::mem::replace(&mut self.next, Next::Plain) {
            Next::Secret if !arg.is_empty() => return MASK.to_owned(),
            Next::MaybePath if !arg.is_empty() && !text::is_path(arg) => return MASK.to_owned(),
            Next::Behind(_) if tools::is_group(&self.seen, arg) => return arg.to_owned(),
            Next::Behind(mark) => return behind(arg, mark).unwrap_or_else(|| self.text(arg)),
            Next::Script => return words::script(arg, self.depth),
            _ => {}
        }
        match tools::judge(&self.seen, arg) {
            Some(Taken::Next(next)) => {
                self.next = next;
                return arg.to_owned();
            }
            Some(Taken::Masked(masked)) => return masked,
            None => {}
        }
        self.note(arg);
        self.text(arg)
    }

    /// Remembers what follows from an argument for the next ones.
    fn note(&mut self, arg: &str) {
        if let Some(strength) = names::announces(arg, self.seen.is_empty()) {
            self.next = strength.into();
        }
        if !arg.starts_with('-') {
            let base = arg.rsplit('/').next().unwrap_or(arg);
            self.seen.push(base.to_ascii_lowercase());
        }
    }

    fn text(&self, arg: &str) -> String {
        let masked = text::mask(arg);
        let is_line = masked.contains(|c: char| c.is_whitespace());
        if is_line && self.depth > 0 { words::script(&masked, self.depth - 1) } else { masked }
    }
}

/// Masks what stands behind the first `mark`; `None`: there is none.
fn behind(arg: &str, mark: char) -> Option<String> {
    let (user, secret) = arg.split_once(mark)?;
    Some(if secret.is_empty() { arg.to_owned() } else { format!("{user}{mark}{MASK}") })
}

#[cfg(test)]
mod tests;
