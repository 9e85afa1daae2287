//! Who is compared: the levels of the agent's programs, other builds of it, and the tools of bcc.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use super::Args;
use crate::{bench::attached, shell};

/// One of those that can be named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Named {
    /// The agent's programs: on-CPU time alone
    Lean,
    /// The agent's programs: run-queue wait, its histogram and what threads wait for, too
    Full,
    /// bcc's histogram of on-CPU time
    Cpudist,
    /// The same of off-CPU time
    #[value(name = "cpudist-O")]
    CpudistOff,
    /// bcc's histogram of run-queue wait
    Runqlat,
    /// bcc's off-CPU time by stack
    Offcputime,
}

/// One of those that are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    /// The load alone.
    Nothing,
    /// A program that does nothing, on the same tracepoint.
    Empty,
    /// One with a name.
    Named(Named),
    /// Another build of the agent.
    Agent(PathBuf),
}

impl Named {
    /// As one types it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Lean => "lean",
            Self::Full => "full",
            Self::Cpudist => "cpudist",
            Self::CpudistOff => "cpudist -O",
            Self::Runqlat => "runqlat",
            Self::Offcputime => "offcputime",
        }
    }

    /// Whether it is the agent's own.
    pub(super) fn is_level(self) -> bool {
        matches!(self, Self::Lean | Self::Full)
    }

    fn program(self) -> &'static str {
        self.title().split(' ').next().unwrap_or_default()
    }
}

impl Contender {
    /// For a table.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::Empty => "an empty program".to_owned(),
            Self::Named(named) => named.title().to_owned(),
            Self::Agent(path) => path.display().to_string(),
        }
    }

    /// Whether it is a tool of others.
    pub(super) fn is_tool(&self) -> bool {
        matches!(self, Self::Named(named) if !named.is_level())
    }

    /// The process that attaches its programs, where that is not this one.
    pub(super) fn command(&self) -> Option<std::process::Command> {
        let mut command = match self {
            Self::Nothing | Self::Empty => return None,
            Self::Named(named) if !named.is_level() => shell::command(shell::find_program(named.program())?),
            Self::Named(level) => return Some(holder(*level)),
            Self::Agent(path) => shell::command(path),
        };
        match self {
            Self::Agent(_) => command.args(["once", "--interval", "1day"]),
            Self::Named(Named::CpudistOff) => command.arg("-O"),
            _ => &mut command,
        };
        Some(command)
    }
}

/// Holds the programs of a level, as the agent loads them.
fn holder(level: Named) -> std::process::Command {
    let mut command = shell::command(shell::built("release", "attach"));
    command.arg(level.title());
    command
}

/// All that can be compared here, in the order of the tables. The first is the load alone, the second the empty program.
pub(super) fn list(args: &Args) -> Result<Vec<Contender>> {
    let mut list = vec![Contender::Nothing, Contender::Empty];
    for named in Named::value_variants() {
        if args.only.is_empty() || args.only.contains(named) {
            list.extend(found(*named, !args.only.is_empty())?);
        }
    }
    for given in &args.against {
        let path = std::path::absolute(given).context("--against is no path")?;
        ensure!(path.is_file(), "--against: there is no program {}", path.display());
        list.push(Contender::Agent(path));
    }
    Ok(list)
}

/// `None` for a tool that is not installed, unless it was asked for.
fn found(named: Named, is_asked_for: bool) -> Result<Option<Contender>> {
    if named.is_level() || shell::has_program(named.program()) {
        return Ok(Some(Contender::Named(named)));
    }
    let missing = attached::missing(named.program());
    if is_asked_for {
        bail!("{missing}");
    }
    shell::progress(format_args!("bench: {missing}; it is left out"));
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_called_by_its_name_with_its_options() {
        assert_eq!(Named::CpudistOff.program(), "cpudist");
        assert_eq!(Contender::Named(Named::CpudistOff).title(), "cpudist -O");
        let against = Contender::Agent("old/wattrace".into());
        assert_eq!(shell::shown(&against.command().unwrap()), "wattrace once --interval 1day");
        assert!(Contender::Empty.command().is_none());
    }
}
