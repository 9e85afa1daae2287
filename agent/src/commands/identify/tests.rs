//! `identify` on a host made of files, and on this one.

use super::*;

const HOST: &str = "0123456789abcdef0123456789abcdef";
const ID: &str = "cebe7df39a50d924692fce64e189b514f009b92e815018f45ab52d81c99a1e7a";
const STAT: &str = " S 1 7 7 0 -1 4194560 1 0\n";

/// A host in hybrid mode with three processes.
fn host() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    let docker = format!("5:memory:/docker/{ID}\n0::/system.slice/docker.service\n");
    for (path, text) in [
        ("etc/machine-id", HOST),
        ("sys/fs/cgroup/unified/cgroup.controllers", ""),
        ("sys/fs/cgroup/unified/system.slice/ssh.service/cgroup.controllers", ""),
        ("sys/fs/cgroup/memory/tasks", ""),
        (&format!("sys/fs/cgroup/memory/docker/{ID}/tasks"), ""),
        ("proc/41/cgroup", "1:name=systemd:/\n0::/system.slice/ssh.service\n"),
        ("proc/42/cgroup", &docker),
        ("proc/43/cgroup", "5:memory:/\n0::/\n"),
        ("proc/43/stat", &format!("43 (a b){STAT}")),
        ("proc/43/comm", "a b\n"),
        ("proc/2/cgroup", "0::/\n"),
        ("proc/2/stat", "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0"),
    ] {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    root
}

fn ask(root: &Path, what: &str) -> Result<serde_json::Value, IdentifyError> {
    let mut out = Vec::new();
    run(what, root, true, &mut out)?;
    let line = String::from_utf8(out).expect("text");
    assert!(line.ends_with("}\n") && line.lines().count() == 1);
    Ok(serde_json::from_str(&line).expect("an object"))
}

fn inode(root: &Path) -> u64 {
    cgroupfs::cgroup_id(&root.join("sys/fs/cgroup/unified/system.slice/ssh.service")).expect("a directory")
}

#[test]
fn a_pid_an_id_and_two_paths_say_the_same() {
    let root = host();
    let id = inode(root.path());
    let directory = root.path().join("sys/fs/cgroup/unified/system.slice/ssh.service");
    for what in ["41", "pid:41", &format!("cgroup:{id}"), "/system.slice/ssh.service", &directory.display().to_string()]
    {
        let answer = ask(root.path(), what).expect("an answer");
        assert_eq!(answer["kind"], "systemd_unit", "{what}");
        assert_eq!(answer["name"], "ssh.service");
        assert_eq!(answer["service_instance_id"], format!("{HOST}/ssh.service"));
        assert_eq!(answer["cgroup_id"], id);
        assert_eq!(answer["cgroup"], "/system.slice/ssh.service");
        assert_eq!(answer["rule"], "service");
        assert_eq!(answer["container_id"], serde_json::Value::Null);
    }
}

#[test]
fn a_bare_number_says_what_it_was_taken_for() {
    let root = host();
    let pid = ask(root.path(), "41").expect("an answer");
    assert!(pid["notes"][0].as_str().is_some_and(|note| note.contains("cgroup:41")));
    let id = ask(root.path(), &inode(root.path()).to_string()).expect("an answer");
    assert!(id["notes"][0].as_str().is_some_and(|note| note.contains("no process")));
    assert_eq!(ask(root.path(), "pid:41").expect("an answer")["notes"], serde_json::json!([]));
}

#[test]
fn on_a_hybrid_host_the_unified_path_is_booked_and_the_container_is_told() {
    let root = host();
    let answer = ask(root.path(), "pid:42").expect("an answer");
    assert_eq!((&answer["path_kind"], &answer["container_id"]), (&"container".into(), &ID.into()));
    assert_eq!((&answer["kind"], &answer["name"]), (&"systemd_unit".into(), &"docker.service".into()));
    assert!(answer["notes"][0].as_str().is_some_and(|note| note.contains("v1")));
    let directory = root.path().join("sys/fs/cgroup/memory/docker").join(ID);
    let answer = ask(root.path(), &directory.display().to_string()).expect("an answer");
    assert_eq!((&answer["container_id"], &answer["cgroup_id"]), (&ID.into(), &serde_json::Value::Null));
}

#[test]
fn tasks_of_the_root_go_by_their_name() {
    let root = host();
    let process = ask(root.path(), "pid:43").expect("an answer");
    assert_eq!((&process["kind"], &process["name"]), (&"process".into(), &"a b".into()));
    let kernel = ask(root.path(), "pid:2").expect("an answer");
    assert_eq!((&kernel["kind"], &kernel["path_kind"]), (&"kernel".into(), &"kernel_or_root".into()));
    let both = ask(root.path(), "/").expect("an answer");
    assert_eq!(both["kind"], serde_json::Value::Null);
    assert!(both["notes"][0].as_str().is_some_and(|note| note.contains("ask for a pid")));
}

#[test]
fn a_path_that_is_not_there_is_still_read() {
    let answer = ask(host().path(), "/mygroup").expect("an answer");
    assert_eq!((&answer["kind"], &answer["name"]), (&"cgroup".into(), &"/mygroup".into()));
    assert!(answer["notes"][0].as_str().is_some_and(|note| note.contains("no such cgroup")));
}

#[test]
fn the_table_is_aligned_and_leaves_out_what_is_not_known() {
    let root = host();
    let mut out = Vec::new();
    run("pid:41", root.path(), false, &mut out).expect("an answer");
    let expected = format!(
        "\
asked      pid 41
kind       systemd_unit
name       ssh.service
triplet    systemd / ssh.service / {HOST}/ssh.service
path kind  systemd_service
unit       ssh.service
cgroup id  {}
cgroup     /system.slice/ssh.service
rule       service: The outermost service unit owns everything below it.
",
        inode(root.path())
    );
    assert_eq!(String::from_utf8(out).expect("text"), expected);
}

#[test]
fn names_cannot_act_on_the_terminal() {
    let root = host();
    let mut out = Vec::new();
    run("/\u{1b}[31mred/\u{202e}x", root.path(), false, &mut out).expect("an answer");
    let text = String::from_utf8(out).expect("text");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && text.contains("[31mred"));
}

#[test]
fn errors_say_what_to_do() {
    let root = host();
    for (what, part) in [
        ("ssh", "write pid:N"),
        ("pid:x", "write pid:N"),
        ("cgroup:-1", "write pid:N"),
        ("pid:99", "cgroup:99"),
        ("cgroup:99999999999", "it was removed"),
        ("99999999999", "it was removed"),
    ] {
        let error = ask(root.path(), what).expect_err(what).to_string();
        assert!(error.contains(part), "{what}: {error}");
    }
    let empty = tempfile::tempdir().expect("a directory");
    assert!(matches!(ask(empty.path(), "/a"), Err(IdentifyError::HostId(_))));
    fs::create_dir(empty.path().join("etc")).expect("a directory");
    fs::write(empty.path().join("etc/machine-id"), HOST).expect("a file");
    assert!(matches!(ask(empty.path(), "cgroup:1"), Err(IdentifyError::Cgroupfs(_))));
    assert_eq!(ask(empty.path(), "/a.service").expect("no mount is needed")["name"], "a.service");
}

#[test]
fn this_process_is_somebodys() {
    let root = Path::new("/");
    if host::host_id(root).is_err() {
        println!("skipped: this machine has no id");
        return;
    }
    let answer = ask(root, &format!("pid:{}", std::process::id())).expect("an answer");
    assert!(answer["kind"].is_string() && answer["service_instance_id"].is_string());
}
