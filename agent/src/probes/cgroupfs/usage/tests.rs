//! Hierarchies made of files.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

/// A directory with these files.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    root
}

/// Names and totals in microseconds, by name.
fn found(usages: &Usages, mount: &Path) -> Vec<(String, Option<u64>)> {
    let group = |(group, directory): &(GroupReading, PathBuf)| {
        (super::super::cgroup_path(mount, directory), group.usage.map(|usage| usage.0 / 1_000))
    };
    let mut groups: Vec<_> = usages.groups.iter().map(group).collect();
    groups.sort();
    groups
}

#[test]
fn each_cgroup_has_its_total_and_who_is_above() {
    let tree = tree(&[
        ("cpu.stat", "usage_usec 900\n"),
        ("a/cpu.stat", "usage_usec 500\nuser_usec 1\n"),
        ("a/b/cpu.stat", "usage_usec 200\n"),
        ("c/cpu.stat", "usage_usec 0\n"),
    ]);
    let usages = read(tree.path());
    let name = |name: &str| name.to_owned();
    assert_eq!(
        found(&usages, tree.path()),
        [(name("/"), None), (name("/a"), Some(500)), (name("/a/b"), Some(200)), (name("/c"), Some(0))]
    );
    assert_eq!(usages.errors, 0);
    for (at, (group, directory)) in usages.groups.iter().enumerate() {
        assert_eq!(Some(group.id), cgroup_id(directory));
        let above = usages.groups[..at].iter().find(|(above, _)| above.id == group.parent);
        assert_eq!(above.map(|(_, above)| above.as_path()), (at > 0).then(|| directory.parent().expect("a parent")));
        assert!(group.is_listed);
    }
}

#[test]
fn the_top_of_a_part_of_the_tree_is_a_cgroup_like_any_other() {
    let tree = tree(&[("cgroup.type", "domain\n"), ("cpu.stat", "usage_usec 900\n")]);
    assert_eq!(found(&read(tree.path()), tree.path()), [("/".to_owned(), Some(900))]);
}

#[test]
fn threads_right_below_the_root_are_counted_with_their_process() {
    let time = "usage_usec 5\n";
    let tree = tree(&[
        ("t/cgroup.type", "threaded\n"),
        ("t/cpu.stat", time),
        ("t/u/cpu.stat", time),
        ("d/cgroup.type", "domain threaded\n"),
        ("d/cpu.stat", time),
        ("d/t/cgroup.type", "threaded\n"),
        ("d/t/cpu.stat", time),
    ]);
    let names: Vec<String> = found(&read(tree.path()), tree.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["/", "/d", "/d/t"]);
}

#[test]
fn what_cannot_be_read_is_counted_and_unknown() {
    let tree = tree(&[("a/x", ""), ("b/cpu.stat", "usage_usec x\n"), ("c/cpu.stat", "usage_usec 7\n")]);
    let usages = read(tree.path());
    assert_eq!(usages.errors, 2);
    assert_eq!(found(&usages, tree.path()).iter().filter(|(_, usage)| usage.is_some()).count(), 1);
    assert_eq!(read(&tree.path().join("nothing")), Usages { groups: Vec::new(), errors: 1 });
}

#[test]
fn a_directory_that_cannot_be_listed_is_said_to_be_so() {
    let tree = tree(&[("a/cpu.stat", "usage_usec 7\n"), ("a/b/cpu.stat", "usage_usec 5\n")]);
    fs::set_permissions(tree.path().join("a"), fs::Permissions::from_mode(0o111)).expect("a directory");
    let usages = read(tree.path());
    fs::set_permissions(tree.path().join("a"), fs::Permissions::from_mode(0o755)).expect("a directory");
    if usages.errors == 0 {
        println!("SKIPPED: root reads every directory");
        return;
    }
    let a = usages.groups.iter().find(|(_, directory)| directory.ends_with("a")).expect("it is there");
    assert_eq!((a.0.is_listed, a.0.usage, usages.errors), (false, Some(Nanos(7_000)), 1));
}

#[test]
fn no_depth_is_too_deep() {
    let tree = tempfile::tempdir().expect("a directory");
    let [mut path, mut depth] = [tree.path().to_owned(), PathBuf::new()];
    while path.as_os_str().len() < 3_800 {
        depth.push("d".repeat(200));
        path = tree.path().join(&depth);
    }
    fs::create_dir_all(&path).expect("directories");
    let usages = read(tree.path());
    assert_eq!(usages.groups.len(), depth.components().count() + 1);
}

#[test]
fn processes_of_a_cgroup_are_its_own() {
    let tree = tree(&[("a/cgroup.procs", "7\n9\n")]);
    assert_eq!(processes(&tree.path().join("a")).expect("pids"), [7, 9]);
    assert!(processes(tree.path()).is_err());
}
