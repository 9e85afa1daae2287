//! Gathers what turns joules into grams: configuration, embedded tables, what the machine is made of.

use std::path::Path;

use crate::{
    carbon::{
        embodied::{Embodied, EmbodiedConfig},
        footprint::Factors,
        intensity::{self, Basis, IntensityError},
        operational::{InvalidPue, Pue},
    },
    config,
    probes::hardware,
};

/// Why a factor was refused.
#[derive(Debug, thiserror::Error)]
pub enum FactorsError {
    /// No such location, or no such intensity.
    #[error(transparent)]
    Intensity(#[from] IntensityError),
    /// A PUE out of range.
    #[error(transparent)]
    Pue(#[from] InvalidPue),
}

/// The factors in force for this machine.
pub fn factors(root: &Path, config: &config::Carbon) -> Result<Factors, FactorsError> {
    let intensity = match config.intensity {
        Some(value) => intensity::fixed(value, config.location.as_deref(), Basis::Unstated)?,
        None => intensity::at_location(config.location.as_deref())?,
    };
    let pue = config.pue.map_or(Ok(Pue::NOT_APPLIED), Pue::configured)?;
    Ok(Factors { intensity, pue, embodied: embodied(root, config) })
}

fn embodied(root: &Path, config: &config::Carbon) -> Result<Embodied, String> {
    let hardware = hardware::read(root).map_err(|error| error.to_string())?;
    let config = EmbodiedConfig {
        total_kg: config.embodied.map(|total| total.0 / 1_000.0),
        lifespan_years: config.embodied_lifespan_years,
        gpus: 0,
    };
    Embodied::of(&hardware, config).map_err(|error| error.to_string())
}
