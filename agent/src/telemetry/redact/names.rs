//! Which names are those of secrets.

/// How sure a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strength {
    /// Its value is a secret.
    Strong,
    /// Its value is a secret, or the path of one.
    Weak,
}

/// Parts of names.
const STRONG: [&str; 19] = [
    "pass",
    "secret",
    "token",
    "credential",
    "creds",
    "cookie",
    "bearer",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "authkey",
    "sharedkey",
    "signature",
    "authorization",
    "connectionstring",
    "fromliteral",
    "passwort",
    "webhook",
];
/// Whole words of names.
const STRONG_WORDS: [&str; 14] =
    ["psk", "pw", "jwt", "otp", "totp", "pin", "sig", "sas", "sid", "dsn", "pat", "hmac", "salt", "authtoken"];
/// Parts of names that may belong to paths, too.
const WEAK: [&str; 6] = ["session", "private", "oauth", "authn", "pwd", "license"];
const WEAK_WORDS: [&str; 5] = ["key", "keys", "auth", "api", "connstr"];
/// Words that only look like it.
const HARMLESS: [&str; 9] =
    ["passive", "compass", "bypass", "passthrough", "passes", "tokenizer", "tokenize", "privateers", "passed"];
/// Last words of names whose value says where a secret is, or something about it.
const ABOUT: [&str; 20] = [
    "file",
    "fd",
    "path",
    "dir",
    "stdin",
    "type",
    "length",
    "len",
    "size",
    "count",
    "timeout",
    "ttl",
    "algorithm",
    "alg",
    "format",
    "name",
    "names",
    "prompt",
    "policy",
    "lifetime",
];

/// Whether what has this name is a secret.
pub(super) fn strength(name: &str) -> Option<Strength> {
    let words = words(name);
    if words.last().is_some_and(|last| ABOUT.contains(&last.as_str())) {
        return None;
    }
    let telling: Vec<&str> = words.iter().map(String::as_str).filter(|word| !HARMLESS.contains(word)).collect();
    let joined = telling.concat();
    let has = |words: &[&str]| telling.iter().any(|word| words.contains(word));
    if STRONG.iter().any(|part| joined.contains(part)) || has(&STRONG_WORDS) {
        return Some(Strength::Strong);
    }
    let is_weak = WEAK.iter().any(|part| joined.contains(part)) || has(&WEAK_WORDS) || joined.ends_with("key");
    is_weak.then_some(Strength::Weak)
}

/// Words of a name, in lower case: between signs, and where capitals begin.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (was_lower && c.is_uppercase()) {
            words.push(String::new());
        }
        was_lower = c.is_lowercase();
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Names of schemes that stand before what they are a scheme of.
const SCHEMES: [&str; 3] = ["bearer", "basic", "<<<"];
/// Names that stand before their value without any sign.
const BARE: [&str; 8] = ["password", "passwd", "passphrase", "pass", "psk", "token", "apikey", "pwd"];

/// What an argument says of the next one: a flag without a value, a name that ends in its sign, a bare name. `is_first`: no
/// program was named yet.
pub(super) fn announces(arg: &str, is_first: bool) -> Option<Strength> {
    let lower = arg.to_ascii_lowercase();
    if SCHEMES.contains(&lower.as_str()) {
        return Some(Strength::Strong);
    }
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
    if let Some(flag) = arg.strip_prefix('-') {
        let is_long = flag.len() > 2;
        return if is_long && is_name(flag) { strength(flag) } else { open(arg) };
    }
    // The first is a program's.
    if !is_first && (BARE.contains(&lower.as_str()) || (is_name(arg) && arg.contains('_') && !arg.contains('.'))) {
        return strength(arg);
    }
    open(arg)
}

/// A name whose sign stands at the end: `password:`, `"token":`, `SECRET=`.
fn open(arg: &str) -> Option<Strength> {
    let name = arg.strip_suffix([':', '='])?.trim_end_matches(['"', '\'', '\\']);
    let name = name.rsplit(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))).next()?;
    strength(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_strength() {
        for name in [
            "password",
            "--db-password",
            "PGPASSWORD",
            "keyStorePassword",
            "X-Api-Token",
            "pw",
            "sessionToken",
            "my.secret",
        ] {
            assert_eq!(strength(name), Some(Strength::Strong), "{name}");
        }
        for name in ["key", "ssh-key", "X-Auth", "PWD", "session_id", "encryptionkey"] {
            assert_eq!(strength(name), Some(Strength::Weak), "{name}");
        }
        for name in ["", "user", "keyboard", "passive", "token-file", "key-length", "author", "tokenizer", "compass"] {
            assert_eq!(strength(name), None, "{name}");
        }
    }

    #[test]
    fn a_value_that_is_to_come_is_announced() {
        for arg in
            ["--password", "-passin", "password:", "{\"token\":", "SECRET=", "aws_secret_access_key", "Bearer", "token"]
        {
            assert!(announces(arg, false).is_some(), "{arg}");
        }
        for arg in ["-p", "--verbose", "secret", "get", "--password=x", "a:", "ls"] {
            assert_eq!(announces(arg, false), None, "{arg}");
        }
    }
}
