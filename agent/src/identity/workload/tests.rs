//! Keys of workloads: what they are, and that no two things share one.

use std::collections::BTreeMap;

use super::*;

const HOST: &str = "0123456789abcdef0123456789abcdef";
const ID: &str = "cebe7df39a50d924692fce64e189b514f009b92e815018f45ab52d81c99a1e7a";
const UID: &str = "eb93da3f-4853-4918-aec3-5d6bcd672d88";
const USER: &str = "/user.slice/user-1000.slice/user@1000.service";
const POD: &str = "/kubepods/burstable/podeb93da3f-4853-4918-aec3-5d6bcd672d88";

fn of(path: &str) -> Workload {
    Workload::of_path(path, HOST)
}

/// Kind, namespace, name and instance below the host.
fn told(path: &str) -> (Kind, String, String, String) {
    let workload = of(path);
    assert_eq!(workload.name, workload.id.name);
    let instance = workload.id.instance.replace(HOST, "H");
    (workload.kind, workload.id.namespace, workload.id.name, instance)
}

#[track_caller]
fn check(path: &str, kind: Kind, namespace: &str, name: &str, instance: &str) {
    assert_eq!(told(path), (kind, namespace.to_owned(), name.to_owned(), instance.to_owned()), "{path}");
}

#[test]
fn each_kind_has_its_key() {
    let vm = "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/vcpu0";
    let container = format!("{POD}/{ID}/kube-proxy");
    check(&container, Kind::K8sContainer, "k8s", "cebe7df39a50", &format!("{UID}/{ID}"));
    check(POD, Kind::K8sPod, "k8s", UID, UID);
    check(&format!("{POD}/kata_{ID}"), Kind::K8sPod, "k8s", UID, UID);
    check(&format!("/kata_overhead/{ID}"), Kind::K8sPod, "k8s", "cebe7df39a50", &format!("sandbox/{ID}"));
    check(&format!("/docker/{ID}"), Kind::Container, "container", "cebe7df39a50", &format!("H/docker/{ID}"));
    check("/lxc.payload.web1/init.scope", Kind::Container, "container", "web1", "H/lxc/web1");
    check(vm, Kind::Vm, "vm", "web", "H/libvirt-qemu/web");
    check("/slurm/uid_7/job_12/step_0/task_1", Kind::Job, "job", "12", "H/slurm/12");
    check("/system.slice/ssh.service", Kind::SystemdUnit, "systemd", "ssh.service", "H/ssh.service");
    check("/user.slice/user-7.slice/session-9.scope", Kind::Session, "systemd", "user-7.slice", "H/user-7.slice");
    check(&format!("{USER}/app.slice/a.service"), Kind::SystemdUnit, "systemd", "a.service", "H/user-1000/a.service");
    check(USER, Kind::SystemdUnit, "systemd", "user@1000.service", "H/user@1000.service");
    check("/test/a", Kind::Cgroup, "cgroup", "/test/a", "H/test/a");
}

#[test]
fn what_is_no_workload_is_nobodys() {
    for path in ["/", "/..", "", "/init.scope", "/system.slice", "/system.slice/tmp.mount", "/kubepods/burstable"] {
        assert_eq!(of(path), Workload::unattributed(HOST), "{path}");
    }
    let nothing = PathIdentity::from_proc("");
    assert_eq!(Workload::of(&nothing, "", HOST), Workload::unattributed(HOST));
}

#[test]
fn helpers_and_groups_are_charged_to_what_is_above() {
    assert_eq!(of(&format!("{POD}/crio-conmon-{ID}.scope")), of(POD));
    assert_eq!(of(&format!("{POD}/conmon/x")), of(POD));
    assert_eq!(of(&format!("{POD}/crio-{ID}.mount")), of(POD));
    assert_eq!(of("/mygroup/a.slice/b.slice"), of("/mygroup"));
    assert_eq!(of("/../mygroup/a.slice (deleted)"), of("/../mygroup"));
    assert_eq!(of("/libpod_parent/conmon"), of("/libpod_parent"));
    assert_eq!(of("/system.slice/slurmstepd.scope/system"), of("/system.slice/slurmstepd.scope"));
    assert_eq!(of("/machine.slice/systemd-nspawn@a.service/supervisor"), of("/machine.slice/systemd-nspawn@a.service"));
    // One that knows its container goes with it, wherever it stands.
    let container = of(&format!("/machine.slice/libpod-{ID}.scope"));
    assert_eq!(of(&format!("/machine.slice/libpod-conmon-{ID}.scope")), container);
    assert_eq!(of("/lxc.monitor.web1"), of("/lxc.payload.web1"));
}

#[test]
fn names_without_bound_collapse() {
    let uuid_scope = format!("vte-spawn-{UID}.scope");
    for (unit, expected) in [
        ("run-ra2ddf9594bbf4a1986439b594f89eb0f.scope", "run-*.scope"),
        ("run-u12.service", "run-*.service"),
        ("run-ra2ddf9594bbf4a1986439b594f89eb0f.service", "run-*.service"),
        ("run-p12-i345.service", "run-*.service"),
        ("run-backup.service", "run-backup.service"),
        ("session-3.scope", "session-*.scope"),
        ("app-gnome-x-47247.scope", "app-gnome-x-47247.scope"),
        ("getty@tty1.service", "getty@tty1.service"),
    ] {
        assert_eq!(told(&format!("/system.slice/{unit}")).2, expected);
    }
    for (unit, expected) in [
        ("app-gnome-tmaster-47247.scope", "app-gnome-tmaster-*.scope"),
        ("app-gnome-tmaster.scope", "app-gnome-tmaster.scope"),
        (uuid_scope.as_str(), "vte-spawn-*.scope"),
        ("app-x@0123456789abcdef0123456789abcdef.service", "app-x@*.service"),
        ("app-x@autostart.service", "app-x@autostart.service"),
        ("run-u12.service", "run-*.service"),
        ("init.scope", "init.scope"),
    ] {
        assert_eq!(told(&format!("{USER}/app.slice/{unit}")).2, expected);
    }
    let step = of("/docker/buildkit/968510bb188dbf86fcf59505f");
    assert_eq!(step, of("/docker/buildkit/968510bb188dbf86fcf595050"));
    assert_eq!(step.name, "buildkit");
}

#[test]
fn nobody_can_take_the_key_of_another() {
    let system = of(&format!("/system.slice/docker-{ID}.scope"));
    assert_ne!(of(&format!("{USER}/user.slice/docker-{ID}.scope")).id, system.id);
    assert_ne!(of(&format!("/lxc.payload.evil/system.slice/docker-{ID}.scope")).id, system.id);
    let pod = of(&format!("{POD}/{ID}"));
    for spoof in [format!("/lxc.payload.evil{POD}/{ID}"), format!("/system.slice/evil.service{POD}/{ID}")] {
        assert_eq!(of(&spoof).kind, Kind::K8sContainer);
        assert_ne!(of(&spoof).id, pod.id);
    }
    assert_ne!(of(&format!("{USER}/ssh.service")).id, of("/system.slice/ssh.service").id);
    assert_ne!(of("/lxc/web").id, of("/machine.slice/systemd-nspawn@web.service").id);
    assert_ne!(of(&format!("/{}1", "x".repeat(400))).id, of(&format!("/{}2", "x".repeat(400))).id);
}

/// What the file says of the owner; equal where two rows are one workload.
fn owner(row: &[&str]) -> String {
    let [kind, runtime, container, pod, unit, vm, job, user] =
        [row[2], row[3], row[4], row[5], row[7], row[8], row[9], row[10]];
    match kind {
        "k8s_pod" => format!("pod {pod}"),
        "vm_sandbox" | "runtime_helper" | "ignore" if !pod.is_empty() => format!("pod {pod}"),
        "k8s_container" | "vm_sandbox" => format!("{kind} {pod} {container}"),
        "container" | "runtime_helper" if !container.is_empty() => format!("container {runtime} {container}"),
        "vm" => format!("vm {vm}"),
        "hpc_job" => format!("job {}", job.split('/').next().unwrap()),
        "user_session" => format!("sessions of {user}"),
        "user_unit" => format!("user unit {unit} of {user}"),
        "systemd_service" | "systemd_scope" => format!("unit {unit}"),
        "runtime_helper" | "unknown" => row[1].to_owned(),
        _ => "nobody".to_owned(),
    }
}

#[test]
fn two_rows_share_a_key_only_if_they_are_one_workload() {
    let vectors = include_str!("../testdata/cgroup_paths.tsv");
    let mut owners: BTreeMap<Triplet, String> = BTreeMap::new();
    let mut keys: BTreeMap<String, Triplet> = BTreeMap::new();
    for row in vectors.lines().skip(1).map(|row| row.split('\t').collect::<Vec<_>>()) {
        let lines = row[1].split("\\n").filter_map(path::proc_path);
        // As in a hybrid host's file, the line that says most.
        let path = lines.max_by_key(|path| usize::from(PathIdentity::from_path(path).kind.name() == row[2])).unwrap();
        let (triplet, owner) = (of(path).id, owner(&row));
        assert_eq!(*owners.entry(triplet.clone()).or_insert(owner.clone()), owner, "{}", row[0]);
        assert_eq!(*keys.entry(owner).or_insert(triplet.clone()), triplet, "{}", row[0]);
    }
    assert!(owners.len() > 100, "{}", owners.len());
}

#[test]
fn processes_go_by_their_executable() {
    let process = Workload::process(HOST, b"bash\0leftover!!!");
    assert_eq!((process.kind, process.name.as_str()), (Kind::Process, "bash"));
    assert_eq!(process.id.instance, format!("{HOST}/bash"));
    assert_eq!(Workload::process(HOST, b"0123456789abcdef").name, "0123456789abcdef");
    assert_eq!(Workload::process(HOST, b"a\xff\x1b[2J\0\0\0\0\0\0\0\0\0\0").name, "a\u{fffd}\\u{1b}[2J");
    assert_eq!(Workload::process(HOST, &[0; 16]).name, UNNAMED);
}

#[test]
fn the_agents_own_kinds_are_distinct() {
    let own = [Workload::kernel(HOST), Workload::unattributed(HOST), Workload::other(HOST)];
    for workload in &own {
        assert_eq!(workload.id.namespace, "wattrace");
        assert_eq!(workload.id.instance, format!("{HOST}/{}", workload.kind.name()));
    }
    assert!(own[0].id != own[1].id && own[1].id != own[2].id);
}
