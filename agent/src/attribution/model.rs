//! Power of a machine without a meter, from its CPU generation and how busy it is.
//!
//! The scope is the whole server, power supply and fans included. The idle part is told apart, so the
//! chain of [`super::idle`] is not asked.

use super::cpu_table::{self, LoadCurve, Precision, ThreadPower};
use crate::{
    samples::machine::{CpuIdentity, Processor},
    table::TableError,
    units::{Microjoules, Nanos, Watts},
};

/// W per GiB of memory beyond what the measured servers had. Boavizta's measured mean is 0.284, Cloud
/// Carbon Footprint's figure from vendor data 0.392.
const DRAM_WATTS_PER_GIB: f64 = 0.3;
/// Idle share of full power where the CPU's family is unknown.
const UNKNOWN_IDLE_RATIO: f64 = 0.25;
/// The table's error on its own servers is 13 %; other machines are less tuned.
const UNCERTAINTY: f64 = 0.30;
/// The figures are another CPU's.
const UNCERTAINTY_OTHER_CPU: f64 = 0.40;

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The table has nothing for this CPU.
    #[error("the power model has no figures for this CPU ({cpu}); set energy.idle_watts and energy.max_watts")]
    UnknownCpu {
        /// How the CPU names itself.
        cpu: String,
    },
    /// The configured powers make no sense.
    #[error("idle_watts {} and max_watts {} are no powers of a machine: both must be finite, 0 ≤ idle ≤ max", idle.0, max.0)]
    Configured {
        /// Given for idle.
        idle: Watts,
        /// Given for full load.
        max: Watts,
    },
    /// A built-in table is damaged.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Power of one machine as a function of its load.
#[derive(Clone, Debug, PartialEq)]
pub struct PowerModel {
    idle: Watts,
    /// From idle to full load.
    dynamic: Watts,
    curve: LoadCurve,
    /// What the figures are: the table's row, or the configuration.
    pub description: String,
    /// How well they fit this machine.
    pub precision: Precision,
    /// Stated error, as a share of the energy: 0.3 is ±30 %.
    pub uncertainty: f64,
}

/// Energy of an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelEnergy {
    /// All of it.
    pub total: Microjoules,
    /// What an idle machine would have used; at most `total`.
    pub idle: Microjoules,
}

impl PowerModel {
    /// From the table: `P = V·(p_idle + (p_max − p_idle)·g(u)) + 0.3·max(0, GB − V·mem_gb_per_thread)`.
    pub fn of(processor: &Processor) -> Result<Self, ModelError> {
        let unknown = || ModelError::UnknownCpu { cpu: describe(&processor.identity) };
        let power = cpu_table::thread_power(&processor.identity)?.ok_or_else(unknown)?;
        let threads = f64::from(processor.threads);
        let more_memory = f64::max(0.0, processor.memory.gib() - threads * power.memory_gib);
        Ok(Self {
            idle: Watts(threads * power.idle.0 + DRAM_WATTS_PER_GIB * more_memory),
            dynamic: Watts(threads * (power.max.0 - power.idle.0)),
            curve: cpu_table::load_curve(Some(&power))?,
            uncertainty: uncertainty(power.precision),
            precision: power.precision,
            description: power.description,
        })
    }

    /// From the operator's figures for the whole machine, memory included; the curve is the CPU family's.
    pub fn configured(processor: &Processor, idle: Watts, max: Watts) -> Result<Self, ModelError> {
        if !(idle.0.is_finite() && max.0.is_finite() && 0.0 <= idle.0 && idle.0 <= max.0) {
            return Err(ModelError::Configured { idle, max });
        }
        let family = cpu_table::thread_power(&processor.identity)?;
        Ok(Self {
            idle,
            dynamic: max - idle,
            curve: cpu_table::load_curve(family.as_ref())?,
            description: "configured idle and maximum power".to_owned(),
            precision: Precision::Configured,
            uncertainty: uncertainty(Precision::Configured),
        })
    }

    /// Mean power at a busy share of all threads, 0 to 1.
    pub fn power(&self, busy: f64) -> Watts {
        Watts(self.idle.0 + self.dynamic.0 * self.curve.at(busy))
    }

    /// Energy over `span` at a busy share of all threads, 0 to 1.
    pub fn energy(&self, busy: f64, span: Nanos) -> ModelEnergy {
        let total = self.power(busy).during(span);
        ModelEnergy { total, idle: self.idle.during(span).min(total) }
    }
}

/// `r = p_idle/p_max` of the CPU's family, for the assumed idle floor of a meter; 0.25 where the family is unknown.
pub fn idle_ratio(cpu: &CpuIdentity) -> Result<f64, TableError> {
    let of_family = |power: &ThreadPower| power.precision == Precision::Family;
    let power = cpu_table::thread_power(cpu)?.filter(of_family);
    Ok(power.map_or(UNKNOWN_IDLE_RATIO, |power| power.idle.0 / power.max.0))
}

const fn uncertainty(precision: Precision) -> f64 {
    match precision {
        Precision::Family | Precision::Configured => UNCERTAINTY,
        Precision::Default | Precision::Proxy => UNCERTAINTY_OTHER_CPU,
    }
}

fn describe(cpu: &CpuIdentity) -> String {
    match cpu {
        CpuIdentity::X86 { vendor, family, model, stepping, name } => {
            // Text of a file: what it holds must not steer a terminal.
            format!("{} family {family} model {model} stepping {stepping} {name:?}", vendor.escape_debug())
        }
        CpuIdentity::Arm { implementer, part } => format!("implementer {implementer:#x} part {part:#x}"),
        CpuIdentity::Other => "it has neither CPUID nor MIDR".to_owned(),
    }
}

#[cfg(test)]
mod tests;
