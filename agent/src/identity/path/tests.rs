//! The vectors, as written and with other ids; what near misses and hostile input give.

mod fresh;

use std::collections::BTreeMap;

use proptest::prelude::*;

use fresh::Fresh;

use super::*;

const VECTORS: &str = include_str!("../testdata/cgroup_paths.tsv");

/// The columns that are compared, in the order of the file.
const COLUMNS: [&str; 11] =
    ["kind", "runtime", "container_id", "pod_uid", "qos", "unit", "vm", "job", "user_uid", "outer", "inner"];

fn rows() -> Vec<Vec<String>> {
    let rows: Vec<Vec<String>> =
        VECTORS.lines().skip(1).map(|row| row.split('\t').map(str::to_owned).collect()).collect();
    assert_eq!(rows.len(), 129);
    rows
}

fn columns(identity: &PathIdentity) -> [String; 11] {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    [
        identity.kind.name().to_owned(),
        identity.runtime.map(Runtime::name).unwrap_or_default().to_owned(),
        text(&identity.container_id),
        text(&identity.pod_uid),
        identity.qos.map(Qos::name).unwrap_or_default().to_owned(),
        text(&identity.unit),
        text(&identity.vm),
        identity.job.as_ref().map(ToString::to_string).unwrap_or_default(),
        identity.user_uid.as_ref().map(ToString::to_string).unwrap_or_default(),
        identity.outer.as_ref().map(ToString::to_string).unwrap_or_default(),
        text(&identity.inner),
    ]
}

fn mistakes(id: &str, proc_cgroup: &str, expected: &[String]) -> Vec<String> {
    let found = PathIdentity::from_proc(&proc_cgroup.replace("\\n", "\n"));
    let compare = COLUMNS.iter().zip(columns(&found)).zip(expected);
    let wrong = compare.filter(|((_, found), expected)| found != *expected);
    wrong
        .map(|((column, found), expected)| {
            format!("{id} {column}: {expected:?} expected, {found:?} found in {proc_cgroup}")
        })
        .collect()
}

#[test]
fn all_vectors_hold() {
    let wrong: Vec<String> = rows().iter().flat_map(|row| mistakes(&row[0], &row[1], &row[2..13])).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_vectors_hold_with_other_ids() {
    let mut changed = 0;
    for seed in 0..64 {
        for row in rows() {
            let mut fresh = Fresh::new(seed);
            let renamed: Vec<String> =
                row.iter().take(13).enumerate().map(|(i, text)| fresh.rename_column(i, text)).collect();
            changed += usize::from(renamed[1] != row[1]);
            let wrong = mistakes(&row[0], &renamed[1], &renamed[2..]);
            assert!(wrong.is_empty(), "seed {seed}: {}", wrong.join("\n"));
        }
    }
    assert!(changed > 64 * 90, "most rows hold an id: {changed}");
}

const ID: &str = "cebe7df39a50d924692fce64e189b514f009b92e815018f45ab52d81c99a1e7a";
const POD: &str = "kubepods.slice/kubepods-podeb93da3f_4853_4918_aec3_5d6bcd672d88.slice";

/// Kind and rule of a path.
fn read(path: &str) -> (PathKind, Rule) {
    let found = PathIdentity::from_path(path);
    (found.kind, found.rule)
}

#[test]
fn what_a_user_names_like_a_pod_stays_the_users() {
    let user = "/user.slice/user-1000.slice/user@1000.service";
    assert_eq!(read(&format!("{user}/{POD}/cri-containerd-{ID}.scope")).0, PathKind::Container);
    let found = PathIdentity::from_path(&format!("{user}/{POD}/cri-containerd-{ID}.scope"));
    assert_eq!((found.pod_uid, found.user_uid), (None, Some(1000)));
    assert_eq!(read(&format!("{user}/{POD}")), (PathKind::UserUnit, Rule::UserManager));
    assert_eq!(read(&format!("{user}/docker/{ID}")), (PathKind::UserUnit, Rule::UserManager));
    assert_eq!(read(&format!("{user}/app.slice/evil.scope/{ID}")), (PathKind::UserUnit, Rule::UserUnit));
    assert_eq!(read(&format!("{user}/mesos/eb93da3f-4853-4918-aec3-5d6bcd672d88")).0, PathKind::UserUnit);
}

#[test]
fn below_a_container_only_what_names_its_runtime_is_another() {
    let outer = format!("/docker/{ID}");
    let other = ID.replace('c', "0");
    assert_eq!(read(&format!("{outer}/{other}")), (PathKind::Container, Rule::RuntimeChild));
    assert_eq!(PathIdentity::from_path(&format!("{outer}/{other}")).container_id.as_deref(), Some(ID));
    let nested = PathIdentity::from_path(&format!("{outer}/containerd/{other}/x"));
    assert_eq!(nested.container_id, Some(other.clone()));
    assert_eq!(nested.outer, Some(Outer::Container(Runtime::Docker, ID.to_owned())));
    assert_eq!(nested.inner.as_deref(), Some("/x"));
    assert_eq!(read(&format!("{outer}/libpod-conmon-{other}.scope")).0, PathKind::Container);
}

#[test]
fn below_a_machine_or_a_job_nothing_is_a_workload() {
    for owner in ["/machine.slice/machine-qemu-1-a.scope", "/slurm/uid_1/job_2/step_3/task_4"] {
        let (alone, below) = (read(owner), PathIdentity::from_path(&format!("{owner}/docker-{ID}.scope/x")));
        assert_eq!((below.kind, below.rule), alone);
        assert_eq!(below.inner, Some(format!("/docker-{ID}.scope/x")));
    }
}

#[test]
fn groups_are_no_workloads() {
    for path in [
        "/system.slice",
        "/user.slice/user-1.slice",
        "/kubepods",
        "/kubepods/burstable",
        "/kubelet.slice/kubelet-kubepods.slice",
    ] {
        assert_eq!(read(path).0, PathKind::Aggregate, "{path}");
    }
}

#[test]
fn directories_of_no_known_shape_are_plain() {
    for path in [
        "/mygroup",
        "/test/a",
        "/lxc",
        "/docker",
        "/system.slice/x",
        "/.service",
        "/kubepods/burstable/x",
        "/process_api/a865a7389003a79f7f36aa9db69759b5",
    ] {
        assert_eq!(read(path), (PathKind::Unknown, Rule::Plain), "{path}");
    }
}

#[test]
fn substrings_do_not_match() {
    for near in [
        &format!("xdocker-{ID}.scope"),
        &format!("docker-{ID}.scopes"),
        &format!("docker-{ID}0.scope"),
        &format!("DOCKER-{ID}"),
    ] {
        assert_ne!(read(&format!("/system.slice/{near}")).0, PathKind::Container, "{near}");
    }
    assert_eq!(read("/mykubepods/podeb93da3f-4853-4918-aec3-5d6bcd672d88").0, PathKind::Unknown);
    assert_eq!(read("/kubepods.slice/kubepods-podeb93da3f_4853-4918_aec3_5d6bcd672d88.slice").0, PathKind::Aggregate);
}

#[test]
fn escapes_are_undone_before_matching_and_kept_in_units() {
    assert_eq!(read(&format!("/system.slice/docker\\x2d{ID}.scope")).0, PathKind::Container);
    let unit = PathIdentity::from_path(r"/system.slice/my\x2dapp.service").unit;
    assert_eq!(unit.as_deref(), Some(r"my\x2dapp.service"));
    for odd in [r"/a\x", r"/a\xg0", r"/a\x2", r"/\xff\xfe", r"/\x00"] {
        assert_eq!(read(odd).0, PathKind::Unknown);
    }
}

#[test]
fn a_deleted_cgroup_is_stale() {
    let found = PathIdentity::from_path("/system.slice/ssh.service (deleted)");
    assert!(found.stale && found.unit.as_deref() == Some("ssh.service"));
    assert!(!PathIdentity::from_path("/system.slice/ssh.service").stale);
}

#[test]
fn lines_that_are_none_say_nothing() {
    for text in ["", "\n\n", "ssh.service", "0:/x", "x::/ssh.service", "0::relative", ":::/a"] {
        let found = PathIdentity::from_proc(text);
        assert_eq!((found.kind, found.rule), (PathKind::Unknown, Rule::NoPath), "{text:?}");
    }
    assert_eq!(proc_path("2:cpu,cpuacct:/a:b"), Some("/a:b"));
    assert_eq!(unified_path("1:name=systemd:/x\n0::/y\n"), Some("/y"));
    assert_eq!(unified_path("1:name=systemd:/x\n"), None);
}

#[test]
fn a_path_splits_at_its_components() {
    assert_eq!(split_at("/a/b//c/", 2), ("/a/b", "//c/"));
    assert_eq!(split_at("/a", 0), ("", "/a"));
    assert_eq!(split_at("/a", 9), ("/a", ""));
}

#[test]
fn rules_have_names_of_their_own() {
    let rows = rows();
    let mut names: BTreeMap<&str, Rule> = BTreeMap::new();
    for row in &rows {
        let rule = PathIdentity::from_proc(&row[1].replace("\\n", "\n")).rule;
        assert_eq!(*names.entry(rule.name()).or_insert(rule), rule);
        assert!(rule.explanation().ends_with('.'));
    }
    assert!(names.len() > 25, "the vectors reach most rules: {names:?}");
}

fn is_bounded(identity: &PathIdentity) -> bool {
    let texts = [
        &identity.container_id,
        &identity.pod_uid,
        &identity.unit,
        &identity.vm,
        &identity.inner,
        &identity.job.as_ref().map(|job| job.id.clone()),
        &identity.job.as_ref().and_then(|job| job.step.clone()),
    ];
    texts.into_iter().flatten().all(|text| text.len() <= NAME_MAX && !text.chars().any(char::is_control))
}

/// What real components are made of, so that random paths reach the rules.
fn component() -> impl Strategy<Value = String> {
    let words: Vec<&'static str> = VECTORS
        .lines()
        .skip(1)
        .filter_map(|row| row.split('\t').nth(1))
        .flat_map(|lines| lines.split("\\n"))
        .filter_map(proc_path)
        .flat_map(|path| path.split('/'))
        .collect();
    prop_oneof![
        4 => prop::sample::select(words).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[a-z0-9._:@\\\\-]{0,40}",
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ]
}

proptest! {
    #[test]
    fn any_text_has_a_bounded_identity(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(is_bounded(&PathIdentity::from_proc(&text)));
        prop_assert!(is_bounded(&PathIdentity::from_path(&text)));
        prop_assert!(is_bounded(&PathIdentity::from_path(&String::from_utf8_lossy(&bytes))));
    }

    #[test]
    fn any_mix_of_real_components_has_a_bounded_identity(parts in prop::collection::vec(component(), 0..12)) {
        let path = format!("/{}", parts.join("/"));
        let found = PathIdentity::from_path(&path);
        prop_assert!(is_bounded(&found));
        prop_assert!(found.depth <= components(&path).count());
        prop_assert!(found.charged.is_none_or(|above| above <= found.depth));
        let is_container = matches!(found.kind, PathKind::Container | PathKind::K8sContainer);
        prop_assert!(!is_container || found.container_id.is_some() && found.runtime.is_some());
        prop_assert!(found.kind != PathKind::K8sPod || found.pod_uid.is_some());
    }

    #[test]
    fn what_is_below_the_owner_changes_nothing_but_inner(row in 0usize..129, tail in "[a-z]{1,8}") {
        let rows = rows();
        let path = rows[row][1].split("\\n").find_map(proc_path).unwrap_or("/").trim_end_matches(" (deleted)");
        let found = PathIdentity::from_path(path);
        let below = PathIdentity::from_path(&format!("{path}/{tail}"));
        if found.kind == PathKind::SystemdService || found.kind == PathKind::Vm || found.kind == PathKind::K8sContainer {
            let inner = format!("{}/{tail}", found.inner.clone().unwrap_or_default());
            prop_assert_eq!(below, PathIdentity { inner: Some(inner), ..found });
        }
    }
}

#[test]
fn a_megabyte_is_read_like_a_line() {
    let deep = "/a".repeat(500_000);
    assert_eq!(read(&deep).0, PathKind::Unknown);
    let long = "/".to_owned() + &"x".repeat(1 << 20);
    assert_eq!(read(&long).0, PathKind::Unknown);
    let lines = "0::/system.slice/ssh.service\n".repeat(40_000);
    assert_eq!(PathIdentity::from_proc(&lines).kind, PathKind::SystemdService);
    let unit = format!("/{}.service", "x".repeat(1 << 20));
    assert!(is_bounded(&PathIdentity::from_path(&unit)));
    let inner = PathIdentity::from_path(&format!("/a.service{deep}"));
    assert!(is_bounded(&inner) && inner.inner.is_some_and(|inner| inner.starts_with("/a/a/a/")));
    assert_eq!(read(&"/..".repeat(300_000)).0, PathKind::RelativeRoot);
    assert_eq!(read(&(r"\x2d".repeat(250_000))).0, PathKind::Unknown);
    assert_eq!(PathIdentity::from_path(&format!("/{}", "kubepods-".repeat(100_000))).kind, PathKind::Unknown);
}
