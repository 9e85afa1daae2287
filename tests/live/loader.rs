//! Loading: wrong offsets are refused, by the verifier or by the self-test; memory stays in its budget.

use std::{collections::BTreeMap, fs, path::Path};

use wattrace::probes::bpf::{self, BlockMode, EventPlan, LoadError, Machine, layout::Layouts};

use crate::support::{self, BTF, live};

fn layouts() -> Layouts {
    Layouts::load(Path::new(BTF)).unwrap()
}

fn machine() -> Machine {
    Machine { time_runs: true, follows_threads: true, ..support::machine() }
}

#[test]
fn an_offset_that_leaves_its_struct_is_refused_by_the_verifier() {
    live!();
    let mut layouts = layouts();
    layouts.sched.as_mut().unwrap().kernfs_id += 4096;
    match bpf::load(&layouts, &machine()) {
        Err(LoadError::Refused { program: "sched_switch", reason }) => {
            println!("{reason}");
            assert!(reason.contains("kernfs_node"), "{reason}");
        }
        other => panic!("loaded with a wrong offset: {:?}", other.err()),
    }
}

#[test]
fn an_offset_of_another_member_of_the_same_size_is_refused_by_the_self_test() {
    live!();
    let mut layouts = layouts();
    let sched = layouts.sched.as_mut().unwrap();
    sched.task_pid = sched.task_flags;
    match bpf::load(&layouts, &machine()) {
        Err(error @ LoadError::SelfTest { .. }) => println!("{error}"),
        other => panic!("a wrong pid went unnoticed: {:?}", other.err()),
    }
}

#[test]
fn a_kernel_without_run_queue_clock_is_measured_by_the_monotonic_one() {
    live!();
    let mut layouts = layouts();
    let sched = layouts.sched.as_mut().unwrap();
    sched.clock = Err(missing_clock());
    let mut programs = bpf::load(&layouts, &machine()).map_err(|error| error.to_string()).unwrap();
    let first = programs.times.read(wattrace::clock::monotonic, |_| true, |_| wattrace::units::Nanos(u64::MAX));
    support::until("a second reading is later", || {
        let now = programs.times.read(wattrace::clock::monotonic, |_| true, |_| wattrace::units::Nanos(u64::MAX));
        let total = |reading: &bpf::TimesReading| -> u64 {
            reading.cpus.iter().filter_map(|cpu| cpu.busy_idle).map(|(busy, idle)| busy.0 + idle.0).sum()
        };
        total(&now) > total(&first) + 100_000_000
    });
}

fn missing_clock() -> bpf::layout::LayoutError {
    let bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/btf/5.10.262-amd64.btf")).unwrap();
    let at = bytes.windows(8).position(|window| window == b"\0cfs_rq\0").unwrap();
    let mut renamed = bytes;
    renamed[at + 1] = b'x';
    let btf = bpf::btf::Btf::parse(&renamed).unwrap();
    bpf::layout::resolve(&btf).sched.unwrap().clock.unwrap_err()
}

/// The budget at 64 possible CPUs is 6 MB, 10 more where all else is counted and events sent, and 48 where threads are followed
/// off the CPU. Per-CPU maps have the size of this machine: their values are
/// scaled to 64.
#[test]
fn kernel_memory_at_64_cpus_stays_in_budget() {
    live!();
    let siblings = BTreeMap::from([(0, 1), (1, 0)]);
    let lean = Machine { possible: 64, follows_threads: false, siblings, ..machine() };
    let full = Machine { follows_threads: true, ..lean.clone() };
    let events = EventPlan { exec: true, args: true, exit: true, closed: true, rate: None };
    let all = Machine { block: BlockMode::Total, tcp: true, process: true, events, ..lean.clone() };
    for (level, machine, most) in [("lean", lean, 6), ("with all else", all, 16), ("full", full, 48)] {
        let sum = memory_of_maps(&machine);
        println!("all maps at 64 possible CPUs, {level}: {sum} bytes");
        assert!(sum > 2_000_000 && sum <= most * 1024 * 1024, "{level}: {sum} bytes");
    }
}

/// What the kernel accounts for the maps of the programs, were there 64 CPUs.
fn memory_of_maps(machine: &Machine) -> u64 {
    let before = maps();
    let programs = bpf::load(&layouts(), machine).map_err(|error| error.to_string()).unwrap();
    let mut sum = 0;
    for (fd, map) in maps().into_iter().filter(|(fd, _)| !before.contains_key(fd)) {
        let bytes = map.at_cpus(64);
        println!("map of type {} (descriptor {fd}): {bytes} bytes", map.kind);
        sum += bytes;
    }
    drop(programs);
    sum
}

#[test]
fn runs_are_timed_unless_that_is_switched_off() {
    live!();
    let told = |time_runs| {
        let machine = Machine { time_runs, ..machine() };
        let programs = bpf::load(&layouts(), &machine).map_err(|error| error.to_string()).unwrap();
        let sched = || programs.times.costs()[0];
        // A few samples may say less than the clock itself takes.
        let says = |time: Option<u64>| !time_runs || time.is_some_and(|time| time > 0);
        support::until("the program ran some thousand times", || sched().runs > 5_000 && says(sched().time()));
        (sched().sums.timed, sched().time())
    };
    let (timed, time) = told(true);
    println!("{timed} runs timed, {time:?} ns in all");
    assert!(timed > 0 && time.is_some_and(|time| time > 0), "{timed} {time:?}");
    assert_eq!(told(false), (0, None));
}

struct MapInfo {
    kind: u64,
    value: u64,
    entries: u64,
    memlock: u64,
}

impl MapInfo {
    /// `BPF_MAP_TYPE_ARRAY`
    const ARRAY: u64 = 2;
    /// `BPF_MAP_TYPE_PERCPU_HASH`, `_ARRAY`
    const PER_CPU: [u64; 2] = [5, 6];

    fn at_cpus(&self, cpus: u64) -> u64 {
        let here = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap();
        let here = here.trim().rsplit('-').next().unwrap().parse::<u64>().unwrap() + 1;
        let more = if Self::PER_CPU.contains(&self.kind) { cpus - here } else { 0 };
        self.bytes() + more * self.value.next_multiple_of(8) * self.entries
    }

    /// As the kernel accounts it. From 5.11 to 6.3 it does so by a formula that has a key of 4 bytes for each entry of an array,
    /// which has none.
    fn bytes(&self) -> u64 {
        const PAGE: u64 = 4096;
        let by_formula = (self.entries * (4 + self.value).next_multiple_of(8)).next_multiple_of(PAGE);
        if self.kind != Self::ARRAY || self.memlock != by_formula {
            return self.memlock;
        }
        (self.entries * self.value.next_multiple_of(8)).next_multiple_of(PAGE)
    }
}

/// Every BPF map that this process holds, by descriptor, as the kernel accounts it.
fn maps() -> BTreeMap<String, MapInfo> {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fdinfo").unwrap() {
        let entry = entry.unwrap();
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        if text.contains("map_type:") {
            let field = |name: &str| -> u64 {
                text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
            };
            let (kind, value) = (field("map_type:"), field("value_size:"));
            let map = MapInfo { kind, value, entries: field("max_entries:"), memlock: field("memlock:") };
            maps.insert(entry.file_name().into_string().unwrap(), map);
        }
    }
    maps
}

/// How long loading takes goes with it, and a kernel refuses a program of a million.
#[test]
fn the_kernel_need_not_look_at_many_instructions() {
    live!();
    let machine = Machine {
        process: true,
        events: EventPlan { exec: true, args: true, exit: true, ..EventPlan::default() },
        ..machine()
    };
    let _programs = bpf::load(&layouts(), &machine).map_err(|error| error.to_string()).unwrap();
    let descriptions = fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    let descriptions = descriptions.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let verified =
        |text: String| text.lines().find_map(|line| line.strip_prefix("verified_insns:")?.trim().parse().ok());
    let counts: Vec<u64> = descriptions.filter_map(verified).collect();
    println!("verified instructions: {counts:?}");
    if counts.is_empty() {
        println!("SKIPPED: kernels before 5.16 do not tell how many instructions they verified");
        return;
    }
    assert!(counts.iter().all(|count| *count < 200_000), "{counts:?}");
}
