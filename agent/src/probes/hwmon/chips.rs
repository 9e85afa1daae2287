//! Which sensors are of what: by the chip's name and the sensor's label.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::{Quantity, Sensor, Sum, line};
use crate::{
    samples::{Scope, ZoneInfo, ZoneKey, ZoneKind, counter::max_power},
    units::{Microjoules, Watts},
};

/// More than any server with its accelerators draws. A power that is added up here is no counter that could be reset.
const MACHINE_MAX: Watts = Watts(100_000.0);
/// Steps of the counters behind: well below.
const STEP: Microjoules = Microjoules(1_000);

/// The sensors that are understood, in the order of chips and files. Of several of one zone the first is kept.
pub(super) fn find(class: &Path) -> Vec<(ZoneInfo, Sensor)> {
    let mut found: Vec<(ZoneInfo, Sensor)> = Vec::new();
    let chips = fs::read_dir(class).into_iter().flatten().flatten();
    let chips: BTreeMap<u32, _> = chips.filter_map(|chip| Some((number(&chip.file_name())?, chip.path()))).collect();
    for (number, chip) in chips {
        let Some(name) = line(&chip.join("name")) else { continue };
        for file in files(&chip) {
            let Some((stem, quantity)) = quantity(&file) else { continue };
            let label = ["label", "oem_info"].iter().find_map(|about| line(&chip.join(format!("{stem}_{about}"))));
            let Some(key) = key(&name, label.as_deref()) else { continue };
            if found.iter().all(|(zone, _)| zone.key != key) {
                let hw_id = format!("hwmon{number}/{stem}");
                found.push((zone(key, hw_id, &quantity), Sensor { path: chip.join(&file), quantity }));
            }
        }
    }
    // A machine is measured once: where packages are, the whole contains them and is not shared out.
    if found.iter().any(|(zone, _)| zone.key.kind == ZoneKind::Package) {
        let wholes = found.iter_mut().filter(|(zone, _)| zone.key.kind == ZoneKind::Server);
        wholes.for_each(|(zone, _)| zone.key.kind = ZoneKind::Platform);
    }
    found
}

fn number(name: &std::ffi::OsStr) -> Option<u32> {
    name.to_str()?.strip_prefix("hwmon")?.parse().ok()
}

fn files(chip: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(chip).into_iter().flatten().flatten();
    files.filter_map(|file| file.file_name().into_string().ok()).collect()
}

/// `energy3_input` → `energy3`. Where a chip has both for one thing, the counter comes first in the order of names.
fn quantity(file: &str) -> Option<(&str, Quantity)> {
    let is = |stem: &str, kind: &str| stem.strip_prefix(kind).is_some_and(|number| number.parse::<u16>().is_ok());
    match file.rsplit_once('_')? {
        (stem, "input") if is(stem, "energy") => Some((stem, Quantity::Energy)),
        (stem, "average") if is(stem, "power") => Some((stem, Quantity::Power(Sum::default()))),
        _ => None,
    }
}

/// What a sensor measures. Sources: the kernel's `Documentation/hwmon/{amd_energy,acpi_power_meter}.rst`, and NVIDIA's Grace
/// performance tuning guide for the names behind `power1_oem_info`.
fn key(chip: &str, label: Option<&str>) -> Option<ZoneKey> {
    let socket = |kind, prefix| {
        let socket = label?.strip_prefix(prefix)?.trim().parse().ok()?;
        Some(ZoneKey { kind, scope: Scope::Socket(socket) })
    };
    match chip {
        "amd_energy" => socket(ZoneKind::Package, "Esocket"),
        "power_meter" => socket(ZoneKind::Package, "Grace Power Socket")
            .or_else(|| socket(ZoneKind::Core, "CPU Power Socket"))
            .or_else(|| socket(ZoneKind::Uncore, "SysIO Power Socket"))
            .or_else(|| socket(ZoneKind::Platform, "Module Power Socket"))
            // The ACPI meter that says nothing more is of the whole machine.
            .or_else(|| label.is_none().then_some(ZoneKey { kind: ZoneKind::Server, scope: Scope::Machine })),
        _ => None,
    }
}

fn zone(key: ZoneKey, hw_id: String, quantity: &Quantity) -> ZoneInfo {
    ZoneInfo {
        key,
        hw_id,
        parent: None,
        range: Microjoules(u64::MAX),
        unit: STEP,
        max_power: if matches!(quantity, Quantity::Power(_)) { MACHINE_MAX } else { max_power(1, []) },
    }
}
