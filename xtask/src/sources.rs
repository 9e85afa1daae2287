//! One hash over the sources of the kernel object, so that a stale object is found without a toolchain.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

/// The crates the object is built from.
const CRATES: [&str; 2] = ["agent-common", "agent-ebpf"];
/// Folders that hold results, not sources.
const SKIPPED: [&str; 2] = ["target", "prebuilt"];

/// Where the hash is kept, below the workspace.
pub const RECORD: &str = "agent-ebpf/prebuilt/SOURCES.sha256";

/// SHA-256, in hexadecimal, over name, length and content of every source file, sorted by name.
pub fn sources_hash(root: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for (name, path) in source_files(root)? {
        let content = fs::read(&path).with_context(|| format!("cannot read {name}"))?;
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(content.len().to_le_bytes());
        hash.update(&content);
    }
    Ok(hexadecimal(&hash.finalize()))
}

/// The hash kept beside the object; the lines that start with `#` are for people.
pub fn recorded_hash(record: &str) -> Option<&str> {
    record
        .lines()
        .find(|line| !line.starts_with('#') && !line.is_empty())
        .and_then(|line| line.split_whitespace().next())
}

/// Whether the object beside the record was built from the sources as they are; without the crate there
/// is nothing to compare.
pub fn check_fresh(root: &Path) -> Result<()> {
    if !root.join("agent-ebpf").is_dir() {
        return Ok(());
    }
    let Ok(record) = fs::read_to_string(root.join(RECORD)) else {
        bail!("{RECORD} is missing: run `cargo xtask ebpf` and commit agent-ebpf/prebuilt");
    };
    let is = sources_hash(root)?;
    ensure!(
        recorded_hash(&record) == Some(is.as_str()),
        "agent-ebpf/prebuilt was built from other sources than these: run `cargo xtask ebpf` and commit agent-ebpf/prebuilt"
    );
    Ok(())
}

/// Names relative to the workspace with `/` between parts, and where the files are; sorted by name.
fn source_files(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for name in CRATES {
        collect(&root.join(name), name, &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<(String, PathBuf)>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {prefix}"))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let relative = format!("{prefix}/{name}");
        if entry.file_type()?.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                collect(&entry.path(), &relative, found)?;
            }
        } else if is_source(&relative) {
            found.push((relative, entry.path()));
        }
    }
    Ok(())
}

fn is_source(relative: &str) -> bool {
    let name = relative.rsplit('/').next().unwrap_or(relative);
    let is_rust = Path::new(name).extension().is_some_and(|extension| extension == "rs");
    is_rust || matches!(name, "Cargo.toml" | "Cargo.lock") || relative.ends_with(".cargo/config.toml")
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str) -> PathBuf {
        let root = crate::shell::root().join("target/xtask-tests").join(name);
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        for (file, text) in [
            ("agent-common/src/lib.rs", "a"),
            ("agent-common/Cargo.toml", "b"),
            ("agent-ebpf/src/main.rs", "c"),
            ("agent-ebpf/Cargo.lock", "d"),
            ("agent-ebpf/.cargo/config.toml", "e"),
            ("agent-ebpf/README.md", "f"),
            ("agent-ebpf/target/x.rs", "g"),
        ] {
            write(&root, file, text);
        }
        root
    }

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn what_is_compiled_counts_and_nothing_else() {
        let names: Vec<String> = source_files(&sample("names")).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "agent-common/Cargo.toml",
                "agent-common/src/lib.rs",
                "agent-ebpf/.cargo/config.toml",
                "agent-ebpf/Cargo.lock",
                "agent-ebpf/src/main.rs",
            ]
        );
    }

    #[test]
    fn the_hash_follows_the_sources_and_not_the_place() {
        let (here, there) = (sample("here"), sample("there"));
        let before = sources_hash(&here).unwrap();
        assert_eq!(before, sources_hash(&there).unwrap());
        write(&here, "agent-ebpf/README.md", "other");
        assert_eq!(before, sources_hash(&here).unwrap());
        write(&here, "agent-common/src/lib.rs", "other");
        assert_ne!(before, sources_hash(&here).unwrap());
    }

    #[test]
    fn a_stale_object_is_found() {
        let root = sample("stale");
        assert!(check_fresh(&root).is_err(), "no record");
        write(&root, RECORD, &format!("# by hand\n{}  sources\n", sources_hash(&root).unwrap()));
        check_fresh(&root).unwrap();
        write(&root, "agent-ebpf/src/main.rs", "other");
        assert!(check_fresh(&root).is_err(), "changed sources");
    }
}
