//! Quantities with their unit, and the only conversions between them.
//!
//! Energy that must add up is an integer number of microjoules. Joules, watts and grams are what is
//! shown. A bare number with a unit appears in no signature outside `probes`.

use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty) $(+ $extra:ident)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize $(, $extra)*)]
        #[serde(transparent)]
        pub struct $name(pub $inner);
    };
}

unit!(
    /// Energy as the meters count it and the books keep it.
    Microjoules(u64) + Eq + Ord + Hash
);
unit!(
    /// A span or an instant of a nanosecond clock.
    Nanos(u64) + Eq + Ord + Hash
);
unit!(
    /// An amount of memory or data.
    Bytes(u64) + Eq + Ord + Hash
);
unit!(
    /// CPUs, in millionths: what may be reserved of a machine.
    MicroCpus(u64) + Eq + Ord + Hash
);
unit!(
    /// Energy as it is shown.
    Joules(f64)
);
unit!(
    /// Power: joules per second.
    Watts(f64)
);
unit!(
    /// Mass of CO2-equivalent.
    Grams(f64)
);
unit!(
    /// Carbon intensity of electricity: grams of CO2-equivalent per kilowatt-hour.
    GramsPerKwh(f64)
);

/// Joules in one kilowatt-hour.
const JOULES_PER_KWH: f64 = 3.6e6;

impl Microjoules {
    /// For display and for floating-point factors.
    pub fn joules(self) -> Joules {
        Joules(self.0 as f64 / 1e6)
    }

    /// Mean power over `span`; zero over no time.
    pub fn over(self, span: Nanos) -> Watts {
        if span.0 == 0 { Watts(0.0) } else { Watts(self.0 as f64 * 1e3 / span.0 as f64) }
    }

    /// Sum that stays at the largest value instead of wrapping.
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Difference, never below zero.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Watts {
    /// Energy of this power over `span`, rounded to whole microjoules; not a number counts as zero.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float to int casts saturate")]
    pub fn during(self, span: Nanos) -> Microjoules {
        Microjoules((self.0 * span.0 as f64 / 1e3).round() as u64)
    }
}

impl Nanos {
    /// For display.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Whole milliseconds as nanoseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Whole seconds as nanoseconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Difference, never below zero.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl From<std::time::Duration> for Nanos {
    fn from(span: std::time::Duration) -> Self {
        Self(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanos> for std::time::Duration {
    fn from(span: Nanos) -> Self {
        Self::from_nanos(span.0)
    }
}

impl MicroCpus {
    /// Whole CPUs.
    pub const fn whole(cpus: u64) -> Self {
        Self(cpus.saturating_mul(1_000_000))
    }

    /// Difference, never below zero.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Bytes {
    /// In GiB, as memory modules are sold.
    pub fn gib(self) -> f64 {
        self.0 as f64 / f64::from(1_u32 << 30)
    }
}

impl Joules {
    /// Grams at an intensity: `g = J / 3.6e6 · I`.
    pub fn at(self, intensity: GramsPerKwh) -> Grams {
        Grams(self.0 / JOULES_PER_KWH * intensity.0)
    }
}

// Whole numbers stay at their ends: a wrapped sum would be invented energy, a panic a lost interval.
macro_rules! additive {
    ($($name:ident, $add:expr, $sub:expr;)*) => { $(
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self { Self($add(self.0, other.0)) }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self { Self($sub(self.0, other.0)) }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) { *self = *self + other; }
        }
        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
                items.fold(Self::default(), Add::add)
            }
        }
    )* };
}
additive! {
    Microjoules, u64::saturating_add, u64::saturating_sub;
    Nanos, u64::saturating_add, u64::saturating_sub;
    Bytes, u64::saturating_add, u64::saturating_sub;
    MicroCpus, u64::saturating_add, u64::saturating_sub;
    Joules, f64::add, f64::sub;
    Watts, f64::add, f64::sub;
    Grams, f64::add, f64::sub;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watt_for_a_second_is_a_million_microjoules() {
        assert_eq!(Watts(1.0).during(Nanos::from_secs(1)), Microjoules(1_000_000));
        assert!((Microjoules(1_000_000).over(Nanos::from_secs(1)).0 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_kilowatt_hour_costs_its_intensity() {
        assert!((Joules(3.6e6).at(GramsPerKwh(458.0)).0 - 458.0).abs() < 1e-9);
    }

    #[test]
    fn nonsense_power_is_no_energy() {
        assert_eq!(Watts(f64::NAN).during(Nanos::from_secs(1)), Microjoules(0));
        assert_eq!(Watts(-5.0).during(Nanos::from_secs(1)), Microjoules(0));
    }

    #[test]
    fn whole_numbers_stay_at_their_ends() {
        let (most, one) = (Microjoules(u64::MAX), Microjoules(1));
        assert_eq!((most + one, [most, most, one].into_iter().sum(), one - most), (most, most, Microjoules(0)));
        let mut total = Nanos(u64::MAX - 1);
        for expected in [u64::MAX, u64::MAX] {
            total += Nanos(1);
            assert_eq!(total, Nanos(expected));
        }
        assert_eq!((MicroCpus::whole(u64::MAX), MicroCpus::whole(2)), (MicroCpus(u64::MAX), MicroCpus(2_000_000)));
        assert_eq!((Bytes(u64::MAX) + Bytes(5), Bytes(7) - Bytes(5)), (Bytes(u64::MAX), Bytes(2)));
        assert_eq!((Nanos::from_secs(u64::MAX), Nanos::from_millis(u64::MAX)), (Nanos(u64::MAX), Nanos(u64::MAX)));
    }
}
