//! A kernel of a few members, and what is said when one of them is not as it should be.

use super::super::btf::tests::{Blob, VOID};
use super::super::btf::{Btf, BtfError, Kind, LookupError};
use super::*;

/// Struct, member, type ("*name" is a pointer to a struct, a number is a size), offset.
type Row = (&'static str, &'static str, &'static str, u32);

const ROWS: [Row; 15] = [
    ("task_struct", "flags", "4", 0),
    ("task_struct", "pid", "4", 4),
    ("task_struct", "tgid", "4", 8),
    ("task_struct", "start_boottime", "8", 16),
    ("task_struct", "group_leader", "*task_struct", 24),
    ("task_struct", "comm", "16", 32),
    ("task_struct", "cgroups", "*css_set", 48),
    ("css_set", "dfl_cgrp", "*cgroup", 8),
    ("cgroup", "kn", "*kernfs_node", 16),
    ("cgroup", "root", "*cgroup_root", 24),
    ("kernfs_node", "id", "8", 32),
    ("cgroup_root", "hierarchy_id", "4", 4),
    ("task_struct", "cfs_rq", "*cfs_rq", 56),
    ("cfs_rq", "rq", "*rq", 40),
    ("rq", "clock", "8", 48),
];

struct Kernel {
    rows: Vec<Row>,
    switch: Vec<&'static str>,
    cgroup: Vec<&'static str>,
    attach: Vec<&'static str>,
    names: [&'static str; 4],
}

impl Kernel {
    fn new() -> Self {
        Self {
            rows: ROWS.to_vec(),
            switch: vec!["bool", "*task_struct", "*task_struct", "4"],
            cgroup: vec!["*cgroup", "char*"],
            attach: vec!["*cgroup", "char*", "*task_struct", "bool"],
            names: ["sched_switch", "cgroup_mkdir", "cgroup_rmdir", "cgroup_attach_task"],
        }
    }

    fn without(path: (&str, &str)) -> Self {
        let mut kernel = Self::new();
        kernel.rows.retain(|row| (row.0, row.1) != path);
        kernel
    }

    /// The kernel with another type for a member.
    fn with(path: (&str, &str), ty: &'static str) -> Self {
        let mut kernel = Self::new();
        kernel.rows.iter_mut().filter(|row| (row.0, row.1) == path).for_each(|row| row.2 = ty);
        kernel
    }

    fn blob(&self) -> Blob {
        let mut blob = Blob::new();
        let mut structs: Vec<&str> = ROWS.iter().map(|row| row.0).collect();
        structs.sort_unstable();
        structs.dedup();
        for name in structs {
            self.add_struct(&mut blob, name);
        }
        let arguments = [&self.switch, &self.cgroup, &self.cgroup, &self.attach];
        for (name, args) in self.names.into_iter().zip(arguments) {
            let args: Vec<u32> = args.iter().map(|ty| add_type(&mut blob, ty)).collect();
            blob.tracepoint(name, &args);
        }
        blob
    }

    /// `cfs_rq` of a task lies in its `se`.
    fn add_struct(&self, blob: &mut Blob, name: &str) {
        let rows = self.rows.iter().filter(|row| row.0 == name);
        let members: Vec<_> = rows.map(|row| (row.1, add_type(blob, row.2), row.3)).collect();
        let (entity, mut own): (Vec<_>, Vec<_>) = members.into_iter().partition(|member| member.0 == "cfs_rq");
        if name == "task_struct" {
            let entity: Vec<_> = entity.into_iter().map(|(name, ty, at)| (name, ty, at - 40)).collect();
            let id = blob.record(Kind::Struct, "sched_entity", 48, &entity);
            own.push(("se", id, 40));
        }
        blob.record(Kind::Struct, name, 128, &own);
    }

    fn resolve(&self) -> Layouts {
        resolve_blob(&self.blob())
    }
}

fn resolve_blob(blob: &Blob) -> Layouts {
    let bytes = blob.bytes();
    resolve(&Btf::parse(&bytes).unwrap())
}

fn add_type(blob: &mut Blob, ty: &str) -> u32 {
    if ty == "bool" {
        return blob.bool();
    }
    if ty == "char*" {
        let char = blob.int("char", 1);
        return blob.pointer(char);
    }
    if let Some(name) = ty.strip_prefix('*') {
        let target = if name == "void" { VOID } else { blob.add(Kind::Fwd, name, 0, 0, &[]) };
        return blob.pointer(target);
    }
    let byte = blob.int("byte", 1);
    blob.array(byte, ty.parse().unwrap())
}

#[test]
fn a_whole_kernel_resolves() {
    let layouts = Kernel::new().resolve();
    assert_eq!(
        layouts.sched.unwrap(),
        SchedLayout {
            sched_switch_args: 4,
            task_pid: 4,
            task_tgid: 8,
            task_flags: 0,
            task_comm: 32,
            task_start_boottime: 16,
            task_group_leader: 24,
            task_cgroups: 48,
            css_set_dfl_cgrp: 8,
            cgroup_kn: 16,
            kernfs_id: 32,
            task_last_arrival: None,
            task_stint: None,
            clock: Ok(ClockLayout { task_cfs_rq: 56, cfs_rq_rq: 40, rq_clock: 48, rq_nr_switches: None }),
        }
    );
    let hierarchy = HierarchyLayout { cgroup_root: 24, root_hierarchy_id: 4 };
    assert_eq!(layouts.cgroup, Ok(CgroupLayout { cgroup_kn: 16, kernfs_id: 32, hierarchy }));
    assert_eq!(layouts.moves, Ok(hierarchy));
}

/// Which of sched, clock, cgroup and moves a layout lacks; no member may be missing without consequence.
fn lost(layouts: &Layouts) -> [bool; 4] {
    let clock = layouts.sched.as_ref().is_ok_and(|sched| sched.clock.is_err());
    [layouts.sched.is_err(), clock, layouts.cgroup.is_err(), layouts.moves.is_err()]
}

fn expected_loss(path: (&str, &str)) -> [bool; 4] {
    match path {
        ("cgroup", "kn") | ("kernfs_node", "id") => [true, false, true, false],
        ("cgroup", "root") | ("cgroup_root", _) => [false, false, true, true],
        (_, "cfs_rq") | ("cfs_rq" | "rq", _) => [false, true, false, false],
        _ => [true, false, false, false],
    }
}

/// All error messages of a layout.
fn messages(layouts: &Layouts) -> Vec<String> {
    let clock = layouts.sched.as_ref().ok().and_then(|sched| sched.clock.as_ref().err());
    let errors = [layouts.sched.as_ref().err(), clock, layouts.cgroup.as_ref().err(), layouts.moves.as_ref().err()];
    errors.into_iter().flatten().map(ToString::to_string).collect()
}

#[test]
fn a_removed_member_is_named_and_turns_off_what_reads_it() {
    for (name, member, ..) in ROWS {
        let layouts = Kernel::without((name, member)).resolve();
        assert_eq!(lost(&layouts), expected_loss((name, member)), "{name}.{member}");
        for message in messages(&layouts) {
            assert!(message.contains(member) && message.contains(name), "{message}");
        }
    }
}

#[test]
fn a_member_of_another_size_or_target_is_named() {
    for (name, member, ty, _) in ROWS {
        let wrong = if ty.starts_with('*') { "*other" } else { "2" };
        let layouts = Kernel::with((name, member), wrong).resolve();
        assert_eq!(lost(&layouts), expected_loss((name, member)), "{name}.{member}");
        for message in messages(&layouts) {
            let says = if wrong == "2" { format!("2 bytes instead of {ty}") } else { "other".to_owned() };
            assert!(message.contains(member) && message.contains(&says), "{message}");
        }
    }
}

#[test]
fn messages_say_what_where_and_what_follows() {
    let text = |kernel: Kernel| messages(&kernel.resolve()).join("; ");
    assert_eq!(
        text(Kernel::without(("task_struct", "start_boottime"))),
        "struct task_struct of this kernel has no member start_boottime: the sched probe is off"
    );
    assert_eq!(
        text(Kernel::without(("rq", "clock"))),
        "struct rq of this kernel has no member clock: the sched probe reads the clock by itself"
    );
    assert_eq!(
        text(Kernel::with(("task_struct", "comm"), "24")),
        "task_struct.comm of this kernel has 24 bytes instead of 16: the sched probe is off"
    );
    assert_eq!(
        text(Kernel::with(("cgroup", "root"), "*void")),
        "cgroup.root of this kernel does not point to a cgroup_root but to no named struct: the cgroup probe is off; \
         cgroup.root of this kernel does not point to a cgroup_root but to no named struct: a task that is moved while it \
         runs counts for its old cgroup until it is switched out"
    );
}

#[test]
fn sched_switch_must_pass_two_tasks() {
    let args = |switch: &[&'static str]| {
        let mut kernel = Kernel::new();
        kernel.switch = switch.to_vec();
        kernel.resolve().sched.map(|sched| sched.sched_switch_args)
    };
    assert_eq!(args(&["bool", "*task_struct", "*task_struct"]), Ok(3));
    assert_eq!(args(&["bool", "*task_struct", "*task_struct", "4", "8"]), Ok(5));
    let wrong: [&[&str]; 4] = [
        &["bool", "*task_struct"],
        &["*task_struct", "*task_struct", "bool"],
        &["bool", "*task_struct", "*rq"],
        &["4", "*task_struct", "*task_struct"],
    ];
    for switch in wrong {
        let error = args(switch).unwrap_err();
        assert!(matches!(error.cause, LayoutCause::Arguments { name: "sched_switch", .. }), "{error}");
    }
}

#[test]
fn a_missing_or_other_tracepoint_turns_its_probe_off_alone() {
    let names = ["sched_switch", "cgroup_mkdir", "cgroup_rmdir", "cgroup_attach_task"];
    for (at, name) in names.into_iter().enumerate() {
        let mut kernel = Kernel::new();
        kernel.names[at] = "elsewhere";
        let layouts = kernel.resolve();
        assert_eq!(lost(&layouts), [at == 0, false, at == 1 || at == 2, at == 3]);
        let cause = layouts.sched.err().or(layouts.cgroup.err()).or(layouts.moves.err()).unwrap().cause;
        assert_eq!(cause, LookupError::NoTracepoint { name: name.to_owned() }.into());
    }
    let mut kernel = Kernel::new();
    kernel.cgroup = vec!["*cgroup", "4"];
    let cause = kernel.resolve().cgroup.unwrap_err().cause;
    assert!(matches!(cause, LayoutCause::Arguments { name: "cgroup_mkdir", .. }));
    let mut kernel = Kernel::new();
    kernel.attach = vec!["*cgroup", "char*", "*task_struct"];
    let cause = kernel.resolve().moves.unwrap_err().cause;
    assert!(matches!(cause, LayoutCause::Arguments { name: "cgroup_attach_task", .. }));
}

#[test]
fn of_two_structs_of_a_name_the_whole_one_is_taken() {
    let mut blob = Kernel::new().blob();
    let int = blob.int("int", 4);
    blob.record(Kind::Struct, "task_struct", 16, &[("pid", int, 12), ("tgid", int, 0)]);
    assert_eq!(resolve_blob(&blob), Kernel::new().resolve());

    let mut moved = Kernel::new();
    moved.rows.iter_mut().filter(|row| row.1 == "pid").for_each(|row| row.3 = 12);
    moved.add_struct(&mut blob, "task_struct");
    let cause = resolve_blob(&blob).sched.unwrap_err().cause;
    assert_eq!(cause, LookupError::Ambiguous { name: "task_struct".to_owned() }.into());
}

#[test]
fn a_file_that_is_missing_or_no_btf_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vmlinux");
    let missing = Layouts::load(&path).unwrap_err();
    assert!(matches!(missing, LoadError::Missing { .. }));
    assert!(missing.to_string().contains("CONFIG_DEBUG_INFO_BTF"));
    assert!(matches!(Layouts::load(folder.path()).unwrap_err(), LoadError::Read { .. }));
    std::fs::write(&path, "no BTF, but long enough for a header").unwrap();
    assert!(matches!(Layouts::load(&path).unwrap_err(), LoadError::Parse { source: BtfError::Magic { .. }, .. }));
    std::fs::write(&path, Kernel::new().blob().bytes()).unwrap();
    assert_eq!(Layouts::load(&path).unwrap(), Kernel::new().resolve());
}
