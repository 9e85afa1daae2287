//! What the kernel says of the PMU `power` in sysfs: its events, their scales, and one CPU for each package or die.

use std::{collections::BTreeMap, fs, io, path::Path};

use super::{PerfError, SkippedEvent, scale::Scale};
use crate::{
    probes::{
        file,
        parse::{self, ParseError},
        topology,
    },
    samples::{Place, Scope, ZoneInfo, ZoneKey, ZoneKind, counter::max_power},
    units::Microjoules,
};

/// Events by what they measure, packages first. Others are not known.
const EVENTS: [(&str, ZoneKind); 5] = [
    ("energy-pkg", ZoneKind::Package),
    ("energy-ram", ZoneKind::Dram),
    ("energy-cores", ZoneKind::Core),
    ("energy-gpu", ZoneKind::Uncore),
    ("energy-psys", ZoneKind::Platform),
];

/// The step of the hardware behind the counts is not told here: no more than 61 µJ for packages and their parts, but
/// 1 J for the platform of some servers. What is taken only loosens the bound that tells a reset.
const STEP: Microjoules = Microjoules(1_000);
const PLATFORM_STEP: Microjoules = Microjoules(1_000_000);

/// The CPU that counts, by part of the machine.
pub(super) type Leaders = BTreeMap<Scope, u32>;

/// One event of one package.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counted {
    pub(super) info: ZoneInfo,
    /// Where to count; differs from the zone's scope for the platform.
    pub(super) leader: Scope,
    pub(super) config: u64,
    pub(super) scale: Scale,
}

/// The PMU as sysfs describes it.
#[derive(Debug)]
pub(super) struct Pmu {
    /// Number of the PMU, `perf_event_attr.type`.
    pub(super) kind: u32,
    pub(super) leaders: Leaders,
    /// By event and place.
    pub(super) events: Vec<Counted>,
    pub(super) skipped: Vec<SkippedEvent>,
}

/// Reads all of it from `directory`, `<root>/sys/bus/event_source/devices/power`.
pub(super) fn describe(root: &Path, directory: &Path) -> Result<Pmu, PerfError> {
    if !directory.is_dir() {
        return Err(PerfError::Absent { path: directory.to_owned() });
    }
    let kind = file::parse(&directory.join("type"), |bytes| {
        u32::try_from(parse::unsigned(bytes)?).map_err(|_| malformed("a PMU number", bytes))
    })?;
    let leaders = leaders(root, directory)?;
    let mut found = Pmu { kind, leaders, events: Vec::new(), skipped: Vec::new() };
    for (name, kind) in EVENTS {
        match event(directory, name) {
            Ok(Some((config, scale))) => {
                let zones = zones(name, kind, &found.leaders);
                found.events.extend(zones.into_iter().map(|(info, leader)| Counted { info, leader, config, scale }));
            }
            Ok(None) => {}
            Err(reason) => found.skipped.push(SkippedEvent { name: name.to_owned(), reason }),
        }
    }
    Ok(found)
}

/// One CPU for each package, or for each die where a package has several of them in `cpumask`.
pub(super) fn leaders(root: &Path, directory: &Path) -> Result<Leaders, PerfError> {
    let cpus = file::parse(&directory.join("cpumask"), parse::cpu_list)?;
    let topology = topology::read(root)?;
    // A CPU that went offline in between has no place, and counts nothing.
    let placed: Vec<(u32, Place)> = cpus.iter().filter_map(|cpu| Some((*cpu, topology.place(*cpu)?))).collect();
    let dies = |socket| topology.cpus.values().filter(move |cpu| cpu.place.socket == socket).map(|cpu| cpu.place.die);
    let scope = |place: Place| {
        let several = dies(place.socket).any(|die| die != place.die);
        let per_die = placed.iter().any(|(_, other)| other.socket == place.socket && other.die != place.die);
        if several && per_die { Scope::Die(place) } else { Scope::Socket(place.socket) }
    };
    Ok(placed.iter().map(|(cpu, place)| (scope(*place), *cpu)).collect())
}

fn zones(name: &str, kind: ZoneKind, leaders: &Leaders) -> Vec<(ZoneInfo, Scope)> {
    let id = |name: &str, scope: Scope| match (scope.socket(), scope.die()) {
        (Some(socket), Some(die)) => format!("{name}:{socket}:{die}"),
        (Some(socket), None) => format!("{name}:{socket}"),
        (None, _) => name.to_owned(),
    };
    let [(package, _), ..] = EVENTS;
    let zone = |scope: Scope, sockets: usize| ZoneInfo {
        key: ZoneKey { kind, scope },
        hw_id: id(name, scope),
        parent: (!matches!(kind, ZoneKind::Package | ZoneKind::Platform)).then(|| id(package, scope)),
        // The kernel adds up in 64 bits: there is no wrap to tell from a reset.
        range: Microjoules(u64::MAX),
        unit: if kind == ZoneKind::Platform { PLATFORM_STEP } else { STEP },
        max_power: max_power(u32::try_from(sockets).unwrap_or(u32::MAX), []),
    };
    if kind == ZoneKind::Platform {
        // Every package shows the event; the one platform is counted on the first.
        return leaders.keys().next().map(|first| (zone(Scope::Machine, leaders.len()), *first)).into_iter().collect();
    }
    leaders.keys().map(|scope| (zone(*scope, 1), *scope)).collect()
}

/// Configuration and scale of an event; `Ok(None)`: the CPU has no such counter.
fn event(directory: &Path, name: &str) -> Result<Option<(u64, Scale)>, super::EventError> {
    let events = directory.join("events");
    let path = events.join(name);
    let config = match file::parse(&path, config) {
        Err(error) if error.is_absent() => return Ok(None),
        config => config?,
    };
    let unit = file::parse(&events.join(format!("{name}.unit")), |bytes| Ok(text(bytes)))?;
    if unit != "Joules" {
        return Err(super::EventError::Unit(unit));
    }
    let scale = file::parse(&events.join(format!("{name}.scale")), |bytes| {
        Scale::parse(&text(bytes)).ok_or_else(|| malformed("a decimal number of joules", bytes))
    })?;
    Ok(Some((config, scale)))
}

/// `event=0x02`; the format puts that into the lowest bits of the configuration.
fn config(bytes: &[u8]) -> Result<u64, ParseError> {
    let text = text(bytes);
    let number = text.strip_prefix("event=0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.ok_or_else(|| malformed("an event such as event=0x02", bytes))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().chars().take(80).collect()
}

fn malformed(expected: &'static str, found: &[u8]) -> ParseError {
    ParseError { expected, found: String::from_utf8_lossy(found).chars().take(40).collect() }
}

/// The mask's text: another one than before means that a counting CPU went offline, or that a package came.
pub(super) fn mask(directory: &Path) -> io::Result<Vec<u8>> {
    fs::read(directory.join("cpumask"))
}
