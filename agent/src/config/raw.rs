//! The configuration file exactly as it is written: names, types, and where each value stands. What the
//! values mean, and whether they make sense together, is [`super::valid`]'s.

use serde::Deserialize;
use toml::Spanned;

/// The whole file. A key that is not listed here is refused: a misspelt key must not be a silent default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `[energy]`
    pub energy: Energy,
    /// `[carbon]`
    pub carbon: Carbon,
}

/// `[energy]`: what the operator knows about the machine's power.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Energy {
    /// Power of the idle machine, in watts.
    pub idle_watts: Option<Spanned<f64>>,
    /// Power of the fully busy machine, in watts.
    pub max_watts: Option<Spanned<f64>>,
}

/// `[carbon]`: where the machine stands and what was emitted to make it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Carbon {
    /// Grid zone, ISO 3166-2 or country code.
    pub location: Option<Spanned<String>>,
    /// Fixed carbon intensity, in grams of CO2e per kilowatt-hour.
    pub intensity_g_per_kwh: Option<Spanned<f64>>,
    /// Power usage effectiveness of the site, without unit.
    pub pue: Option<Spanned<f64>>,
    /// Emissions of making the machine, in kilograms of CO2e.
    pub embodied_kg: Option<Spanned<f64>>,
    /// Years over which those are spread.
    pub embodied_lifespan_years: Option<Spanned<f64>>,
}
