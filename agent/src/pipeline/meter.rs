//! The energy meter in use: perf, else powercap, else hwmon, else the power model, else none, and why.
//!
//! The model is read like a meter: a counter of microjoules that advances with the load.

use std::path::Path;

use super::witness::Witness;
use crate::{
    attribution::model::PowerModel,
    config::{self, MeterKind},
    probes::{
        hwmon::{self, Hwmon, HwmonError},
        model,
        perf::{self, Perf, PerfError},
        powercap::{self, Powercap, SkipReason},
    },
    samples::{
        EnergySource, Instant, Scope, ZoneInfo, ZoneKey, ZoneKind, ZoneReading, counter, load::Load, machine::Processor,
    },
    units::{Microjoules, Nanos, Watts},
};

/// The zone that the power model fills.
pub const MODEL_ZONE: ZoneKey = ZoneKey { kind: ZoneKind::Server, scope: Scope::Machine };

/// Where energy comes from.
#[derive(Debug)]
pub enum Meter {
    /// RAPL through the perf PMU.
    Perf(Perf),
    /// RAPL through powercap.
    Powercap(Powercap),
    /// Sensors of CPUs or of the machine.
    Hwmon(Hwmon),
    /// The power model.
    Model(Box<ModelMeter>),
    /// Nothing.
    None,
}

/// The power model as a counter.
#[derive(Debug)]
pub struct ModelMeter {
    /// Power by load.
    pub model: PowerModel,
    zone: ZoneInfo,
    counter: Microjoules,
    /// Up to when the counter counts.
    until: Option<Instant>,
}

/// The meter chosen, and why a better one was not.
#[derive(Debug)]
pub struct Chosen {
    /// What is used.
    pub meter: Meter,
    /// One sentence per source that was passed over.
    pub passed_over: Vec<String>,
    /// The processor, where it could be read.
    pub processor: Option<Processor>,
    /// Another interface to the same counters, until the two were compared.
    pub witness: Option<Witness>,
}

/// Chooses a meter below `root`: the one that was asked for or none, else the best that can be read.
pub fn choose(root: &Path, config: &config::Energy) -> Chosen {
    let mut passed_over = Vec::new();
    let processor = model::processor(root).map_err(|error| passed_over.push(error.to_string())).ok();
    let (meter, witness) = measured(root, config.source, &mut passed_over).unwrap_or_else(|| {
        let is_wanted = config.source.is_none_or(|source| source == MeterKind::Model);
        let processor = processor.as_ref().filter(|_| is_wanted);
        (processor.map_or(Meter::None, |processor| modelled(processor, config, &mut passed_over)), None)
    });
    Chosen { meter, passed_over, processor, witness }
}

/// The only one that is wanted, else the first that can be read, and with perf another interface to the same counters.
fn measured(root: &Path, only: Option<MeterKind>, passed_over: &mut Vec<String>) -> Option<(Meter, Option<Witness>)> {
    let is_wanted = |kind| only.is_none_or(|only| only == kind);
    let powercap = powercap::discover(root);
    if is_wanted(MeterKind::Perf) {
        match perf(root, powercap.as_ref().ok()) {
            Some(Ok(perf)) => return Some((Meter::Perf(perf), powercap.ok().map(Witness::new))),
            Some(Err(error)) => passed_over.push(error.to_string()),
            None if only.is_some() => passed_over
                .push(format!("perf counts for the running kernel only, and not for what is below {}", root.display())),
            None => {}
        }
    }
    if is_wanted(MeterKind::Powercap) {
        match powercap {
            Ok(powercap) => return Some((Meter::Powercap(powercap), None)),
            Err(error) => passed_over.push(error.to_string()),
        }
    }
    if is_wanted(MeterKind::Hwmon) {
        match hwmon::discover(root) {
            Ok(hwmon) => return Some((Meter::Hwmon(hwmon), None)),
            // As on most machines: not worth a word, if nobody asked for it.
            Err(HwmonError::NoSensor { .. }) if only.is_none() => {}
            Err(error) => passed_over.push(error.to_string()),
        }
    }
    None
}

fn modelled(processor: &Processor, config: &config::Energy, passed_over: &mut Vec<String>) -> Meter {
    if config.idle.is_some() && config.max.is_none() {
        passed_over.push("energy.idle_watts is not used: the power model needs energy.max_watts beside it".to_owned());
    }
    match power_model(processor, config) {
        Ok(model) => Meter::Model(Box::new(ModelMeter::new(model))),
        Err(error) => {
            passed_over.push(error);
            Meter::None
        }
    }
}

/// The perf meter counts the running kernel's energy: another root has none.
fn perf(root: &Path, powercap: Option<&Powercap>) -> Option<Result<Perf, PerfError>> {
    let perf = (root == Path::new("/")).then(|| perf::discover(root))?;
    Some(perf.map(|mut perf| {
        perf.bound(powercap.map_or(&[], |powercap| powercap.zones()));
        perf
    }))
}

impl Chosen {
    /// Zones that are there and not measured, one sentence each; a zone that is shown twice is measured.
    pub fn not_measured(&self) -> Vec<String> {
        match &self.meter {
            Meter::Perf(perf) => perf.skipped().iter().map(ToString::to_string).collect(),
            Meter::Powercap(powercap) => {
                let lost = powercap.skipped().iter().filter(|zone| !matches!(zone.reason, SkipReason::Duplicate(_)));
                lost.map(ToString::to_string).collect()
            }
            Meter::Hwmon(_) | Meter::Model(_) | Meter::None => Vec::new(),
        }
    }
}

fn power_model(processor: &Processor, config: &config::Energy) -> Result<PowerModel, String> {
    let model = match (config.idle, config.max) {
        (Some(idle), Some(max)) => PowerModel::configured(processor, idle, max),
        _ => PowerModel::of(processor),
    };
    model.map_err(|error| error.to_string())
}

impl Meter {
    /// What stands beside every figure.
    pub fn source(&self) -> EnergySource {
        match self {
            Self::Perf(perf) => perf.source(),
            Self::Powercap(powercap) => powercap.source(),
            Self::Hwmon(_) => EnergySource::Hwmon,
            Self::Model(_) => EnergySource::Model,
            Self::None => EnergySource::None,
        }
    }

    /// Whether its counters go on while no agent runs; those of perf begin when they are opened.
    pub const fn counts_by_itself(&self) -> bool {
        matches!(self, Self::Powercap(_))
    }

    /// The zones that are read.
    pub fn zones(&self) -> &[ZoneInfo] {
        match self {
            Self::Perf(perf) => perf.zones(),
            Self::Powercap(powercap) => powercap.zones(),
            Self::Hwmon(hwmon) => hwmon.zones(),
            Self::Model(model) => std::slice::from_ref(&model.zone),
            Self::None => &[],
        }
    }

    /// Reads each zone that is `due`. Only the model needs to know how busy the CPUs were since the last reading.
    pub fn read(
        &mut self,
        now: impl Fn() -> Instant,
        load: &Load,
        due: &dyn Fn(&ZoneInfo) -> bool,
    ) -> Vec<ZoneReading> {
        match self {
            Self::Perf(perf) => perf.read(now, due),
            Self::Powercap(powercap) => powercap.read(now, due),
            Self::Hwmon(hwmon) => hwmon.read(now, due),
            Self::Model(model) => vec![model.advance(now(), load)],
            Self::None => Vec::new(),
        }
    }

    /// The longest time between two readings in which no zone can wrap unnoticed.
    pub fn longest_poll(&self) -> Option<Nanos> {
        counter::poll_interval(self.zones().iter().map(counter::Bounds::from))
    }
}

impl ModelMeter {
    fn new(model: PowerModel) -> Self {
        let zone = ZoneInfo {
            key: MODEL_ZONE,
            hw_id: "model".to_owned(),
            parent: None,
            range: Microjoules(u64::MAX),
            unit: Microjoules(1),
            // Far above what the model can say: its steps are never taken for a reset.
            max_power: Watts(model.power(1.0).0 * 2.0 + 1.0),
        };
        Self { model, zone, counter: Microjoules(0), until: None }
    }

    /// Counts over the time between its own readings, as a meter does: the idle floor is later taken over the same time,
    /// and what an idle machine used must be that floor.
    fn advance(&mut self, at: Instant, load: &Load) -> ZoneReading {
        let since = self.until.replace(at).unwrap_or(at);
        let span = at.boottime.saturating_sub(since.boottime);
        let energy = self.model.energy(load.share(Scope::Machine).unwrap_or(0.0), span).total;
        self.counter = self.counter.saturating_add(energy);
        ZoneReading { key: MODEL_ZONE, at, counter: Ok(self.counter) }
    }
}
