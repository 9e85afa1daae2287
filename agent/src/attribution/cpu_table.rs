//! Server power per hardware thread by CPU generation, from published SPECpower results.
//!
//! It finds the row of a CPU and the load curve of its family; what follows from them is in
//! [`super::model`]. The tables and their origin are described in `agent/data/README.md`.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::Deserialize;

use crate::{
    samples::machine::CpuIdentity,
    table::{self, Row, TableError},
    units::Watts,
};

const POWERS: &str = include_str!("../../data/cpu_power_specpower.csv");
const CURVES: &str = include_str!("../../data/load_curve_specpower.json");
const CURVES_FILE: &str = "load_curve_specpower.json";
/// The curve of every family that has none of its own.
const DEFAULT_CURVE: &str = "default_2017plus";
/// The row that stands for Arm parts without a published result.
const ARM_PROXY: &str = "neoverse-n1";

/// How well a row fits the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// The row of the CPU's generation.
    Family,
    /// The median of the vendor's generations: this CPU is not in the table.
    Default,
    /// A CPU of the same architecture: no result was published for this one.
    Proxy,
    /// The operator gave the powers.
    Configured,
}

impl Precision {
    /// The name reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Family => "family",
            Self::Default => "default",
            Self::Proxy => "proxy",
            Self::Configured => "configured",
        }
    }
}

/// Power of a whole server per hardware thread.
#[derive(Clone, Debug, PartialEq)]
pub struct ThreadPower {
    /// Which generation, or which median.
    pub description: String,
    /// At active idle.
    pub idle: Watts,
    /// At full load.
    pub max: Watts,
    /// Memory the measured servers had per thread, GiB; its power is within the two.
    pub memory_gib: f64,
    /// How well it fits.
    pub precision: Precision,
    /// Name of the family's load curve.
    load_curve: String,
}

/// Share of the dynamic power (idle to full) that a load draws.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct LoadCurve {
    load_pct: Vec<f64>,
    dynamic_fraction: Vec<f64>,
}

impl LoadCurve {
    /// `g(u)`: straight lines between the measured loads. `busy` is a share from 0 to 1; outside it the ends count.
    pub fn at(&self, busy: f64) -> f64 {
        let percent = if busy.is_nan() { 0.0 } else { busy.clamp(0.0, 1.0) * 100.0 };
        let points = || self.load_pct.iter().copied().zip(self.dynamic_fraction.iter().copied());
        let segments = points().zip(points().skip(1));
        let within = segments.into_iter().find(|(_, (right, _))| percent <= *right);
        within.map_or(1.0, |((left, low), (right, high))| low + (high - low) * (percent - left) / (right - left))
    }

    /// Loads rise from 0 to 100 and fractions from 0 to 1.
    fn is_sound(&self) -> bool {
        let spans = |points: &[f64], last: f64| {
            let ends =
                points.first().zip(points.last()).is_some_and(|(a, b)| a.abs() < 1e-9 && (b - last).abs() < 1e-9);
            ends && points.iter().zip(points.iter().skip(1)).all(|(left, right)| left < right)
        };
        self.load_pct.len() == self.dynamic_fraction.len()
            && spans(&self.load_pct, 100.0)
            && spans(&self.dynamic_fraction, 1.0)
    }
}

/// The power of a CPU's generation; `None`: the table knows neither the CPU nor its vendor.
pub fn thread_power(cpu: &CpuIdentity) -> Result<Option<ThreadPower>, TableError> {
    let rows = rows()?;
    if let Some(row) = best_match(&rows, cpu) {
        return Ok(Some(row.power(Precision::Family)));
    }
    Ok(match cpu {
        CpuIdentity::X86 { vendor, .. } => vendor_median(&rows, vendor),
        CpuIdentity::Arm { .. } => rows.iter().find(|row| row.arch == ARM_PROXY).map(|row| row.power(Precision::Proxy)),
        CpuIdentity::Other => None,
    })
}

/// The load curve of a row's family; without a row the default one.
pub fn load_curve(power: Option<&ThreadPower>) -> Result<LoadCurve, TableError> {
    let name = power.map_or(DEFAULT_CURVE, |power| &power.load_curve);
    let error = |what| TableError { table: CURVES_FILE, line: 1, what };
    curves()?.remove(name).ok_or_else(|| error(format!("no curve {name}")))
}

fn curves() -> Result<BTreeMap<String, LoadCurve>, TableError> {
    let error = |what| TableError { table: CURVES_FILE, line: 1, what };
    let curves: BTreeMap<String, LoadCurve> =
        serde_json::from_str(CURVES).map_err(|source| error(source.to_string()))?;
    match curves.iter().find(|(_, curve)| !curve.is_sound()) {
        Some((name, _)) => Err(error(format!("the curve {name} does not rise from 0 to 1"))),
        None => Ok(curves),
    }
}

/// Which CPUs a row is about.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CpuIds {
    /// CPUID family, or MIDR implementer.
    family: u32,
    /// CPUID models, or MIDR parts.
    models: Vec<RangeInclusive<u32>>,
    /// Empty: all.
    steppings: Vec<RangeInclusive<u32>>,
    arm: bool,
}

#[derive(Clone, Debug)]
struct CpuRow {
    arch: String,
    vendor: String,
    description: String,
    ids: CpuIds,
    /// Part of the brand string, `?` any character; tells apart parts of one CPUID. Empty: says nothing.
    name_pattern: String,
    load_curve: String,
    results: u32,
    idle: f64,
    max: f64,
    memory_gib: f64,
}

impl CpuRow {
    fn power(&self, precision: Precision) -> ThreadPower {
        ThreadPower {
            description: self.description.clone(),
            idle: Watts(self.idle),
            max: Watts(self.max),
            memory_gib: self.memory_gib,
            precision,
            load_curve: self.load_curve.clone(),
        }
    }

    fn is(&self, cpu: &CpuIdentity) -> bool {
        let holds = |ranges: &[RangeInclusive<u32>], value| ranges.iter().any(|range| range.contains(&value));
        match cpu {
            CpuIdentity::X86 { vendor, family, model, stepping, .. } => {
                let stepping = self.ids.steppings.is_empty() || holds(&self.ids.steppings, *stepping);
                let vendor = vendor_of(vendor) == Some(self.vendor.as_str());
                !self.ids.arm && vendor && self.ids.family == *family && holds(&self.ids.models, *model) && stepping
            }
            CpuIdentity::Arm { implementer, part } => {
                self.ids.arm && self.ids.family == *implementer && holds(&self.ids.models, *part)
            }
            CpuIdentity::Other => false,
        }
    }
}

/// The table's word for a CPUID vendor.
fn vendor_of(vendor_id: &str) -> Option<&'static str> {
    match vendor_id {
        "GenuineIntel" => Some("intel"),
        "AuthenticAMD" => Some("amd"),
        _ => None,
    }
}

/// Rows of one CPUID: first those whose pattern the name fits, then those without a pattern, then any; among them the one with most results.
fn best_match<'a>(rows: &'a [CpuRow], cpu: &CpuIdentity) -> Option<&'a CpuRow> {
    let name = if let CpuIdentity::X86 { name, .. } = cpu { name.as_str() } else { "" };
    let rank = |row: &CpuRow| match row.name_pattern.as_str() {
        "" => 1,
        pattern if fits(pattern, name) => 2,
        _ => 0,
    };
    rows.iter().filter(|row| row.is(cpu)).max_by_key(|row| (rank(row), row.results))
}

/// Whether some part of `name` equals `pattern`, where `?` stands for any one character.
fn fits(pattern: &str, name: &str) -> bool {
    let same = |(wanted, found): (&u8, &u8)| *wanted == b'?' || wanted == found;
    name.as_bytes().windows(pattern.len().max(1)).any(|part| pattern.as_bytes().iter().zip(part).all(same))
}

fn vendor_median(rows: &[CpuRow], vendor_id: &str) -> Option<ThreadPower> {
    let vendor = vendor_of(vendor_id)?;
    let of_vendor: Vec<_> = rows.iter().filter(|row| row.vendor == vendor).collect();
    let middle = |value: fn(&CpuRow) -> f64| median(of_vendor.iter().map(|row| value(row)).collect());
    Some(ThreadPower {
        description: format!("median of {} {vendor} server generations", of_vendor.len()),
        idle: Watts(middle(|row| row.idle)?),
        max: Watts(middle(|row| row.max)?),
        memory_gib: middle(|row| row.memory_gib)?,
        precision: Precision::Default,
        load_curve: DEFAULT_CURVE.to_owned(),
    })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

fn rows() -> Result<Vec<CpuRow>, TableError> {
    table::read("cpu_power_specpower.csv", POWERS, |row| {
        Ok(CpuRow {
            arch: row.text("arch")?.to_owned(),
            vendor: row.text("vendor")?.to_owned(),
            description: row.text("description")?.to_owned(),
            ids: cpu_ids(row)?,
            name_pattern: row.text("name_pattern")?.to_owned(),
            load_curve: row.text("load_curve")?.to_owned(),
            results: row.number("n_results")?,
            idle: row.amount("idle_w_per_thread")?,
            max: row.amount("max_w_per_thread")?,
            memory_gib: row.amount("mem_gb_per_thread")?,
        })
    })
}

fn cpu_ids(row: &Row) -> Result<CpuIds, TableError> {
    let family = row.text("cpuid_family_hex")?;
    let (arm, digits) = family.strip_prefix("arm:").map_or((false, family), |implementer| (true, implementer));
    Ok(CpuIds {
        family: u32::from_str_radix(digits, 16)
            .map_err(|_| row.error(format!("family {family:?} is not hexadecimal")))?,
        models: ranges(row, "cpuid_models_hex", 16)?,
        steppings: ranges(row, "stepping_dec", 10)?,
        arm,
    })
}

/// `0-4`, `ad|ae`; an empty cell is no range.
fn ranges(row: &Row, column: &str, radix: u32) -> Result<Vec<RangeInclusive<u32>>, TableError> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(u32::from_str_radix(first, radix).ok()?..=u32::from_str_radix(last, radix).ok()?)
    };
    let parts = row.text(column)?.split('|').filter(|part| !part.is_empty());
    parts.map(|part| range(part).ok_or_else(|| row.error(format!("{column} {part:?} is no range")))).collect()
}

#[cfg(test)]
mod tests;
