//! Kernels of both shapes, and what follows when something is not as it should be.

use super::{
    super::super::btf::{
        Btf, Kind,
        tests::{Blob, VOID},
    },
    *,
};

/// A kernel without one member or tracepoint, or with all.
/// Name and members of a struct.
type Record<'a> = (&'a str, &'a [(&'a str, u32, u32)]);

fn resolve(without: &str, is_new: bool) -> Result<ProcessLayout, LayoutCause> {
    let mut blob = Blob::new();
    let [word, long] = [("unsigned int", 4), ("u64", 8)].map(|(name, size)| blob.int(name, size));
    let mut forward = |name: &str| {
        let target = blob.add(Kind::Fwd, name, 0, VOID, &[]);
        blob.pointer(target)
    };
    let [task, signal, mm, text, program] =
        ["task_struct", "signal_struct", "mm_struct", "char", "linux_binprm"].map(&mut forward);
    let int = blob.add(Kind::Int, "int", 0, 4, &[1 << 24 | 32]);
    let flag = blob.add(Kind::Int, "_Bool", 0, 1, &[4 << 24 | 8]);
    let account =
        blob.record(Kind::Struct, "task_io_accounting", 64, &[("read_bytes", long, 40), ("write_bytes", long, 48)]);
    let entity = blob.record(Kind::Struct, "sched_entity", 64, &[("sum_exec_runtime", long, 56)]);
    let counter = blob.record(Kind::Struct, "", 4, &[("counter", int, 0)]);
    let state = if is_new { ("__state", word, 24) } else { ("state", long, 16) };
    let records: [Record<'_>; 4] = [
        (
            "task_struct",
            &[
                state,
                ("se", entity, 128),
                ("signal", signal, 200),
                ("real_parent", task, 216),
                ("mm", mm, 224),
                ("exit_code", int, 232),
                ("ioac", account, 256),
            ],
        ),
        (
            "signal_struct",
            &[
                ("live", counter, 4),
                ("nr_threads", int, 8),
                ("flags", word, 12),
                ("group_exit_code", int, 16),
                ("oom_mm", mm, 24),
                ("sum_sched_runtime", long, 32),
                ("ioac", account, 64),
            ],
        ),
        ("mm_struct", &[("arg_start", long, 40), ("arg_end", long, 48)]),
        ("linux_binprm", &[("filename", text, 56)]),
    ];
    for (name, members) in records {
        let members: Vec<_> = members.iter().filter(|member| member.0 != without).copied().collect();
        blob.record(Kind::Struct, name, 512, &members);
    }
    let helper = blob.string(if is_new { "BPF_FUNC_get_current_task_btf" } else { "BPF_FUNC_get_current_task" });
    blob.add(Kind::Enum, "bpf_func_id", 1, 4, &[helper, 158]);
    let exit: &[u32] = if is_new { &[task, flag] } else { &[task] };
    for (name, arguments) in
        [("sched_wakeup_new", &[task][..]), ("sched_process_exec", &[task, int, program]), ("sched_process_exit", exit)]
    {
        blob.tracepoint(if name == without { "elsewhere" } else { name }, arguments);
    }
    let bytes = blob.bytes();
    process(&Btf::parse(&bytes).unwrap())
}

#[test]
fn both_shapes_resolve() {
    let (new, old) = (resolve("", true).unwrap(), resolve("", false).unwrap());
    assert_eq!((new.state, old.state), (StateLayout { task: 24, bytes: 4 }, StateLayout { task: 16, bytes: 8 }));
    assert_eq!((new.sum_exec_runtime, new.signal), (128 + 56, 200));
    assert_eq!((new.real_parent, new.mm, new.exit_code), (216, 224, 232));
    assert_eq!((new.live, new.nr_threads, new.flags, new.group_exit_code), (4, 8, 12, 16));
    assert_eq!((new.oom_mm, new.sum_sched_runtime), (24, 32));
    assert_eq!((new.arg_start, new.arg_end, new.filename), (40, 48, 56));
    let bytes = BytesLayout { read: 256 + 40, written: 256 + 48, read_before: 64 + 40, written_before: 64 + 48 };
    let (of_new, state, tells_current_task) = (new.bytes, old.state, false);
    assert!(new.tells_current_task);
    assert_eq!((of_new, old), (Some(bytes), ProcessLayout { state, tells_current_task, ..new }));
}

#[test]
fn what_misses_a_member_counts_nothing() {
    for without in [
        "__state",
        "se",
        "signal",
        "real_parent",
        "mm",
        "exit_code",
        "live",
        "nr_threads",
        "flags",
        "group_exit_code",
        "oom_mm",
        "sum_sched_runtime",
        "arg_start",
        "arg_end",
        "filename",
        "sched_wakeup_new",
        "sched_process_exec",
        "sched_process_exit",
    ] {
        let error = resolve(without, true).unwrap_err().to_string();
        assert!(error.contains(without), "{without}: {error}");
    }
}

#[test]
fn what_keeps_no_account_of_bytes_counts_all_else() {
    assert_eq!(resolve("ioac", true).unwrap().bytes, None);
}
