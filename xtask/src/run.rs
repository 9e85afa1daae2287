//! `cargo xtask run`: builds the release program and shows who uses this machine, again and again.

use std::{
    io::IsTerminal,
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Result, ensure};

use crate::shell::{self, say};

/// The rights the agent uses, by their number in `CapEff`.
const CAPABILITIES: [(u32, &str); 3] = [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (2, "CAP_DAC_READ_SEARCH")];
/// The shortest time between two showings, whatever the program was asked to do.
const PACE: Duration = Duration::from_secs(2);

/// Build wattrace and show who uses this machine, every few seconds, until Ctrl-C
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask run                  asks for the rights through sudo when it can
  cargo xtask run -- --json        the rest goes to `wattrace once`

Without rights wattrace runs with what it may read, and says what is missing.")]
pub struct Args {
    /// Arguments for `wattrace once`; without any, `--interval 5s`, or 10s when not root
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

/// Runs the verb; ends with Ctrl-C, or when the program fails.
pub fn run(args: &Args) -> Result<ExitCode> {
    shell::run(shell::cargo().args(["build", "--release", "-p", "wattrace"]))?;
    let missing = missing_capabilities(&shell::status_field("CapEff:").unwrap_or_default());
    let can_ask = std::io::stdin().is_terminal() && shell::has_program("sudo");
    let rights = rights(missing.is_empty(), can_ask);
    explain(rights, &missing);
    let program = shell::program("release");
    loop {
        let (shown, wall) = shell::timed(|| show(&program, rights, &args.rest));
        shown?;
        shell::pause(PACE.saturating_sub(wall));
    }
}

fn show(program: &Path, rights: Rights, rest: &[String]) -> Result<()> {
    let mut command = once(program, rights, rest);
    let is_terminal = std::io::stdout().is_terminal();
    if !is_terminal {
        return shell::run(&mut command);
    }
    // The figures are there after the interval only: what was shown stays until then.
    let output = shell::output(&mut command)?;
    print!("\x1b[2J\x1b[H{output}");
    ensure!(!output.is_empty(), "`{}` printed nothing", shell::shown(&command));
    Ok(())
}

fn once(program: &Path, rights: Rights, rest: &[String]) -> Command {
    let mut command = match rights {
        Rights::Sudo => shell::command("sudo"),
        Rights::Held | Rights::Missing => shell::command(program),
    };
    if rights == Rights::Sudo {
        command.arg("--").arg(program);
    }
    command.arg("once");
    if rest.is_empty() {
        command.args(["--interval", interval(rights, shell::is_root())])
    } else {
        command.args(rest)
    };
    command
}

/// Short intervals are for root: fine-grained energy readings are a side channel.
const fn interval(rights: Rights, is_root: bool) -> &'static str {
    if is_root || matches!(rights, Rights::Sudo) { "5s" } else { "10s" }
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
    fn short_intervals_are_for_root() {
        assert_eq!(interval(Rights::Held, true), "5s");
        assert_eq!(interval(Rights::Held, false), "10s");
        assert_eq!(interval(Rights::Sudo, false), "5s");
    }

    #[test]
    fn arguments_replace_the_default_interval() {
        let line = |rights, rest: &[String]| shell::shown(&once(Path::new("/x/wattrace"), rights, rest));
        assert_eq!(line(Rights::Sudo, &[]), "sudo -- /x/wattrace once --interval 5s");
        assert_eq!(line(Rights::Sudo, &["--json".to_owned()]), "sudo -- /x/wattrace once --json");
    }
}
