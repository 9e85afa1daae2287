//! Grams of CO2-equivalent from the electricity used: `E / 3.6e6 · PUE · I`.

use super::intensity::Intensity;
use crate::units::{Grams, Microjoules};

/// Above this no machine room is: the value is a percentage or a typing error.
const LARGEST_PUE: f64 = 5.0;

/// Where the PUE comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PueSource {
    /// The operator gave it.
    Configured,
    /// None is known: 1.0, the energy is the machine's alone.
    NotApplied,
}

impl PueSource {
    /// The name metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::NotApplied => "not_applied",
        }
    }
}

/// Power usage effectiveness: energy of the whole facility per energy of its machines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pue {
    value: f64,
    source: PueSource,
}

/// Why a PUE was refused.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a PUE of {0} makes no sense: give 1.0 to 5.0, the facility's energy divided by its machines'")]
pub struct InvalidPue(pub f64);

impl Pue {
    /// No PUE is known.
    pub const NOT_APPLIED: Self = Self { value: 1.0, source: PueSource::NotApplied };

    /// From the configuration.
    pub fn configured(value: f64) -> Result<Self, InvalidPue> {
        if (1.0..=LARGEST_PUE).contains(&value) {
            Ok(Self { value, source: PueSource::Configured })
        } else {
            Err(InvalidPue(value))
        }
    }

    /// The factor.
    pub fn value(self) -> f64 {
        self.value
    }

    /// Where it comes from.
    pub fn source(self) -> PueSource {
        self.source
    }
}

/// Operational carbon of energy used while `intensity` was in force.
pub fn operational(energy: Microjoules, pue: Pue, intensity: &Intensity) -> Grams {
    Grams(energy.joules().at(intensity.value).0 * pue.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{carbon::intensity::at_location, units::GramsPerKwh};

    #[test]
    fn a_kilowatt_hour_costs_intensity_times_pue() {
        let intensity = Intensity { value: GramsPerKwh(400.0), ..at_location(None).expect("the world") };
        let kwh = Microjoules(3_600_000_000_000);
        assert!((operational(kwh, Pue::NOT_APPLIED, &intensity).0 - 400.0).abs() < 1e-9);
        let pue = Pue::configured(1.5).expect("a PUE");
        assert!((operational(kwh, pue, &intensity).0 - 600.0).abs() < 1e-9);
        assert!(operational(Microjoules(0), pue, &intensity).0.abs() < 1e-12);
    }

    #[test]
    fn a_pue_says_where_it_comes_from_and_makes_sense() {
        assert_eq!(Pue::NOT_APPLIED.source().name(), "not_applied");
        assert_eq!(Pue::configured(1.0).map(|pue| pue.source().name()), Ok("configured"));
        for bad in [0.99, 150.0, f64::NAN, -1.0] {
            assert!(Pue::configured(bad).is_err(), "{bad}");
        }
    }
}
