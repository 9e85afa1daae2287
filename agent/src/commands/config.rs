//! `config`: writes what there is to configure.

use std::io::Write;

use crate::config;

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The commented file with all defaults.
    File,
    /// The reference, in Markdown.
    Reference,
}

/// Writes it.
///
/// # Errors
///
/// Only those of `out`.
pub fn run(form: Form, out: &mut impl Write) -> std::io::Result<()> {
    let text = match form {
        Form::File => config::defaults_file(),
        Form::Reference => config::reference(),
    };
    out.write_all(text.as_bytes())
}
