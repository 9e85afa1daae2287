//! Where there is no room, or a CPU never stands still: what is not told is counted, and nothing stays behind.

use std::{fs, process::Command};

use aya::maps::{Array, HashMap, Map, MapData, PerCpuHashMap, PerCpuValues};
use wattrace_common::{
    layout,
    limits::{OFF_SETS, OVERFLOW_KEYS},
    loss::Reason,
};

use super::probe::Probe;
use crate::support::{Cgroup, live, until};

/// Of a [`wattrace_common::sched::TimeSet`], the words of its keys.
const KEYS: [usize; 2] = [0, 4];
/// Ids that no cgroup has.
const NOBODYS: u64 = 1 << 40;

type Set = [u64; 8];

/// A map of the probe, by its id: the descriptor is the probe's own.
fn map(probe: &Probe, name: &str) -> MapData {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", probe.descriptor(name))).unwrap();
    let id = info.lines().find_map(|line| line.strip_prefix("map_id:")).unwrap();
    MapData::from_id(id.trim().parse().unwrap()).unwrap()
}

/// Takes every place in which a workload that comes could stand.
fn take_all_room(probe: &Probe) {
    let mut times: Array<_, Set> = Map::Array(map(probe, layout::MAP_TIMES)).try_into().unwrap();
    for at in 0..times.len() {
        let mut set = times.get(&at, 0).unwrap();
        let free: Vec<usize> = KEYS.into_iter().filter(|word| set[*word] == 0).collect();
        for word in &free {
            set[*word] = NOBODYS + u64::from(at) * 2 + *word as u64 / 4;
        }
        if !free.is_empty() {
            times.set(at, set, 0).unwrap();
        }
    }
    let data = |name| Map::PerCpuHashMap(map(probe, name));
    let mut over: PerCpuHashMap<_, u64, [u64; 4]> = data(layout::MAP_OVERFLOW).try_into().unwrap();
    let mut over_threads: PerCpuHashMap<_, u64, [u64; 16]> = data(layout::MAP_OVERFLOW_THREADS).try_into().unwrap();
    let cpus = aya::util::nr_cpus().unwrap();
    let taken = (0..u64::from(2 * OVERFLOW_KEYS)).take_while(|number| {
        let key = 2 * NOBODYS + number;
        let is_taken = over.insert(key, PerCpuValues::try_from(vec![[0; 4]; cpus]).unwrap(), 0).is_ok();
        over_threads.insert(key, PerCpuValues::try_from(vec![[0; 16]; cpus]).unwrap(), 0).is_ok() || is_taken
    });
    assert!(taken.count() <= OVERFLOW_KEYS as usize + 1, "they are full now");
}

/// Whether a thread has a place by its id.
fn has_place(probe: &Probe, tid: u32) -> bool {
    let places: Array<_, Set> = Map::Array(map(probe, layout::MAP_OFF_THREADS)).try_into().unwrap();
    let more: HashMap<_, u32, [u64; 4]> = Map::HashMap(map(probe, layout::MAP_MORE_OFF_THREADS)).try_into().unwrap();
    let set = places.get(&(tid & (OFF_SETS - 1)), 0).unwrap();
    let is_it = |word: &usize| set[*word] & u64::from(u32::MAX) == u64::from(tid);
    KEYS.iter().any(is_it) || more.get(&tid, 0).is_ok()
}

#[test]
fn a_thread_that_dies_where_its_workload_has_no_room_is_forgotten() {
    live!();
    let (home, crowded) = (Cgroup::new(), Cgroup::new());
    let probe = Probe::start();
    let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    let tid = child.id();
    home.add(tid);
    until("it sleeps, and has a place", || has_place(&probe, tid));
    take_all_room(&probe);
    let before = probe.count(|reason| reason == Reason::NoThread);
    crowded.add(tid);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    until("its place is free", || !has_place(&probe, tid));
    let lost = probe.count(|reason| reason == Reason::NoThread) - before;
    assert!(lost >= 1, "there was no room");
}

#[test]
fn a_cpu_that_never_stands_still_is_counted() {
    live!();
    // One more than there are: nothing runs there, and so nothing but this test writes its state.
    let mut probe = Probe::with_phantom_cpu();
    drop(probe.read());
    assert_eq!(probe.torn(), 0);
    let mut cpus: Array<_, [u64; 32]> = Map::Array(map(&probe, layout::MAP_CPUS)).try_into().unwrap();
    let phantom = cpus.len() - 1;
    // Its sequence number is odd, as in the middle of a switch, and a switch was seen.
    let mut state = [0; 32];
    (state[0], state[1]) = (1, 5);
    cpus.set(phantom, state, 0).unwrap();
    drop(probe.read());
    assert_eq!(probe.torn(), 1, "all of it is left out, once");
    state[0] = 2;
    cpus.set(phantom, state, 0).unwrap();
    drop(probe.read());
    assert_eq!(probe.torn(), 1);
}
