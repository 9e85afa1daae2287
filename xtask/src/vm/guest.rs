//! What a guest starts with: its files, packed as the kernel unpacks them (a `newc` archive in memory).

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::shell;

/// Modes with their kind, as in `st_mode`.
const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;
const CONSOLE: u32 = 0o020_600;

/// Content of a file of the guest.
enum Content {
    Here(Vec<u8>),
    /// A file of this machine.
    From(PathBuf),
}

/// The files of a guest.
#[derive(Default)]
pub struct Files(BTreeMap<PathBuf, (u32, Content)>);

impl Files {
    /// A folder, with those above it.
    pub fn folder(&mut self, path: &Path) {
        for folder in path.ancestors().filter(|folder| folder.parent().is_some()) {
            self.0.entry(folder.to_path_buf()).or_insert_with(|| (FOLDER, Content::Here(Vec::new())));
        }
    }

    /// A file made here.
    pub fn text(&mut self, path: &Path, text: &str) {
        self.insert(path, FILE, Content::Here(text.into()));
    }

    /// A script made here.
    pub fn script(&mut self, path: &Path, text: &str) {
        self.insert(path, PROGRAM, Content::Here(text.into()));
    }

    /// A file of this machine, at another place.
    pub fn copy(&mut self, from: &Path, to: &Path) -> Result<()> {
        let mode = fs::metadata(from).with_context(|| format!("cannot read {}", from.display()))?.permissions().mode();
        let mode = if mode & 0o111 == 0 { FILE } else { PROGRAM };
        self.insert(to, mode, Content::From(from.to_path_buf()));
        Ok(())
    }

    /// A folder of this machine with all below it, at the same place.
    pub fn tree(&mut self, folder: &Path) -> Result<()> {
        self.folder(folder);
        for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() { self.tree(&path)? } else { self.copy(&path, &path)? }
        }
        Ok(())
    }

    /// A program of this machine with the shared libraries it needs, all at the same places.
    pub fn program(&mut self, program: &Path) -> Result<()> {
        self.copy(program, program)?;
        // A static program has none, and `ldd` then fails.
        let libraries = shell::output(shell::command("ldd").arg(program)).unwrap_or_default();
        for library in libraries.lines().filter_map(library) {
            self.copy(library, library)?;
        }
        Ok(())
    }

    /// A program that a guest could do with, if it is in `PATH` here; tests say themselves when it is not.
    pub fn tool(&mut self, name: &str) -> Result<()> {
        shell::find_program(name).map_or(Ok(()), |path| self.program(&path))
    }

    fn insert(&mut self, path: &Path, mode: u32, content: Content) {
        if let Some(folder) = path.parent() {
            self.folder(folder);
        }
        self.0.insert(path.to_path_buf(), (mode, content));
    }

    /// Writes the archive.
    pub fn pack(&self, archive: &Path) -> Result<()> {
        let file = File::create(archive).with_context(|| format!("cannot write {}", archive.display()))?;
        let mut out = BufWriter::new(file);
        // What the kernel gives its first program as standard output, before there is any device.
        entry(&mut out, "dev", FOLDER, (0, 0), &[])?;
        entry(&mut out, "dev/console", CONSOLE, (5, 1), &[])?;
        for (path, (mode, content)) in &self.0 {
            let name = path.strip_prefix("/").unwrap_or(path).to_str();
            let name = name.with_context(|| format!("{} is no UTF-8", path.display()))?;
            match content {
                Content::Here(bytes) => entry(&mut out, name, *mode, (0, 0), bytes)?,
                Content::From(from) => {
                    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
                    entry(&mut out, name, *mode, (0, 0), &bytes)?;
                }
            }
        }
        entry(&mut out, "TRAILER!!!", 0, (0, 0), &[])?;
        out.flush().with_context(|| format!("cannot write {}", archive.display()))
    }
}

/// One member. Format: the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`.
fn entry(out: &mut impl Write, name: &str, mode: u32, device: (u32, u32), bytes: &[u8]) -> Result<()> {
    ensure!(bytes.len() < 1 << 31, "{name} is too large for a guest's memory");
    write!(out, "070701")?;
    let (links, size, name_size) = (1, u32::try_from(bytes.len())?, u32::try_from(name.len() + 1)?);
    let fields = [0, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
    for field in fields {
        write!(out, "{field:08x}")?;
    }
    out.write_all(name.as_bytes())?;
    // The name ends with a zero; it and the content end at multiples of four.
    let head = 6 + 8 * fields.len() + name.len() + 1;
    zeros(out, 1 + head.next_multiple_of(4) - head)?;
    out.write_all(bytes)?;
    zeros(out, bytes.len().next_multiple_of(4) - bytes.len())
}

fn zeros(out: &mut impl Write, count: usize) -> Result<()> {
    io::copy(&mut io::repeat(0).take(count as u64), out)?;
    Ok(())
}

/// `libc.so.6 => /lib/libc.so.6 (0x7f…)`, or `/lib64/ld-linux-x86-64.so.2 (0x7f…)`.
fn library(line: &str) -> Option<&Path> {
    let place = line.split_once("=>").map_or(line, |(_, place)| place).trim();
    place.split(' ').next().filter(|path| path.starts_with('/')).map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_where_the_loader_does() {
        assert_eq!(library("\tlibc.so.6 => /lib/x/libc.so.6 (0x7f00)"), Some(Path::new("/lib/x/libc.so.6")));
        assert_eq!(library("\t/lib64/ld-linux-x86-64.so.2 (0x7f00)"), Some(Path::new("/lib64/ld-linux-x86-64.so.2")));
        assert_eq!(library("\tlinux-vdso.so.1 (0x7ffc)"), None);
        assert_eq!(library("\tlibgone.so => not found"), None);
    }

    #[test]
    fn members_start_and_end_at_multiples_of_four() {
        for name in ["a", "ab", "abc", "abcd", "abcde"] {
            for size in 0..5 {
                let mut out = Vec::new();
                entry(&mut out, name, FILE, (0, 0), &vec![b'x'; size]).unwrap();
                assert!(out.len().is_multiple_of(4), "{name} {size}");
                let start = (110 + name.len() + 1).next_multiple_of(4);
                assert_eq!(out.len(), start + size.next_multiple_of(4), "{name} {size}");
                assert_eq!(&out[110..=110 + name.len()], format!("{name}\0").as_bytes());
                assert_eq!(&out[start..start + size], vec![b'x'; size]);
            }
        }
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let mut files = Files::default();
        files.text(Path::new("/a/b/c"), "x");
        files.script(Path::new("/init"), "y");
        let archive = shell::root().join("target/xtask-tests/guest.cpio");
        fs::create_dir_all(archive.parent().unwrap()).unwrap();
        files.pack(&archive).unwrap();
        let text = String::from_utf8(fs::read(&archive).unwrap()).unwrap();
        let at = |name: &str| text.find(&format!("{name}\0")).unwrap();
        assert!(at("dev/console") < at("a") && at("a") < at("a/b") && at("a/b") < at("a/b/c"));
        assert!(at("init") < at("TRAILER!!!"));
    }
}
