//! The BTF reader against the BTF of real kernels, reduced (`fixtures/btf`), and against damage done to it.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod damage;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use wattrace::probes::bpf::btf::{Arg, Btf};
use wattrace::probes::bpf::layout::{Effect, LayoutError, Layouts, resolve};

const LIVE: &str = "/sys/kernel/btf/vmlinux";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/btf")
}

/// Name and bytes of every extract, in order of name.
fn extracts() -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let extracts = files.filter(|path| path.extension().is_some_and(|extension| extension == "btf"));
    let mut extracts: Vec<_> = extracts
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    extracts.sort();
    extracts
}

/// Offset and size by struct and member; arguments of `sched_switch` as its member "args".
type Expected = HashMap<(String, String), (u32, Option<u32>)>;

/// Rows of `expected.tsv` by kernel.
fn expected() -> HashMap<String, Expected> {
    let mut kernels: HashMap<String, Expected> = HashMap::new();
    for line in fs::read_to_string(folder().join("expected.tsv")).unwrap().lines().skip(1) {
        let [kernel, name, member, offset, size] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let place = (offset.parse().unwrap(), size.parse().ok());
        kernels.entry(kernel.to_owned()).or_default().insert((name.to_owned(), member.to_owned()), place);
    }
    kernels
}

/// Everything a layout says, as struct, member, offset; `None` where a part did not resolve.
fn rows(layouts: &Layouts) -> Option<Vec<(&'static str, &'static str, u32)>> {
    let (Ok(sched), Ok(cgroup)) = (&layouts.sched, &layouts.cgroup) else { return None };
    let clock = sched.clock.as_ref().ok()?;
    let optional = [
        ("task_struct", "sched_info.last_arrival", sched.task_last_arrival),
        ("rq", "nr_switches", clock.rq_nr_switches),
        ("task_struct", "se.sum_exec_runtime", sched.task_stint.map(|stint| stint.total)),
        ("task_struct", "se.prev_sum_exec_runtime", sched.task_stint.map(|stint| stint.before)),
    ];
    let optional = optional.into_iter().filter_map(|(name, member, offset)| Some((name, member, offset?)));
    let needed = [
        ("sched_switch", "args", sched.sched_switch_args),
        ("task_struct", "pid", sched.task_pid),
        ("task_struct", "tgid", sched.task_tgid),
        ("task_struct", "flags", sched.task_flags),
        ("task_struct", "comm", sched.task_comm),
        ("task_struct", "start_boottime", sched.task_start_boottime),
        ("task_struct", "group_leader", sched.task_group_leader),
        ("task_struct", "cgroups", sched.task_cgroups),
        ("css_set", "dfl_cgrp", sched.css_set_dfl_cgrp),
        ("cgroup", "kn", sched.cgroup_kn),
        ("kernfs_node", "id", sched.kernfs_id),
        ("task_struct", "se.cfs_rq", clock.task_cfs_rq),
        ("cfs_rq", "rq", clock.cfs_rq_rq),
        ("rq", "clock", clock.rq_clock),
        ("cgroup", "kn", cgroup.cgroup_kn),
        ("kernfs_node", "id", cgroup.kernfs_id),
        ("cgroup", "root", cgroup.hierarchy.cgroup_root),
        ("cgroup_root", "hierarchy_id", cgroup.hierarchy.root_hierarchy_id),
    ];
    Some(needed.into_iter().chain(optional).collect())
}

/// Compares a layout with what another reader says of direct members.
fn compare(kernel: &str, layouts: &Layouts, offset: impl Fn(&str, &str) -> u32) {
    for (name, member, found) in rows(layouts).unwrap_or_else(|| panic!("{kernel}: {layouts:?}")) {
        let expected = match member {
            "sched_info.last_arrival" => offset("task_struct", "sched_info") + offset("sched_info", "last_arrival"),
            _ => match member.strip_prefix("se.") {
                Some(field) => offset("task_struct", "se") + offset("sched_entity", field),
                None => offset(name, member),
            },
        };
        assert_eq!(found, expected, "{kernel}: {name}.{member}");
    }
}

#[test]
fn every_kernel_resolves_to_what_pahole_says() {
    let (extracts, expected) = (extracts(), expected());
    assert!(extracts.len() >= 5);
    assert_eq!(extracts.len(), expected.len(), "an extract without expectations, or the reverse");
    for (kernel, bytes) in &extracts {
        let layouts = resolve(&Btf::parse(bytes).unwrap());
        let places = &expected[kernel];
        compare(kernel, &layouts, |name, member| places[&(name.to_owned(), member.to_owned())].0);
        let sched = layouts.sched.as_ref().unwrap();
        assert!(sched.task_stint.is_some() && sched.task_last_arrival.is_some(), "{kernel}");
        assert!(sched.clock.as_ref().unwrap().rq_nr_switches.is_some(), "{kernel}");
    }
}

#[test]
fn every_member_has_the_size_pahole_says() {
    let (extracts, expected) = (extracts(), expected());
    for (kernel, bytes) in &extracts {
        let btf = Btf::parse(bytes).unwrap();
        for ((name, member), (offset, size)) in &expected[kernel] {
            if let Some(size) = size {
                let found = btf.member(name, member).unwrap();
                assert_eq!((found.offset, found.size), (*offset, *size), "{kernel}: {name}.{member}");
            }
        }
    }
}

#[test]
fn sched_switch_passes_the_state_since_6_1_and_not_in_5_10() {
    const TASK: Arg<'_> = Arg::Pointer("task_struct");
    for (kernel, bytes) in &extracts() {
        let args = Btf::parse(bytes).unwrap().tracepoint_args("sched_switch").unwrap();
        let state = Arg::Int { size: 4, signed: false };
        let expected = if kernel.starts_with("5.10") { vec![] } else { vec![state] };
        assert_eq!(args, [vec![Arg::Bool, TASK, TASK], expected].concat(), "{kernel}");
    }
}

/// The blob with a name replaced by one of the same length, wherever it is the whole name.
fn renamed(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let (from, to) = (format!("\0{from}\0"), format!("\0{to}\0"));
    let mut out = bytes.to_vec();
    let at = out.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    out[at..at + to.len()].copy_from_slice(to.as_bytes());
    out
}

#[test]
fn a_renamed_member_struct_or_tracepoint_is_named() {
    let cases = [
        ("start_boottime", "real_boot_time", Some(Effect::SchedOff), "no member start_boottime"),
        ("css_set", "css_sat", Some(Effect::SchedOff), "does not point to a css_set"),
        ("dfl_cgrp", "dfl_cgrx", Some(Effect::SchedOff), "struct css_set of this kernel has no member dfl_cgrp"),
        ("btf_trace_sched_switch", "btf_trace_sched_swatch", Some(Effect::SchedOff), "no tracepoint sched_switch"),
        ("cfs_rq", "cfs_rx", Some(Effect::OwnClock), "no member se.cfs_rq"),
        ("clock", "clack", Some(Effect::OwnClock), "no member clock"),
        ("btf_trace_cgroup_rmdir", "btf_trace_cgroup_rmdor", Some(Effect::CgroupOff), "no tracepoint cgroup_rmdir"),
        ("hierarchy_id", "hierarchy_ix", Some(Effect::CgroupOff), "no member hierarchy_id"),
        ("nr_cpus_allowed", "nr_cpus_allowex", None, ""),
    ];
    for (kernel, bytes) in &extracts() {
        for (from, to, effect, says) in cases {
            let bytes = renamed(bytes, from, to);
            let layouts = resolve(&Btf::parse(&bytes).unwrap());
            let error = first_error(&layouts);
            assert_eq!(error.map(|error| error.effect), effect, "{kernel}: {from}");
            assert!(error.map(ToString::to_string).unwrap_or_default().contains(says), "{kernel}: {error:?}");
        }
    }
}

fn first_error(layouts: &Layouts) -> Option<&LayoutError> {
    let clock = layouts.sched.as_ref().ok().and_then(|sched| sched.clock.as_ref().err());
    layouts.sched.as_ref().err().or(clock).or(layouts.cgroup.as_ref().err())
}

/// Offset in bits of members by struct and member, as `bpftool btf dump` prints them.
fn bpftool_offsets(dump: &str) -> HashMap<(String, String), u32> {
    let quoted = |line: &str| line.split('\'').nth(1).map(str::to_owned);
    let (mut offsets, mut name) = (HashMap::new(), None);
    for line in dump.lines() {
        if let Some(kind) = line.split_whitespace().nth(1).filter(|_| line.starts_with('[')) {
            name = quoted(line).filter(|_| kind == "STRUCT");
        } else if let (Some(name), Some(member)) = (&name, quoted(line)) {
            let bits = line.split("bits_offset=").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
            offsets.extend(bits.map(|bits: u32| ((name.clone(), member), bits)));
        }
    }
    offsets
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the agent never executes a program; its tests may")]
fn the_running_kernel_resolves_to_what_bpftool_says() {
    let Ok(layouts) = Layouts::load(Path::new(LIVE)) else {
        println!("skipped: {LIVE} cannot be read");
        return;
    };
    let dump = std::process::Command::new("bpftool").args(["btf", "dump", "file", LIVE]).output();
    let Some(dump) = dump.ok().filter(|dump| dump.status.success()) else {
        println!("skipped: bpftool is not installed");
        return;
    };
    let offsets = bpftool_offsets(&String::from_utf8_lossy(&dump.stdout));
    compare("live", &layouts, |name, member| match (name, member, &layouts.sched) {
        // bpftool prints the prototype elsewhere; the golden kernels cover it.
        ("sched_switch", _, Ok(sched)) => sched.sched_switch_args,
        _ => offsets[&(name.to_owned(), member.to_owned())] / 8,
    });
}
