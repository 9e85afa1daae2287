//! What short flags and places mean to programs that take a secret there. Others give the same flags another meaning.

use super::{MASK, Next, behind};

/// What is to be done with an argument, and with the next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Shown; the next one is this.
    Next(Next),
    /// Shown like this.
    Masked(String),
}

/// Flags whose value is the secret, in the same argument or the next; a name that ends in `*` is a beginning.
const FLAGS: &[(&str, &[&str])] = &[
    ("redis-cli", &["-a"]),
    ("sshpass", &["-p"]),
    ("ldap*", &["-w"]),
    ("mosquitto_*", &["-P"]),
    ("sqlcmd", &["-P"]),
    ("bcp", &["-P"]),
    ("isql", &["-P"]),
    ("tsql", &["-P"]),
    ("ipmitool", &["-P", "-k"]),
    ("zip", &["-P"]),
    ("unzip", &["-P"]),
    ("snmp*", &["-c", "-A", "-X"]),
    ("openssl", &["-k", "-K", "-iv"]),
    ("mongo*", &["-p"]),
    ("cqlsh", &["-p"]),
    ("rdesktop", &["-p"]),
    ("xfreerdp", &["/p:"]),
    ("plink", &["-pw"]),
    ("pscp", &["-pw"]),
    ("login", &["-p", "-t"]),
    ("curl", &["-b"]),
    ("kinit", &["-p"]),
    ("aria2c", &["-p"]),
    ("lftp", &["-p"]),
    ("consul", &["-token"]),
    ("rabbitmqadmin", &["-p"]),
    ("impacket*", &["-hashes"]),
    ("crackmapexec", &["-p"]),
    ("steghide", &["-p"]),
    ("useradd", &["-p"]),
    ("usermod", &["-p"]),
    ("chage", &["-p"]),
];

/// Flags whose value is the secret only in the same argument: alone they ask for it.
const ATTACHED: &[(&str, &[&str])] =
    &[("mysql*", &["-p"]), ("mariadb*", &["-p"]), ("7z*", &["-p"]), ("rar", &["-hp", "-p"]), ("unrar", &["-p"])];

/// Flags with a user, and a secret behind this character.
const USERS: &[(&str, char)] =
    &[("-u", ':'), ("--user", ':'), ("-U", '%'), ("--proxy-user", ':'), ("-A", ':'), ("--basic", ':')];

/// Programs whose second place, and all behind it, is a secret.
const PLACES: &[&str] = &["htpasswd", "wpa_passphrase", "mkpasswd"];

/// Programs whose places are `user/secret@where`.
const ORACLES: &[&str] = &["sqlplus", "expdp", "impdp", "sqlldr", "rman"];

/// Programs that run a script.
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "zsh", "ksh", "su", "runuser", "busybox"];

/// What is known of `arg` from the programs and words before it.
pub(super) fn judge(seen: &[String], arg: &str) -> Option<Taken> {
    let any = |name: &str| seen.iter().any(|seen| is_of(name, seen));
    if arg.starts_with('-') && SHELLS.iter().any(|shell| any(shell)) && is_script_flag(arg) {
        return Some(Taken::Next(Next::Script));
    }
    let flags = FLAGS.iter().filter(|(program, _)| any(program)).flat_map(|(_, flags)| *flags);
    for flag in flags {
        match arg.strip_prefix(flag) {
            Some("") => return Some(Taken::Next(Next::Secret)),
            Some(_) => return Some(Taken::Masked(format!("{flag}{MASK}"))),
            None => {}
        }
    }
    let attached = ATTACHED.iter().filter(|(program, _)| any(program)).flat_map(|(_, flags)| *flags);
    for flag in attached {
        if arg.strip_prefix(flag).is_some_and(|value| !value.is_empty()) {
            return Some(Taken::Masked(format!("{flag}{MASK}")));
        }
    }
    users(seen, arg).or_else(|| places(seen, arg, any))
}

fn is_of(name: &str, seen: &str) -> bool {
    name.strip_suffix('*').map_or(name == seen, |start| seen.starts_with(start))
}

/// `-c`, also among others as in `-lc`.
fn is_script_flag(arg: &str) -> bool {
    arg.len() <= 5 && arg.ends_with('c') && arg.bytes().skip(1).all(|byte| byte.is_ascii_lowercase())
}

/// Programs to which two numbers are a user and a group.
const GROUPS: &[&str] = &["docker", "podman", "nerdctl", "buildah", "kubectl", "chroot", "setpriv"];

pub(super) fn is_group(seen: &[String], arg: &str) -> bool {
    let is_numbers = arg.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    is_numbers && GROUPS.iter().any(|program| seen.iter().any(|seen| seen == program))
}

fn users(seen: &[String], arg: &str) -> Option<Taken> {
    for (flag, mark) in USERS {
        let Some(value) = arg.strip_prefix(flag) else { continue };
        if value.is_empty() {
            return Some(Taken::Next(Next::Behind(*mark)));
        }
        let is_attached = value.starts_with('=') || !flag.starts_with("--");
        if is_attached
            && !is_group(seen, value.trim_start_matches('='))
            && let Some(masked) = behind(value, *mark)
        {
            return Some(Taken::Masked(format!("{flag}{masked}")));
        }
    }
    None
}

fn places(seen: &[String], arg: &str, any: impl Fn(&str) -> bool) -> Option<Taken> {
    if arg.starts_with('-') {
        return None;
    }
    let place = |program: &&&str| seen.iter().position(|seen| is_of(program, seen));
    let behind_it = PLACES.iter().find_map(|program| place(&program)).map(|at| seen.len() - at - 1);
    if behind_it.is_some_and(|words| words >= 1) {
        return Some(Taken::Masked(MASK.to_owned()));
    }
    let is_oracle = ORACLES.iter().any(|program| any(program));
    let (user, rest) = arg.split_once('/').filter(|(user, _)| is_oracle && !user.is_empty())?;
    let host = rest.rsplit_once('@').map(|(_, host)| format!("@{host}")).unwrap_or_default();
    Some(Taken::Masked(format!("{user}/{MASK}{host}")))
}
