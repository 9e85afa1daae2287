//! Kernel lockdown: which level is in force.

use std::{fs, path::Path};

/// The level in force, as the kernel names it; `None` where lockdown is not built in.
pub fn level(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join("sys/kernel/security/lockdown")).ok()?;
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(level, _)| level.to_owned())
}

/// Whether programs that copy kernel memory are refused.
pub fn forbids_copies(root: &Path) -> bool {
    level(root).is_some_and(|level| level == "confidentiality")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_stands_in_brackets() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(level(root.path()), None);
        let folder = root.path().join("sys/kernel/security");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("lockdown"), "none integrity [confidentiality]\n").unwrap();
        assert_eq!(level(root.path()).as_deref(), Some("confidentiality"));
        assert!(forbids_copies(root.path()));
        fs::write(folder.join("lockdown"), "[none] integrity confidentiality\n").unwrap();
        assert!(!forbids_copies(root.path()));
    }
}
