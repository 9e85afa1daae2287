//! Takes the maps out of the loaded object, each as the reader of its figures wants it.

use std::os::fd::AsFd;

use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData, PerCpuHashMap, RingBuf, Stack},
};
use wattrace_common::{
    block::WorkSums,
    layout,
    limits::{BLOCK_DEVICES, BLOCK_ROWS, HISTOGRAM_ROWS, PROCESS_ROWS, TCP_ROWS, THREAD_ROWS, TIME_ROWS, TIME_SETS},
    loss::COUNTERS_PER_CPU,
    pod::Pod,
    tcp::TcpSums,
};

use super::{
    block::{BlockMaps, DeviceParts},
    globals::Plan,
    mapped::Mapped,
    owned::OwnedParts,
    process::{ProcessMaps, ProcessParts},
    refusal::{LoadError, chain},
    ring::EventRing,
    slot::word,
    tcp::TcpMaps,
    threads::{ThreadMaps, ThreadParts},
    times::{Maps, TimeMaps},
};

pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, LoadError> {
    ebpf.take_map(name).ok_or(LoadError::Missing(name))
}

fn mapped<T: Pod>(ebpf: &mut Ebpf, name: &'static str, len: u32) -> Result<(Mapped<T>, MapData), LoadError> {
    let Map::Array(data) = take(ebpf, name)? else { return Err(LoadError::Missing(name)) };
    let len = usize::try_from(len).unwrap_or(0);
    let mapped = Mapped::new(data.fd().as_fd(), len)
        .map_err(|error| LoadError::Object(format!("mapping `{name}` failed: {error}")))?;
    mapped.touch();
    Ok((mapped, data))
}

pub(super) fn time_maps(ebpf: &mut Ebpf, plan: &Plan<'_>) -> Result<TimeMaps, LoadError> {
    let machine = plan.machine;
    let shared = if machine.siblings.is_empty() { 1 } else { machine.possible * TIME_ROWS };
    let (shared, shared_data) = mapped(ebpf, layout::MAP_SHARED, shared)?;
    let (cpus, cpus_data) = mapped(ebpf, layout::MAP_CPUS, machine.possible)?;
    let (times, times_data) = mapped(ebpf, layout::MAP_TIMES, machine.possible * TIME_SETS)?;
    let (moves, moves_data) = mapped(ebpf, layout::MAP_MOVES, machine.possible)?;
    let (lost, lost_data) = mapped(ebpf, layout::MAP_LOST, machine.possible * COUNTERS_PER_CPU)?;
    let (costs, costs_data) = mapped(ebpf, layout::MAP_COSTS, machine.possible)?;
    let overflow =
        PerCpuHashMap::try_from(take(ebpf, layout::MAP_OVERFLOW)?).map_err(|error| LoadError::Object(chain(&error)))?;
    let data = vec![cpus_data, times_data, shared_data, moves_data, lost_data, costs_data];
    let times = TimeMaps::new(Maps { cpus, times, shared, moves, lost, costs, overflow, data });
    times.set_siblings(&machine.siblings);
    Ok(times)
}

pub(super) fn thread_maps(ebpf: &mut Ebpf, plan: &Plan<'_>) -> Result<ThreadMaps, LoadError> {
    let object = |error| LoadError::Object(chain(&error));
    let (threads, threads_data) = mapped(ebpf, layout::MAP_THREADS, plan.machine.possible * THREAD_ROWS)?;
    let (histograms, histograms_data) = mapped(ebpf, layout::MAP_HISTOGRAMS, HISTOGRAM_ROWS * plan.stripes())?;
    let parts = ThreadParts {
        threads,
        histograms,
        overflow: PerCpuHashMap::try_from(take(ebpf, layout::MAP_OVERFLOW_THREADS)?).map_err(object)?,
        row_of: HashMap::try_from(take(ebpf, layout::MAP_HISTOGRAM_ROW)?).map_err(object)?,
        free: Stack::try_from(take(ebpf, layout::MAP_FREE_ROWS)?).map_err(object)?,
        stripes: plan.stripes(),
        _data: vec![threads_data, histograms_data],
    };
    ThreadMaps::new(parts).map_err(object)
}

pub(super) fn block_maps(ebpf: &mut Ebpf) -> Result<BlockMaps, LoadError> {
    let object = |error| LoadError::Object(chain(&error));
    let (rows, data) = mapped(ebpf, layout::MAP_BLOCK_WORK, BLOCK_ROWS)?;
    let (devices, devices_data) = mapped(ebpf, layout::MAP_BLOCK_DEVICES, BLOCK_DEVICES)?;
    let work = OwnedParts {
        rows,
        row_of: HashMap::try_from(take(ebpf, layout::MAP_BLOCK_ROW)?).map_err(object)?,
        free: Stack::try_from(take(ebpf, layout::MAP_BLOCK_FREE_ROWS)?).map_err(object)?,
        more: HashMap::try_from(take(ebpf, layout::MAP_BLOCK_MORE)?).map_err(object)?,
        owner: word!(WorkSums, owner),
        _data: data,
    };
    let parts = DeviceParts {
        devices,
        slot_of: HashMap::try_from(take(ebpf, layout::MAP_BLOCK_SLOT)?).map_err(object)?,
        free_slots: Stack::try_from(take(ebpf, layout::MAP_BLOCK_FREE_SLOTS)?).map_err(object)?,
        issued: HashMap::try_from(take(ebpf, layout::MAP_BLOCK_ISSUED)?).map_err(object)?,
        _data: devices_data,
    };
    BlockMaps::new(work, parts).map_err(object)
}

pub(super) fn tcp_maps(ebpf: &mut Ebpf) -> Result<TcpMaps, LoadError> {
    let object = |error| LoadError::Object(chain(&error));
    let (rows, data) = mapped(ebpf, layout::MAP_TCP_WORK, TCP_ROWS)?;
    let work = OwnedParts {
        rows,
        row_of: HashMap::try_from(take(ebpf, layout::MAP_TCP_ROW)?).map_err(object)?,
        free: Stack::try_from(take(ebpf, layout::MAP_TCP_FREE_ROWS)?).map_err(object)?,
        more: HashMap::try_from(take(ebpf, layout::MAP_TCP_MORE)?).map_err(object)?,
        owner: word!(TcpSums, owner),
        _data: data,
    };
    let open = HashMap::try_from(take(ebpf, layout::MAP_TCP_SOCKETS)?).map_err(object)?;
    TcpMaps::new(work, open).map_err(object)
}

pub(super) fn process_maps(ebpf: &mut Ebpf) -> Result<ProcessMaps, LoadError> {
    let object = |error| LoadError::Object(chain(&error));
    let (work, work_data) = mapped(ebpf, layout::MAP_PROCESS_WORK, PROCESS_ROWS)?;
    let parts = ProcessParts {
        work,
        row_of: HashMap::try_from(take(ebpf, layout::MAP_PROCESS_ROW)?).map_err(object)?,
        free_rows: Stack::try_from(take(ebpf, layout::MAP_PROCESS_FREE_ROWS)?).map_err(object)?,
        groups: HashMap::try_from(take(ebpf, layout::MAP_THREAD_GROUPS)?).map_err(object)?,
        _data: work_data,
    };
    ProcessMaps::new(parts).map_err(object)
}

pub(super) fn event_ring(ebpf: &mut Ebpf) -> Result<EventRing, LoadError> {
    let ring = RingBuf::try_from(take(ebpf, layout::MAP_EVENTS)?).map_err(|error| LoadError::Object(chain(&error)))?;
    Ok(EventRing::new(ring))
}
