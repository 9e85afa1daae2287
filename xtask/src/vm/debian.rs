//! Debian packages of other releases, downloaded through an apt of its own and unpacked.
//!
//! Nothing is installed, and the machine's own apt is read, for its mirror, and left as it is.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{self, say};

/// Releases whose packages are looked for.
const RELEASES: [&str; 6] = ["bullseye", "bookworm", "bookworm-backports", "trixie", "trixie-backports", "sid"];
/// Those with an archive of security updates.
const SECURED: [&str; 3] = ["bullseye-security", "bookworm-security", "trixie-security"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where this machine gets Debian from.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mirrors {
    main: Option<String>,
    security: Option<String>,
}

/// An apt whose sources, lists and cache lie in a folder.
pub(super) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Fetches the lists of packages.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        for tool in ["apt-get", "apt-cache", "dpkg-deb"] {
            ensure!(
                shell::has_program(tool),
                "kernels for virtual machines are Debian packages, and there is no {tool}"
            );
        }
        ensure!(
            Path::new(KEYRING).is_file(),
            "{KEYRING} is not there: install the Debian package debian-archive-keyring"
        );
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part)).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let apt = Self { folder: folder.to_path_buf() };
        let sources = sources(&mirrors(&configured()))?;
        fs::write(apt.sources(), sources).with_context(|| format!("cannot write {}", apt.sources().display()))?;
        fs::write(apt.settings(), settings(folder, &apt.sources()))
            .with_context(|| format!("cannot write {}", apt.settings().display()))?;
        // A release that has left the mirror must not cost the others: what is missing is said by who asks for it.
        if !shell::succeeds(apt.command("apt-get").args(["-qq", "update"]))? {
            say("vm: some releases cannot be had from this machine's Debian mirror");
        }
        Ok(apt)
    }

    fn sources(&self) -> PathBuf {
        self.folder.join("debian.sources")
    }

    fn settings(&self) -> PathBuf {
        self.folder.join("apt.conf")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = shell::command(program);
        // Read last: it is stronger than what the machine's apt is told.
        command.arg("-c").arg(self.settings());
        command
    }

    /// Names of packages that start so.
    pub(super) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = shell::output(self.command("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// What a package depends on, alternatives included.
    pub(super) fn depends(&self, package: &str) -> Result<Vec<String>> {
        let text = shell::output(self.command("apt-cache").args(["depends", package]))?;
        let names = text.lines().filter_map(|line| line.trim_start_matches([' ', '|']).strip_prefix("Depends: "));
        Ok(names.map(str::to_owned).collect())
    }

    /// Downloads a package and unpacks it.
    pub(super) fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        let folder = self.folder.join("download");
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        shell::run(self.command("apt-get").current_dir(&folder).args(["-qq", "download", package]))?;
        let mut found = fs::read_dir(&folder)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let Some(file) = found.find(|path| path.extension().is_some_and(|extension| extension == "deb")) else {
            bail!("apt-get downloaded no {package}");
        };
        shell::run(shell::command("dpkg-deb").arg("-x").arg(file).arg(into))?;
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
    }
}

/// The configuration of the apt of its own.
fn settings(folder: &Path, sources: &Path) -> String {
    let unread = ["Contents-deb", "DEP-11", "DEP-11-icons-small"];
    let unread =
        unread.map(|index| (format!("Acquire::IndexTargets::deb::{index}::DefaultEnabled"), "false".to_owned()));
    let own = [
        ("Dir::Etc::SourceList", sources.display().to_string()),
        ("Dir::State::Lists", folder.join("lists").display().to_string()),
        ("Dir::Cache", folder.join("cache").display().to_string()),
        ("Dir::Etc::SourceParts", "/dev/null".to_owned()),
        ("Dir::Etc::PreferencesParts", "/dev/null".to_owned()),
        ("Acquire::Languages", "none".to_owned()),
        // The user that apt downloads as may not write here.
        ("APT::Sandbox::User", "root".to_owned()),
    ];
    let all = own.map(|(key, value)| (key.to_owned(), value)).into_iter().chain(unread);
    all.map(|(key, value)| format!("{key} \"{value}\";\n")).collect::<Vec<_>>().concat()
}

/// What apt is configured with, file by file; those that cannot be read say nothing.
fn configured() -> Vec<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(parts) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut parts: Vec<PathBuf> = parts.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        parts.sort();
        files.extend(parts.into_iter().filter(|path| path.extension().is_some_and(|e| e == "list" || e == "sources")));
    }
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect()
}

/// The first mirror of Debian, and of its security updates, in both of apt's formats.
fn mirrors(files: &[String]) -> Mirrors {
    let mut mirrors = Mirrors::default();
    for (uri, suites, components) in files.iter().flat_map(|text| one_line(text).into_iter().chain(stanzas(text))) {
        let is_security = suites.iter().any(|suite| suite.ends_with("-security") || suite.ends_with("/updates"));
        let folder = uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        let has_main = components.iter().any(|component| component == "main");
        match folder.as_str() {
            "debian-security" if has_main => mirrors.security.get_or_insert(uri),
            // Some mirrors have both in one place.
            "debian" if has_main && is_security => mirrors.security.get_or_insert(uri),
            "debian" if has_main => mirrors.main.get_or_insert(uri),
            _ => continue,
        };
    }
    mirrors
}

type Source = (String, Vec<String>, Vec<String>);

/// `deb [options] URI SUITE COMPONENT…`
fn one_line(text: &str) -> Vec<Source> {
    let source = |line: &str| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let rest = if rest.starts_with('[') { rest.split_once(']')?.1 } else { rest };
        let mut words = rest.split_whitespace().map(str::to_owned);
        Some((words.next()?, vec![words.next()?], words.collect()))
    };
    text.lines().filter_map(source).collect()
}

/// Paragraphs of `Key: words`.
fn stanzas(text: &str) -> Vec<Source> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    let source = |stanza: &[&str]| {
        let words = |key: &str| -> Vec<String> {
            let value = stanza.iter().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            value.split_whitespace().map(str::to_owned).collect()
        };
        let is_off = words("Enabled:").iter().any(|word| word == "no");
        let uri = words("URIs:").into_iter().next().filter(|_| !is_off)?;
        Some((uri, words("Suites:"), words("Components:")))
    };
    lines.split(|line| line.is_empty()).filter_map(source).collect()
}

/// The sources file of the apt of its own.
fn sources(mirrors: &Mirrors) -> Result<String> {
    let main = mirrors.main.as_ref().context(
        "no Debian mirror in /etc/apt: kernels for virtual machines are Debian packages; add a source of Debian, main",
    )?;
    let mut text = String::new();
    let main = RELEASES.iter().map(|suite| (main, suite));
    for (uri, suite) in
        main.chain(mirrors.security.iter().flat_map(|uri| SECURED.iter().map(move |suite| (uri, suite))))
    {
        write!(text, "Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n")?;
        // An archived release is signed for ever, and says that it has expired.
        writeln!(text, "Check-Valid-Until: no\n")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_found_in_both_formats() {
        let deb822 = "Types: deb\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n\
            Components: main\n\nTypes: deb\nURIs: http://mirror.example/debian-security/\nSuites: bookworm-security\n\
            Components: main\n";
        let lines = "# deb http://old.example/debian bookworm main\ndeb [signed-by=/x y] http://mirror.example/debian trixie main\n\
            deb http://mirror.example/debian-security trixie-security main contrib\n";
        for text in [deb822, lines] {
            let found = mirrors(&[text.to_owned()]);
            assert_eq!(found.main.unwrap(), "http://mirror.example/debian");
            assert!(found.security.unwrap().starts_with("http://mirror.example/debian-security"));
        }
    }

    #[test]
    fn other_archives_are_no_mirrors() {
        let others = "deb http://mirror.example/ubuntu noble main\ndeb http://tool.example/linux/debian bookworm stable\n\
            deb http://tool.example/node nodistro main\n";
        let off = "Enabled: no\nURIs: http://mirror.example/debian\nSuites: sid\nComponents: main\n";
        assert_eq!(mirrors(&[others.to_owned(), off.to_owned()]), Mirrors::default());
        assert!(sources(&Mirrors::default()).unwrap_err().to_string().contains("no Debian mirror"));
    }

    #[test]
    fn every_release_is_asked_of_its_mirror() {
        let text =
            sources(&Mirrors { main: Some("http://a/debian".into()), security: Some("http://b/s".into()) }).unwrap();
        assert_eq!(text.matches("URIs: http://a/debian\n").count(), RELEASES.len());
        assert_eq!(text.matches("URIs: http://b/s\n").count(), SECURED.len());
    }
}
