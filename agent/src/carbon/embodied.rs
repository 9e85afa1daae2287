//! Carbon of making the machine, spread over its life:
//! `TE = 1000 + 100·(sockets−1) + 1.388·max(0, GB−16) + 100·SSDs + 50·HDDs + 150·GPUs` kg.
//!
//! The constants are Cloud Carbon Footprint's and come from `agent/data/embodied_factors.csv`. It yields
//! the whole machine's grams; who bears which share, its caller decides.

use crate::{
    samples::machine::Hardware,
    table::{self, TableError},
    units::{Grams, Nanos},
};

const FACTORS: &str = include_str!("../../data/embodied_factors.csv");
const FACTORS_FILE: &str = "embodied_factors.csv";
/// The memory of the server the baseline is about.
const BASELINE_GIB: f64 = 16.0;
/// A Julian year, as the SCI specification's examples use.
const SECONDS_PER_YEAR: f64 = 31_557_600.0;
const LARGEST_LIFESPAN_YEARS: f64 = 50.0;

/// What the operator may set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EmbodiedConfig {
    /// Carbon of this machine, kg, in place of the formula; of a guest: its share of the host.
    pub total_kg: Option<f64>,
    /// Years of use; 4 unless set.
    pub lifespan_years: Option<f64>,
    /// GPUs in the machine; they are not looked for.
    pub gpus: u32,
}

/// How the total is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EmbodiedOrigin {
    /// The operator gave it.
    Configured,
    /// The formula.
    Estimated,
}

impl EmbodiedOrigin {
    /// The name reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Estimated => "estimated",
        }
    }
}

/// Embodied carbon of the whole machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Embodied {
    /// All of it.
    pub total: Grams,
    /// Over so many years.
    pub lifespan_years: f64,
    /// How the total is known.
    pub origin: EmbodiedOrigin,
}

/// Why there is no embodied figure.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EmbodiedError {
    /// Only the host's owner knows the host.
    #[error(
        "this machine is a guest and its host is not known; set the embodied carbon of its share in the configuration"
    )]
    Guest,
    /// The CPU does not say whether it is virtual.
    #[error(
        "this CPU does not say whether it is virtual; set the embodied carbon of this machine in the configuration"
    )]
    MaybeGuest,
    /// A configured value makes no sense.
    #[error("an embodied {what} of {value} makes no sense: give a finite number above 0, years up to 50")]
    Configured {
        /// Which value.
        what: &'static str,
        /// What was given.
        value: f64,
    },
    /// A built-in table is damaged.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Embodied {
    /// Of this machine: the configured total, else the formula for what is in it. A guest without a configured total has none.
    pub fn of(hardware: &Hardware, config: EmbodiedConfig) -> Result<Self, EmbodiedError> {
        let factors = factors()?;
        let lifespan_years = config.lifespan_years.map_or(Ok(factors.lifespan_years), lifespan)?;
        let kilograms = match (config.total_kg, hardware.hypervisor) {
            (Some(total), _) => positive("total_kg", total)?,
            (None, Some(false)) => factors.kilograms(hardware, config.gpus),
            (None, Some(true)) => return Err(EmbodiedError::Guest),
            (None, None) => return Err(EmbodiedError::MaybeGuest),
        };
        let origin = if config.total_kg.is_some() { EmbodiedOrigin::Configured } else { EmbodiedOrigin::Estimated };
        Ok(Self { total: Grams(kilograms * 1_000.0), lifespan_years, origin })
    }

    /// The whole machine's grams for `span` of its life: `TE·1000 · Δt/(EL·31 557 600)`.
    pub fn during(&self, span: Nanos) -> Grams {
        Grams(self.total.0 * span.seconds() / (self.lifespan_years * SECONDS_PER_YEAR))
    }
}

fn positive(what: &'static str, value: f64) -> Result<f64, EmbodiedError> {
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(EmbodiedError::Configured { what, value }) }
}

fn lifespan(years: f64) -> Result<f64, EmbodiedError> {
    let what = "lifespan_years";
    let years = positive(what, years)?;
    if years <= LARGEST_LIFESPAN_YEARS { Ok(years) } else { Err(EmbodiedError::Configured { what, value: years }) }
}

/// kg per part, and years.
#[derive(Clone, Copy, Debug)]
struct Factors {
    baseline: f64,
    socket: f64,
    gib: f64,
    ssd: f64,
    hdd: f64,
    gpu: f64,
    lifespan_years: f64,
}

impl Factors {
    fn kilograms(&self, hardware: &Hardware, gpus: u32) -> f64 {
        self.baseline
            + self.socket * f64::from(hardware.sockets.saturating_sub(1))
            + self.gib * f64::max(0.0, hardware.memory.gib() - BASELINE_GIB)
            + self.ssd * f64::from(hardware.ssds)
            + self.hdd * f64::from(hardware.hdds)
            + self.gpu * f64::from(gpus)
    }
}

fn rows() -> Result<Vec<(String, String, f64)>, TableError> {
    table::read(FACTORS_FILE, FACTORS, |row| {
        Ok((row.text("component")?.to_owned(), row.text("parameter")?.to_owned(), row.amount("value")?))
    })
}

fn factors() -> Result<Factors, TableError> {
    let rows = rows()?;
    let value = |component: &str, parameter: &str| {
        let row = rows.iter().find(|(c, p, _)| c == component && p == parameter);
        let missing = || TableError { table: FACTORS_FILE, line: 1, what: format!("no row {component} {parameter}") };
        row.map(|(_, _, value)| *value).ok_or_else(missing)
    };
    Ok(Factors {
        baseline: value("ccf_server", "baseline_1socket_16gb_nodisk")?,
        socket: value("ccf_server", "per_extra_cpu")?,
        gib: value("ccf_server", "per_gb_ram_above_16")?,
        ssd: value("ccf_server", "per_ssd")?,
        hdd: value("ccf_server", "per_hdd")?,
        gpu: value("ccf_server", "per_gpu")?,
        lifespan_years: value("server", "lifespan")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    const SERVER: Hardware =
        Hardware { sockets: 2, memory: Bytes(384 << 30), ssds: 2, hdds: 3, hypervisor: Some(false) };
    const YEAR: Nanos = Nanos::from_secs(31_557_600);

    fn total(hardware: Hardware, config: EmbodiedConfig) -> f64 {
        Embodied::of(&hardware, config).expect("a figure").total.0
    }

    #[test]
    fn every_factor_is_read() {
        assert_eq!(rows().expect("the table").len(), FACTORS.lines().count() - 1);
    }

    #[test]
    fn the_formula_by_hand() {
        let kilograms = 1_000.0 + 100.0 + 1.388 * 368.0 + 2.0 * 100.0 + 3.0 * 50.0 + 4.0 * 150.0;
        let config = EmbodiedConfig { gpus: 4, ..EmbodiedConfig::default() };
        assert!((total(SERVER, config) - kilograms * 1_000.0).abs() < 1e-6);
        let smallest = Hardware { sockets: 0, memory: Bytes(1 << 30), ssds: 0, hdds: 0, ..SERVER };
        assert!((total(smallest, EmbodiedConfig::default()) - 1_000_000.0).abs() < 1e-6);
    }

    #[test]
    fn a_life_adds_up_to_the_total() {
        let embodied = Embodied::of(&SERVER, EmbodiedConfig::default()).expect("a figure");
        assert!((embodied.during(YEAR).0 * 4.0 - embodied.total.0).abs() < 1e-6);
        assert_eq!(embodied.origin.name(), "estimated");
        let config = EmbodiedConfig { total_kg: Some(2_000.0), lifespan_years: Some(5.0), gpus: 0 };
        let configured = Embodied::of(&SERVER, config).expect("a figure");
        assert!((configured.during(YEAR).0 - 400_000.0).abs() < 1e-6);
        assert_eq!(configured.origin.name(), "configured");
    }

    #[test]
    fn a_guest_knows_only_what_is_configured() {
        let guest = Hardware { hypervisor: Some(true), ..SERVER };
        let silent = Hardware { hypervisor: None, ..SERVER };
        assert_eq!(Embodied::of(&guest, EmbodiedConfig::default()), Err(EmbodiedError::Guest));
        assert_eq!(Embodied::of(&silent, EmbodiedConfig::default()), Err(EmbodiedError::MaybeGuest));
        let config = EmbodiedConfig { total_kg: Some(50.0), ..EmbodiedConfig::default() };
        assert!((total(guest, config) - 50_000.0).abs() < 1e-6);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let total = EmbodiedConfig { total_kg: Some(bad), ..EmbodiedConfig::default() };
            let life = EmbodiedConfig { lifespan_years: Some(bad), ..EmbodiedConfig::default() };
            assert!(Embodied::of(&SERVER, total).is_err() && Embodied::of(&SERVER, life).is_err(), "{bad}");
        }
        let ages = EmbodiedConfig { lifespan_years: Some(51.0), ..EmbodiedConfig::default() };
        assert!(Embodied::of(&SERVER, ages).is_err());
    }
}
