//! `cargo xtask run`: builds the release program and starts the daemon, with a table of who uses this machine.

use std::{
    ffi::OsString,
    io::IsTerminal,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Result;

use crate::shell::{self, say};

/// The rights the agent uses, by their number in `CapEff`.
const CAPABILITIES: [(u32, &str); 3] = [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (2, "CAP_DAC_READ_SEARCH")];
/// Where the daemon serves its page.
const PAGE: &str = "127.0.0.1:9109";

/// Build wattrace and start the daemon: a table of who uses this machine every few seconds, until Ctrl-C
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask run                                     asks for the rights through sudo when it can
  cargo xtask run -- --endpoint http://localhost:4318 the rest goes to `wattrace run`

Without rights wattrace runs with what it may read, and says what is missing.")]
pub struct Args {
    /// Arguments for `wattrace run`; without any, `--interval 5s --top --listen 127.0.0.1:9109` (10s when not root)
    #[arg(last = true)]
    pub rest: Vec<String>,
}

/// How the program gets the rights it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rights {
    /// They are here.
    Held,
    /// A person is there to give them.
    Sudo,
    /// They are not.
    Missing,
}

/// Runs the verb: this process becomes the daemon, so that signals and the exit code are the daemon's own.
pub fn run(args: &Args) -> Result<ExitCode> {
    shell::run(shell::cargo().args(["build", "--release", "-p", "wattrace"]))?;
    let missing = missing_capabilities(&shell::status_field("CapEff:").unwrap_or_default());
    let can_ask = std::io::stdin().is_terminal() && shell::has_program("sudo");
    let rights = rights(missing.is_empty(), can_ask);
    explain(rights, &missing);
    let is_root = shell::is_root() || rights == Rights::Sudo;
    let variable = |name: &str| std::env::var_os(name);
    let state = state_dir(is_root, variable("XDG_STATE_HOME"), variable("HOME"));
    if args.rest.is_empty() {
        say(format_args!("a table every {}; all figures: http://{PAGE}/metrics; Ctrl-C ends it", interval(is_root)));
    }
    shell::replace(&mut daemon(&shell::program("release"), rights, is_root, state.as_deref(), &args.rest))
}

fn daemon(program: &Path, rights: Rights, is_root: bool, state: Option<&Path>, rest: &[String]) -> Command {
    let mut command = match rights {
        Rights::Sudo => shell::command("sudo"),
        Rights::Held | Rights::Missing => shell::command(program),
    };
    if rights == Rights::Sudo {
        command.arg("--").arg(program);
    }
    command.arg("run");
    if rest.is_empty() {
        command.args(["--interval", interval(is_root), "--top", "--listen", PAGE]);
    }
    if let Some(state) = state.filter(|_| !rest.iter().any(|arg| arg.starts_with("--state-dir"))) {
        command.arg("--state-dir").arg(state);
    }
    command.args(rest);
    command
}

/// Short intervals are for root: fine-grained energy readings are a side channel.
const fn interval(is_root: bool) -> &'static str {
    if is_root { "5s" } else { "10s" }
}

/// Where totals are kept; `None`: where root's daemon keeps them.
fn state_dir(is_root: bool, state_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |text: OsString| Some(PathBuf::from(text)).filter(|path| path.is_absolute());
    let of_user = || {
        let base = state_home.and_then(absolute).or_else(|| Some(home.and_then(absolute)?.join(".local/state")));
        base.unwrap_or_else(|| shell::root().join("target")).join("wattrace")
    };
    (!is_root).then(of_user)
}

const fn rights(are_held: bool, can_ask: bool) -> Rights {
    match (are_held, can_ask) {
        (true, _) => Rights::Held,
        (false, true) => Rights::Sudo,
        (false, false) => Rights::Missing,
    }
}

fn explain(rights: Rights, missing: &[&str]) {
    let list = missing.join(", ");
    match rights {
        Rights::Held => {}
        Rights::Sudo => say(format_args!(
            "this user lacks {list}: they load the kernel programs and read the meters; sudo may ask for your password"
        )),
        Rights::Missing => say(format_args!(
            "this user lacks {list}: without them there are no kernel programs and no meters; run as root to have them"
        )),
    }
}

/// Names of the rights that are not in `effective`, the hexadecimal mask of `/proc/self/status`.
fn missing_capabilities(effective: &str) -> Vec<&'static str> {
    let mask = u64::from_str_radix(effective, 16).unwrap_or(0);
    CAPABILITIES.into_iter().filter(|(bit, _)| mask >> bit & 1 == 0).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_rights_are_named() {
        assert_eq!(missing_capabilities("000001ffffffffff"), [""; 0]);
        assert_eq!(missing_capabilities("000000c000000000"), ["CAP_DAC_READ_SEARCH"]);
        assert_eq!(missing_capabilities("no mask").len(), 3);
    }

    #[test]
    fn sudo_is_asked_only_when_someone_is_there_to_answer() {
        assert_eq!(rights(true, true), Rights::Held);
        assert_eq!(rights(false, true), Rights::Sudo);
        assert_eq!(rights(false, false), Rights::Missing);
    }

    #[test]
    fn arguments_replace_the_defaults_but_not_where_totals_are_kept() {
        let line = |rights, is_root: bool, rest: &[&str]| {
            let rest: Vec<String> = rest.iter().map(|arg| (*arg).to_owned()).collect();
            let state = (!is_root).then(|| Path::new("/s"));
            shell::shown(&daemon(Path::new("/x/wattrace"), rights, is_root, state, &rest))
        };
        let page = "--top --listen 127.0.0.1:9109";
        assert_eq!(line(Rights::Sudo, true, &[]), format!("sudo -- /x/wattrace run --interval 5s {page}"));
        assert_eq!(line(Rights::Held, true, &["--top"]), "wattrace run --top");
        assert_eq!(line(Rights::Missing, false, &[]), format!("wattrace run --interval 10s {page} --state-dir /s"));
        assert_eq!(line(Rights::Missing, false, &["--top"]), "wattrace run --state-dir /s --top");
        assert_eq!(line(Rights::Missing, false, &["--state-dir=/t"]), "wattrace run --state-dir=/t");
    }

    #[test]
    fn totals_are_kept_where_the_user_may_write() {
        let text = |text: &str| Some(OsString::from(text));
        for (is_root, state_home, home, expected) in [
            (true, text("/st"), text("/u"), None),
            (false, text("/st"), text("/u"), Some(PathBuf::from("/st/wattrace"))),
            (false, text("relative"), text("/u"), Some(PathBuf::from("/u/.local/state/wattrace"))),
            (false, None, text("/u"), Some(PathBuf::from("/u/.local/state/wattrace"))),
            (false, None, None, Some(shell::root().join("target/wattrace"))),
        ] {
            assert_eq!(state_dir(is_root, state_home, home), expected);
        }
    }
}
