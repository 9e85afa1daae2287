//! A root made of files: what is read of it, and which changes are told.

use std::fs;

use super::*;

struct Root(tempfile::TempDir);

impl Root {
    /// A unified hierarchy in the host's pid namespace, with one process in its root.
    fn new() -> Self {
        let root = Self(tempfile::tempdir().expect("a directory"));
        root.write("sys/fs/cgroup/cgroup.controllers", "cpu\n");
        root.write("sys/fs/cgroup/cgroup.procs", "0\n7\n8\n");
        root.write("proc/self/ns/x", "");
        std::os::unix::fs::symlink("pid:[4026531836]", root.0.path().join("proc/self/ns/pid")).expect("a link");
        root.write("proc/7/stat", "7 (name) S 1 7 7 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 1 0 4242 100 200");
        root.write("proc/9/stat", "9 (other) S 1 7 7 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 1 0 4242 100 200");
        root
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    fn cgroup(&self, path: &str, micros: u64, pids: &str) {
        self.write(&format!("sys/fs/cgroup/{path}/cpu.stat"), &format!("usage_usec {micros}\n"));
        self.write(&format!("sys/fs/cgroup/{path}/cgroup.procs"), pids);
    }

    fn id(&self, path: &str) -> u64 {
        cgroupfs::cgroup_id(&self.0.path().join("sys/fs/cgroup").join(path)).expect("a cgroup")
    }

    fn remove(&self, path: &str) {
        fs::remove_dir_all(self.0.path().join("sys/fs/cgroup").join(path)).expect("a directory");
    }

    fn files(&self) -> Files {
        let mount = cgroupfs::mount(self.0.path()).ok();
        Files::open(self.0.path(), mount.as_deref(), 100, "a reason".to_owned())
    }

    fn read(&self, files: &mut Files) -> FilesReading {
        files.read(self.0.path())
    }
}

fn told(files: &mut Files) -> Vec<(ChangeKind, u64, Option<String>)> {
    files.take_changes().into_iter().map(|change| (change.kind, change.id, change.path)).collect()
}

#[test]
fn births_and_deaths_are_told_once() {
    let root = Root::new();
    root.cgroup("a", 5, "");
    let mut files = root.files();
    root.read(&mut files);
    let a = root.id("a");
    let all = [(ChangeKind::Born, root.id(""), Some("/".to_owned())), (ChangeKind::Born, a, Some("/a".to_owned()))];
    assert_eq!(told(&mut files), all);
    root.cgroup("a/b", 5, "");
    root.read(&mut files);
    let b = root.id("a/b");
    assert_eq!(told(&mut files), [(ChangeKind::Born, b, Some("/a/b".to_owned()))]);
    root.remove("a");
    root.read(&mut files);
    let mut gone = told(&mut files);
    gone.sort_by_key(|change| change.1 != a);
    assert_eq!(gone, [(ChangeKind::Died, a, None), (ChangeKind::Died, b, None)]);
    root.read(&mut files);
    assert_eq!(told(&mut files), []);
}

#[test]
fn tasks_are_asked_for_where_a_cgroup_is_gone() {
    let root = Root::new();
    for (path, pids) in [("a", ""), ("a/b", "5\n"), ("c", "6\n"), ("c/d", ""), ("e", "7\n")] {
        root.cgroup(path, 5, pids);
    }
    let mut files = root.files();
    root.read(&mut files);
    root.remove("a/b");
    root.remove("c/d");
    let reading = root.read(&mut files);
    let has_tasks = |path| reading.groups.iter().find(|group| group.id == root.id(path)).map(|group| group.has_tasks);
    assert_eq!([has_tasks("a"), has_tasks("c"), has_tasks("e")], [Some(false), Some(true), Some(false)]);
}

#[test]
fn what_is_behind_a_directory_that_cannot_be_listed_is_not_gone() {
    let root = Root::new();
    root.cgroup("a/b", 5, "");
    root.cgroup("a", 5, "");
    let mut files = root.files();
    root.read(&mut files);
    files.take_changes();
    let (a, b) = (root.id("a"), root.id("a/b"));
    let usages = |listed| Usages {
        groups: vec![(GroupReading { id: a, parent: 1, is_listed: listed, ..GroupReading::default() }, PathBuf::new())],
        errors: 1,
    };
    let ids = |groups: Vec<GroupReading>| groups.iter().map(|group| (group.id, group.usage)).collect::<Vec<_>>();
    assert_eq!(ids(files.with_hidden(&usages(false))), [(a, None), (b, None)]);
    assert_eq!(ids(files.with_hidden(&usages(true))), [(a, None)]);
    let nothing = files.with_hidden(&Usages::default());
    assert_eq!(nothing.len(), 3, "the hierarchy itself cannot be read");
}

#[test]
fn only_processes_of_the_root_are_read() {
    let root = Root::new();
    let mut files = root.files();
    let names =
        |reading: &FilesReading| reading.processes.iter().map(|process| process.comm[..5].to_vec()).collect::<Vec<_>>();
    let reading = root.read(&mut files);
    assert_eq!((files.mode(), names(&reading)), ("cgroupfs", vec![b"name\0".to_vec()]), "8 ended meanwhile");
    assert!(files.losses().iter().all(|loss| loss.count == 0 && loss.loses));
}

#[test]
fn without_cgroups_all_processes_are_read() {
    let root = Root::new();
    root.remove("");
    let mut files = root.files();
    let reading = root.read(&mut files);
    assert_eq!((files.mode(), reading.groups.len(), reading.processes.len()), ("procfs", 0, 2));
}

#[test]
fn from_within_a_container_no_process_is_taken_for_another() {
    for (file, text) in [("sys/fs/cgroup/cgroup.type", "domain\n"), ("proc/self/ns/pid", "")] {
        let root = Root::new();
        fs::remove_file(root.0.path().join(file)).ok();
        root.write(file, text);
        let mut files = root.files();
        assert_eq!(files.processes, Processes::Hidden);
        assert_eq!(root.read(&mut files).processes, []);
    }
}

#[test]
fn what_cannot_be_read_is_counted() {
    let root = Root::new();
    root.write("sys/fs/cgroup/a/x", "");
    root.write("proc/7/stat", "7 (name");
    let mut files = root.files();
    root.read(&mut files);
    root.read(&mut files);
    let counts: Vec<_> = files.losses().into_iter().map(|loss| (loss.name, loss.count)).collect();
    assert_eq!(counts, [("cgroupfs.unreadable".to_owned(), 2), ("procfs.unreadable".to_owned(), 2)]);
    fs::remove_file(root.0.path().join("sys/fs/cgroup/cgroup.procs")).expect("a file");
    root.read(&mut files);
    assert_eq!(files.losses()[1].count, 3);
}
