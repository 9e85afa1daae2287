//! Modules of a kernel that a machine loads: with those that they need, in the order of loading, decompressed.
//!
//! A guest has no `modprobe`, and a package no index of its modules: each says in itself what it needs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::kernels::Kernel;
use crate::shell;

/// How a module is compressed, and what undoes it.
const COMPRESSED: [(&str, &str); 2] = [("xz", "xz"), ("zst", "zstd")];

/// Everything that is loaded so that these are there. One that is built in, or that a kernel does not have any more, is left
/// out: who needs it says so.
///
/// # Errors
/// When a module cannot be read or decompressed.
pub(super) fn with_needs(kernel: &Kernel, names: &[&str], into: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(into).with_context(|| format!("cannot create {}", into.display()))?;
    let mut there = BTreeMap::new();
    find(&kernel.modules.join("kernel"), &mut there)?;
    let mut order = Order { there, into, loaded: Vec::new() };
    names.iter().try_for_each(|name| order.add(name))?;
    Ok(order.loaded.into_iter().map(|(_, path)| path).collect())
}

struct Order<'a> {
    there: BTreeMap<String, PathBuf>,
    into: &'a Path,
    loaded: Vec<(String, PathBuf)>,
}

impl Order<'_> {
    fn add(&mut self, name: &str) -> Result<()> {
        let Some(path) = self.there.get(name).filter(|_| self.loaded.iter().all(|(loaded, _)| loaded != name)) else {
            return Ok(());
        };
        let module = plain(path, &self.into.join(format!("{name}.ko")))?;
        let bytes = fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
        needs(&bytes).iter().try_for_each(|need| self.add(need))?;
        self.loaded.push((name.to_owned(), module));
        Ok(())
    }
}

/// Modules below a folder, by name.
fn find(folder: &Path, found: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, found)?;
        } else if let Some(name) = name(&path) {
            found.insert(name, path);
        }
    }
    Ok(())
}

/// As the kernel names it: `scsi_mod`, of `scsi_mod.ko.xz` and of `scsi-mod.ko`.
fn name(path: &Path) -> Option<String> {
    let (name, _) = path.file_name()?.to_str()?.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

fn plain(path: &Path, to: &Path) -> Result<PathBuf> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let Some((_, program)) = COMPRESSED.into_iter().find(|(compressed, _)| *compressed == ending) else {
        return Ok(path.to_path_buf());
    };
    let into = fs::File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    shell::run(shell::command(program).arg("-dc").arg(path).stdout(into))?;
    Ok(to.to_path_buf())
}

/// What a module says that it needs: `depends=a,b` between zeros.
fn needs(module: &[u8]) -> Vec<String> {
    const NEEDS: &[u8] = b"\0depends=";
    let at = module.windows(NEEDS.len()).position(|window| window == NEEDS);
    let list = at.and_then(|at| module.get(at + NEEDS.len()..)).and_then(|rest| rest.split(|byte| *byte == 0).next());
    let names = list.and_then(|list| std::str::from_utf8(list).ok()).unwrap_or_default().split(',');
    names.filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_needs() {
        assert_eq!(needs(b"license=GPL\0depends=jbd2,crc-16\0intree=Y\0"), ["jbd2", "crc_16"]);
        assert_eq!(needs(b"license=GPL\0depends=\0intree=Y\0"), [""; 0]);
        assert_eq!(needs(b"no module"), [""; 0]);
    }

    #[test]
    fn a_module_has_one_name_however_it_lies_there() {
        let named = |path: &str| name(Path::new(path));
        assert_eq!(named("/k/drivers/md/dm-mod.ko.xz").unwrap(), "dm_mod");
        assert_eq!(named("/k/null_blk.ko").unwrap(), "null_blk");
        assert_eq!(named("/k/modules.order"), None);
    }
}
