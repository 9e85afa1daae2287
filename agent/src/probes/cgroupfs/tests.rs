//! Hierarchies made of files, and the one this kernel has.

use super::*;

/// A root with these files, empty unless they hold something.
fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    root
}

const UNIFIED: (&str, &str) = ("sys/fs/cgroup/cgroup.controllers", "cpu\n");
const BESIDE: (&str, &str) = ("sys/fs/cgroup/unified/cgroup.controllers", "");
const V1: (&str, &str) = ("sys/fs/cgroup/memory/tasks", "");

#[test]
fn the_mode_is_told_by_what_is_there() {
    for (files, expected, place) in [
        (&[UNIFIED][..], Mode::Unified, Some("sys/fs/cgroup")),
        (&[BESIDE, V1], Mode::Hybrid, Some("sys/fs/cgroup/unified")),
        (&[V1], Mode::V1, None),
        (&[], Mode::None, None),
    ] {
        let root = root(files);
        assert_eq!(mode(root.path()), expected);
        assert_eq!(mount(root.path()).ok(), place.map(|place| root.path().join(place)), "{}", expected.name());
    }
}

#[test]
fn the_list_of_mounts_goes_before_the_usual_places() {
    let list = "41 31 0:38 / /elsewhere rw - cgroup2 none rw\n42 31 0:38 /part /part rw - cgroup2 none rw\n";
    let marks = [("elsewhere/cgroup.controllers", ""), ("part/cgroup.controllers", "")];
    let whole = root(&[("proc/self/mountinfo", list), marks[0], marks[1], UNIFIED]);
    assert_eq!(mount(whole.path()), Ok(whole.path().join("elsewhere")));
    let part = root(&[("proc/self/mountinfo", list), marks[1]]);
    assert_eq!(mount(part.path()), Ok(part.path().join("part")));
    let stale = root(&[("proc/self/mountinfo", list), UNIFIED]);
    assert_eq!(mount(stale.path()), Ok(stale.path().join("sys/fs/cgroup")));
}

#[test]
fn in_a_container_the_mount_below_the_root_is_the_hosts() {
    let root = root(&[UNIFIED, ("host/cgroup.controllers", "")]);
    let host = root.path().join("host");
    let own = format!("41 31 0:38 / {}/sys/fs/cgroup rw - cgroup2 none rw\n", root.path().display());
    let hosts = format!("42 31 0:38 /../.. {} rw - cgroup2 none rw\n", host.display());
    fs::create_dir_all(host.join("proc/self")).expect("a directory");
    fs::write(host.join("proc/self/mountinfo"), own + &hosts).expect("a file");
    assert_eq!(mount(&host), Ok(host));
}

#[test]
fn without_a_mount_the_error_says_what_to_do() {
    let root = root(&[]);
    let error = mount(root.path()).expect_err("nothing is mounted").to_string();
    assert!(error.contains("mount -t cgroup2") && error.contains(&root.path().display().to_string()));
}

#[test]
fn a_walk_finds_every_directory_with_its_inode() {
    let root = root(&[("a/b/cpu.stat", ""), ("a/c/x", ""), ("z", "")]);
    std::os::unix::fs::symlink(root.path(), root.path().join("loop")).expect("a link");
    let mut walk = walk(root.path());
    walk.found.sort_by(|one, two| one.1.cmp(&two.1));
    let paths: Vec<&str> = walk.found.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(paths, ["/", "/a", "/a/b", "/a/c"]);
    for (id, path) in &walk.found {
        assert_eq!(cgroup_id(&below(root.path(), Path::new(path))), Some(*id));
    }
    assert_eq!(walk.errors, 0);
}

#[test]
fn a_walk_counts_what_it_cannot_read() {
    let root = root(&[("file", "")]);
    let walk = walk(&root.path().join("file"));
    assert_eq!(walk.errors, 1, "no directory");
    assert!(cgroup_id(&root.path().join("file")).is_none() && cgroup_id(&root.path().join("nothing")).is_none());
}

#[test]
fn cpu_time_is_read_in_nanoseconds() {
    let root = root(&[("a/cpu.stat", "usage_usec 1500\nuser_usec 1\n")]);
    assert_eq!(read_cpu_stat(&root.path().join("a")).expect("a time"), Nanos(1_500_000));
    assert!(read_cpu_stat(root.path()).is_err());
}

#[test]
fn a_quota_is_there_or_not_or_cannot_be_told() {
    let files = [("a/cpu.max", "150000 100000\n"), ("b/cpu.max", "max 100000\n"), ("c/x", ""), ("d/cpu.max", "much\n")];
    let root = root(&files);
    let read = |name: &str| read_cpu_max(&root.path().join(name));
    assert_eq!(read("a").expect("a quota"), Some(MicroCpus(1_500_000)));
    assert_eq!((read("b").expect("no limit"), read("c").expect("no controller")), (None, None));
    assert!(matches!(read("d"), Err(FileError::Malformed { .. })));
    assert!(is_removed(&read("gone").expect_err("no cgroup")) && !is_removed(&read("d").expect_err("no quota")));
    let while_open = FileError::Read { path: PathBuf::new(), source: io::Error::from_raw_os_error(libc::ENODEV) };
    assert!(is_removed(&while_open));
}

#[test]
fn whether_there_can_be_quotas_is_told_by_the_mount() {
    for (controllers, expected) in [("cpuset cpu io\n", true), ("pids\n", false)] {
        let root = root(&[("cgroup.controllers", controllers)]);
        assert_eq!(has_cpu_controller(root.path()).expect("a list"), expected);
    }
    assert!(has_cpu_controller(root(&[]).path()).is_err());
}

#[test]
fn on_this_kernel_a_walk_and_a_handle_agree() {
    let Ok(mount) = mount(Path::new("/")) else {
        println!("skipped: no cgroup2 file system is mounted");
        return;
    };
    let top = mount.join(format!("wattrace-walk-{}", std::process::id()));
    if let Err(error) = fs::create_dir_all(top.join("below")) {
        println!("skipped: no cgroup can be made: {error}");
        return;
    }
    let (walk, finder) = (walk(&mount), Finder::open(&mount).expect("an open mount"));
    let path = cgroup_path(&mount, &top.join("below"));
    let id = walk.found.iter().find(|(_, found)| *found == path).map(|(id, _)| *id);
    let by_handle = id.map(|id| finder.find(id));
    let usage = read_cpu_stat(&top);
    fs::remove_dir(top.join("below")).expect("an empty cgroup");
    fs::remove_dir(&top).expect("an empty cgroup");
    assert_eq!(usage.expect("a new cgroup's time"), Nanos(0));
    match by_handle.expect("the walk found it") {
        Err(HandleError::Denied) => println!("skipped: CAP_DAC_READ_SEARCH is missing"),
        by_handle => assert_eq!(by_handle.expect("a path"), path),
    }
}
