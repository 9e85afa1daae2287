//! The zones of the powercap class directory: found, named, placed and bounded.
//!
//! The class directory lists every zone flat, as links; behind the links the zones are nested. A
//! container's bind mount may show only one of the two. Zones are told apart by their id, so each is seen once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use super::PowercapError;
use crate::{
    probes::{
        file::{self, FileError},
        parse,
    },
    samples::{Place, Scope, ZoneInfo, ZoneKey, ZoneKind, counter::max_power},
    units::{Microjoules, Watts},
};

/// Control type, zone, subzone.
const DEPTH: u32 = 3;
/// Steps of a RAPL counter: it has 32 bits, whatever its unit.
const COUNTER_STEPS: u64 = u32::MAX as u64;
/// Characters of a zone's name that are kept: more than any that is known has.
const NAME_CHARS: usize = 40;

/// A zone that is not read.
#[derive(Debug, thiserror::Error)]
#[error("{hw_id}: {reason}")]
pub struct SkippedZone {
    /// Its id in the class directory.
    pub hw_id: String,
    /// Why.
    pub reason: SkipReason,
}

/// Why a zone is not read.
#[derive(Debug, thiserror::Error)]
pub enum SkipReason {
    /// Two interfaces show one zone; the first is read.
    #[error("the same zone as {0}")]
    Duplicate(String),
    /// No zone is known by this name.
    #[error("no zone named {0:?} is known")]
    UnknownName(String),
    /// A part of a package that is not known itself.
    #[error("its package is not known")]
    NoPackage,
    /// Its counter has no range, so that no step of it can be judged.
    #[error("its max_energy_range_uj is 0, so a wrap cannot be told from a reset; please report this driver")]
    NoRange,
    /// A file that describes it gave no value.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A zone and its directory.
#[derive(Debug)]
pub(super) struct FoundZone {
    pub(super) info: ZoneInfo,
    pub(super) path: PathBuf,
}

/// Everything the class directory shows.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) zones: Vec<FoundZone>,
    pub(super) skipped: Vec<SkippedZone>,
}

/// Finds the RAPL zones. `intel-rapl` comes before `intel-rapl-mmio`, packages before their parts.
pub(super) fn find(class: &Path) -> Result<Found, PowercapError> {
    let mut directories = BTreeMap::new();
    list(class, DEPTH, &mut directories).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => PowercapError::Absent { path: class.to_owned() },
        _ => PowercapError::List { path: class.to_owned(), source },
    })?;
    if directories.is_empty() {
        return Err(PowercapError::Masked { path: class.to_owned() });
    }
    let names = directories.iter().map(|(id, path)| (id, name(path))).collect::<BTreeMap<_, _>>();
    let packages = names.iter().filter_map(|(id, name)| Some((*id, package_scope(name.as_deref().ok()?)?))).collect();
    let mut found = Found::default();
    for (id, name) in names {
        let Some(path) = directories.get(id) else { continue };
        match name.map_err(SkipReason::from).and_then(|name| describe(id, path, &name, &packages, &found.zones)) {
            Ok(info) => found.zones.push(FoundZone { info, path: path.clone() }),
            Err(reason) => found.skipped.push(SkippedZone { hw_id: id.to_string(), reason }),
        }
    }
    Ok(found)
}

/// `intel-rapl:0:1`: control type and position.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ZoneId {
    control: String,
    indices: Vec<u32>,
}

impl ZoneId {
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split(':');
        let control = parts.next().filter(|control| control.starts_with("intel-rapl"))?.to_owned();
        Some(Self { control, indices: parts.map(|part| part.parse().ok()).collect::<Option<_>>()? })
    }

    /// The zone around this one.
    fn parent(&self) -> Option<Self> {
        let (_, indices) = self.indices.split_last()?;
        (!indices.is_empty()).then(|| Self { control: self.control.clone(), indices: indices.to_vec() })
    }
}

impl std::fmt::Display for ZoneId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.control)?;
        self.indices.iter().try_for_each(|index| write!(f, ":{index}"))
    }
}

/// Adds the zones in `directory` and below. Only names of zones are followed, so no other link can lead in a circle.
fn list(directory: &Path, depth: u32, zones: &mut BTreeMap<ZoneId, PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let Some(id) = entry.file_name().to_str().and_then(ZoneId::parse) else { continue };
        // A link whose target is masked is no directory.
        if !path.is_dir() {
            continue;
        }
        if depth > 1 {
            list(&path, depth - 1, zones)?;
        }
        if !id.indices.is_empty() {
            zones.entry(id).or_insert(path);
        }
    }
    Ok(())
}

fn name(zone: &Path) -> Result<String, FileError> {
    file::parse(&zone.join("name"), |bytes| {
        Ok(String::from_utf8_lossy(bytes).trim().chars().take(NAME_CHARS).collect())
    })
}

/// The part of the machine that `package-N` or `package-N-die-M` covers.
fn package_scope(name: &str) -> Option<Scope> {
    let place = name.strip_prefix("package-")?;
    match place.split_once("-die-") {
        Some((socket, die)) => Some(Scope::Die(Place { socket: socket.parse().ok()?, die: die.parse().ok()? })),
        None => place.parse().ok().map(Scope::Socket),
    }
}

/// What a zone of this name measures; a part of a package takes its place from the `package` around it.
fn key(name: &str, package: Option<Scope>) -> Result<ZoneKey, SkipReason> {
    if let Some(scope) = package_scope(name) {
        return Ok(ZoneKey { kind: ZoneKind::Package, scope });
    }
    if let Some(scope) = platform_scope(name) {
        return Ok(ZoneKey { kind: ZoneKind::Platform, scope });
    }
    let kind = match name {
        "dram" => ZoneKind::Dram,
        "core" => ZoneKind::Core,
        "uncore" => ZoneKind::Uncore,
        _ => return Err(SkipReason::UnknownName(name.to_owned())),
    };
    package.map(|scope| ZoneKey { kind, scope }).ok_or(SkipReason::NoPackage)
}

/// `psys` is the platform; on machines with several, the further ones are `psys-N`, N the socket.
fn platform_scope(name: &str) -> Option<Scope> {
    if name == "psys" {
        return Some(Scope::Machine);
    }
    name.strip_prefix("psys-")?.parse().ok().map(Scope::Socket)
}

fn describe(
    id: &ZoneId,
    path: &Path,
    name: &str,
    packages: &BTreeMap<&ZoneId, Scope>,
    before: &[FoundZone],
) -> Result<ZoneInfo, SkipReason> {
    let parent = id.parent();
    let key = key(name, parent.as_ref().and_then(|parent| packages.get(parent)).copied())?;
    if let Some(first) = before.iter().find(|zone| zone.info.key == key) {
        return Err(SkipReason::Duplicate(first.info.hw_id.clone()));
    }
    let range = file::parse(&path.join("max_energy_range_uj"), parse::unsigned)?;
    if range == 0 {
        return Err(SkipReason::NoRange);
    }
    Ok(ZoneInfo {
        key,
        hw_id: id.to_string(),
        parent: parent.map(|parent| parent.to_string()),
        range: Microjoules(range),
        unit: Microjoules(range.div_ceil(COUNTER_STEPS)),
        max_power: max_power(sockets(key.scope, packages), limits(path)),
    })
}

/// Sockets whose power a zone of this scope can draw.
fn sockets(scope: Scope, packages: &BTreeMap<&ZoneId, Scope>) -> u32 {
    match scope {
        Scope::Machine => {
            let sockets: BTreeSet<_> = packages.values().filter_map(|package| package.socket()).collect();
            u32::try_from(sockets.len()).unwrap_or(u32::MAX)
        }
        Scope::Socket(_) | Scope::Die(_) => 1,
    }
}

/// All `constraint_*_{max_power,power_limit}_uw`. Many zones have none, and drivers refuse to read some: then they bound nothing.
fn limits(zone: &Path) -> Vec<Watts> {
    let entries = fs::read_dir(zone).into_iter().flatten().flatten();
    let is_limit = |name: &str| {
        name.starts_with("constraint_") && (name.ends_with("_max_power_uw") || name.ends_with("_power_limit_uw"))
    };
    let limits = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_limit));
    let microwatts = limits.filter_map(|entry| file::parse(&entry.path(), parse::unsigned).ok());
    microwatts.map(|microwatts| Watts(microwatts as f64 / 1e6)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_kind_and_place() {
        let socket = Some(Scope::Socket(3));
        let rows = [
            ("package-0", None, Some((ZoneKind::Package, Scope::Socket(0)))),
            ("package-12-die-1", None, Some((ZoneKind::Package, Scope::Die(Place { socket: 12, die: 1 })))),
            ("dram", socket, Some((ZoneKind::Dram, Scope::Socket(3)))),
            ("core", socket, Some((ZoneKind::Core, Scope::Socket(3)))),
            ("uncore", socket, Some((ZoneKind::Uncore, Scope::Socket(3)))),
            ("psys", None, Some((ZoneKind::Platform, Scope::Machine))),
            ("psys-1", None, Some((ZoneKind::Platform, Scope::Socket(1)))),
            ("dram", None, None),
            ("package-", None, None),
            ("package-0-die-", None, None),
            ("gpu", socket, None),
        ];
        for (name, package, expected) in rows {
            let found = key(name, package).ok();
            assert_eq!(found, expected.map(|(kind, scope)| ZoneKey { kind, scope }), "{name}");
        }
    }

    #[test]
    fn ids_sort_as_numbers_and_msr_first() {
        let mut ids: Vec<_> = ["intel-rapl-mmio:0", "intel-rapl:10", "intel-rapl:2:0", "intel-rapl:2"]
            .iter()
            .filter_map(|id| ZoneId::parse(id))
            .collect();
        ids.sort();
        let sorted: Vec<_> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(sorted, ["intel-rapl:2", "intel-rapl:2:0", "intel-rapl:10", "intel-rapl-mmio:0"]);
        for other in ["dtpm", "intel-rapl:x", "power", "intel-rapl:0:"] {
            assert_eq!(ZoneId::parse(other), None, "{other}");
        }
    }
}
