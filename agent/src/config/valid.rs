//! The configuration as the agent uses it: in range, free of contradictions, with units.

use std::{fmt, ops::RangeInclusive};

use toml::Spanned;

use super::raw;
use crate::units::{Grams, GramsPerKwh, Watts};

/// A configuration that makes sense. The default is that of no file: everything is found out or assumed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The machine's power.
    pub energy: Energy,
    /// Carbon.
    pub carbon: Carbon,
}

/// What the operator knows about the machine's power.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Energy {
    /// Idle floor; `None`: saved, measured or assumed.
    pub idle: Option<Watts>,
    /// Power when fully busy, for the power model; never without `idle` and never below it.
    pub max: Option<Watts>,
}

/// Where the machine stands and what was emitted to make it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carbon {
    /// Grid zone, ISO 3166-2 or country code, by form alone; whether it is in the tables is theirs to say.
    pub location: Option<String>,
    /// Fixed intensity; never together with `location`.
    pub intensity: Option<GramsPerKwh>,
    /// Power usage effectiveness, at least 1, without unit; `None`: not applied.
    pub pue: Option<f64>,
    /// Emissions of making the machine; `None`: estimated from its parts.
    pub embodied: Option<Grams>,
    /// Years over which those are spread; `None`: the default.
    pub embodied_lifespan_years: Option<f64>,
}

/// One thing that is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where the value starts, in bytes from the start of the file.
    pub offset: Option<usize>,
    /// The key, `energy.idle_watts`.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.what)
    }
}

/// Everything that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

/// A node with eight accelerators draws 10 kW; ten times that is a slip of the unit.
const WATTS: RangeInclusive<f64> = 0.0..=100_000.0;
/// The range in which answers of grid services are believed, too.
const INTENSITY: RangeInclusive<f64> = 0.1..=2_000.0;
/// Below 1 the building would use less than what stands in it.
const PUE: RangeInclusive<f64> = 1.0..=5.0;
/// From a single-board computer to a full chassis.
const EMBODIED_KG: RangeInclusive<f64> = 1.0..=100_000.0;
const LIFESPAN_YEARS: RangeInclusive<f64> = 0.5..=30.0;
const LOCATION_CHARS: usize = 32;

impl TryFrom<raw::Config> for Config {
    type Error = Mistakes;

    fn try_from(raw: raw::Config) -> Result<Self, Mistakes> {
        let mut found = Vec::new();
        let energy = energy(&raw.energy, &mut found);
        let carbon = carbon(&raw.carbon, &mut found);
        if found.is_empty() { Ok(Self { energy, carbon }) } else { Err(Mistakes(found)) }
    }
}

fn energy(raw: &raw::Energy, found: &mut Vec<Mistake>) -> Energy {
    const IDLE: &str = "energy.idle_watts";
    const MAX: &str = "energy.max_watts";
    let idle = within(IDLE, raw.idle_watts.as_ref(), &WATTS, found).map(Watts);
    let max = within(MAX, raw.max_watts.as_ref(), &WATTS, found).map(Watts);
    let complain = |what: &str| Mistake { offset: start(raw.max_watts.as_ref()), key: MAX, what: what.to_owned() };
    match (raw.idle_watts.is_some(), idle, max) {
        (_, Some(idle), Some(max)) if max.0 < idle.0 => {
            found.push(complain(
                "is below energy.idle_watts: a busy machine draws no less than an idle one, correct one of them",
            ));
        }
        (false, _, Some(_)) => found.push(complain("says nothing without energy.idle_watts: add it, or remove this")),
        _ => {}
    }
    Energy { idle, max }
}

fn carbon(raw: &raw::Carbon, found: &mut Vec<Mistake>) -> Carbon {
    const INTENSITY_KEY: &str = "carbon.intensity_g_per_kwh";
    let location = location(raw.location.as_ref(), found);
    let intensity = within(INTENSITY_KEY, raw.intensity_g_per_kwh.as_ref(), &INTENSITY, found).map(GramsPerKwh);
    if raw.location.is_some() && raw.intensity_g_per_kwh.is_some() {
        let what = "contradicts carbon.location, which looks the intensity up: keep one of them".to_owned();
        found.push(Mistake { offset: start(raw.intensity_g_per_kwh.as_ref()), key: INTENSITY_KEY, what });
    }
    Carbon {
        location,
        intensity,
        pue: within("carbon.pue", raw.pue.as_ref(), &PUE, found),
        embodied: within("carbon.embodied_kg", raw.embodied_kg.as_ref(), &EMBODIED_KG, found).map(|kg| Grams(kg * 1e3)),
        embodied_lifespan_years: within(
            "carbon.embodied_lifespan_years",
            raw.embodied_lifespan_years.as_ref(),
            &LIFESPAN_YEARS,
            found,
        ),
    }
}

fn start<T>(value: Option<&Spanned<T>>) -> Option<usize> {
    value.map(|value| value.span().start)
}

/// The value if it is a number in range; TOML knows `nan` and `inf`, which never are.
fn within(
    key: &'static str,
    value: Option<&Spanned<f64>>,
    range: &RangeInclusive<f64>,
    found: &mut Vec<Mistake>,
) -> Option<f64> {
    let number = *value?.get_ref();
    if range.contains(&number) {
        return Some(number);
    }
    let what = format!("is {number}: give a number from {} to {}", range.start(), range.end());
    found.push(Mistake { offset: start(value), key, what });
    None
}

fn location(value: Option<&Spanned<String>>, found: &mut Vec<Mistake>) -> Option<String> {
    let text = value?.get_ref();
    let is_code = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if is_code && (1..=LOCATION_CHARS).contains(&text.len()) {
        return Some(text.clone());
    }
    let what = "is no zone or country code: give one such as \"DE\", \"US-CA\" or \"US-CAL-CISO\"".to_owned();
    found.push(Mistake { offset: start(value), key: "carbon.location", what });
    None
}
