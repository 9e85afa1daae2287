//! What time on a CPU weighs when energy is shared out: two threads that share a core do not do the work of two cores.
//!
//! Knowing this cut the mean error of per-process power from 20.5 % to 7.5 % in `HaPPy` (USENIX ATC '14).

use crate::{samples::OnCpu, units::Nanos};

/// How much the second thread of a core adds to the work of the first: 0 nothing, 1 as much as a core of its own.
/// In whole per mille.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SmtGain(u16);

/// Per mille of the whole.
const WHOLE: u16 = 1_000;

impl SmtGain {
    /// Threads count as cores.
    pub const CORES: Self = Self(WHOLE);

    /// Of a number from 0 to 1, rounded to a whole per mille; what lies outside counts as the nearer end.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped to what fits")]
    pub fn new(gain: f64) -> Self {
        Self((gain * f64::from(WHOLE)).round().clamp(0.0, f64::from(WHOLE)) as u16)
    }

    /// As a number from 0 to 1.
    pub fn value(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE)
    }

    /// `w = time − shared·(1−k)/2`: two busy threads of a core do 1+k times the work of one, so that each of them weighs
    /// (1+k)/2 while both run. What is taken off is rounded down to a whole nanosecond: the weights of the parts of a time
    /// are never less than the weight of the whole, so that rounding leaves nothing to nobody.
    pub fn weight(self, on_cpu: OnCpu) -> Nanos {
        let OnCpu { time, shared } = OnCpu::new(on_cpu.time, on_cpu.shared);
        let off = u128::from(shared.0) * u128::from(WHOLE.saturating_sub(self.0)) / u128::from(2 * WHOLE);
        time.saturating_sub(Nanos(u64::try_from(off).unwrap_or(u64::MAX)))
    }
}

/// Published: 0.1 to 0.3.
impl Default for SmtGain {
    fn default() -> Self {
        Self(150)
    }
}

/// How active energy is shared out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// By time on the CPUs: no core has two threads, or nobody tells when both are busy.
    #[default]
    CpuTime,
    /// By time on the CPUs, less where two threads shared a core.
    CpuTimeSmt(SmtGain),
}

impl Method {
    /// The name that metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CpuTime => "cpu_time",
            Self::CpuTimeSmt(_) => "cpu_time+smt",
        }
    }

    /// What the second thread of a core adds, where that matters.
    pub fn gain(self) -> Option<f64> {
        match self {
            Self::CpuTime => None,
            Self::CpuTimeSmt(gain) => Some(gain.value()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weight(gain: f64, time: u64, shared: u64) -> u64 {
        SmtGain::new(gain).weight(OnCpu { time: Nanos(time), shared: Nanos(shared) }).0
    }

    #[test]
    fn weights_by_hand() {
        let rows: [(&str, u64, u64); 9] = [
            ("alone", weight(0.15, 1_000, 0), 1_000),
            ("all shared", weight(0.15, 1_000, 1_000), 575),
            ("two that share all do 1.15 times the work", 2 * weight(0.15, 10_000, 10_000), 11_500),
            ("half shared", weight(0.15, 1_000, 500), 788),
            ("threads as cores", weight(1.0, 1_000, 1_000), 1_000),
            ("the second thread adds nothing", weight(0.0, 1_000, 1_000), 500),
            ("what is taken off is rounded down", weight(0.0, 3, 3), 2),
            ("more shared than there is", weight(0.0, 10, 99), 5),
            ("the largest numbers", weight(0.0, u64::MAX, u64::MAX), 1 << 63),
        ];
        for (name, found, expected) in rows {
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn a_gain_has_whole_per_mille() {
        for (given, kept) in [(0.15, 0.15), (0.123_4, 0.123), (0.0, 0.0), (1.0, 1.0), (-1.0, 0.0), (7.0, 1.0)] {
            assert_eq!(SmtGain::new(given).value().to_bits(), f64::to_bits(kept), "{given}");
        }
        assert_eq!(SmtGain::new(f64::NAN), SmtGain(0), "not a number");
        assert_eq!(SmtGain::new(0.15), SmtGain::default());
        assert_eq!(SmtGain::new(1.0), SmtGain::CORES);
    }

    proptest! {
        #[test]
        fn parts_never_weigh_less_than_the_whole(
            gain in 0.0..=1.0_f64,
            parts in prop::collection::vec((0..1_u64 << 50, 0..1_u64 << 50), 0..30),
        ) {
            let gain = SmtGain::new(gain);
            let parts: Vec<_> = parts.into_iter().map(|(time, shared)| OnCpu::new(Nanos(time), Nanos(shared))).collect();
            let whole = gain.weight(parts.iter().copied().sum()).0;
            let sum: u64 = parts.iter().map(|part| gain.weight(*part).0).sum();
            prop_assert!((whole..=whole + parts.len() as u64).contains(&sum), "{sum} for {whole}");
        }

        #[test]
        fn a_weight_lies_between_half_and_all(gain in 0.0..=1.0_f64, time: u64, shared: u64) {
            let found = weight(gain, time, shared);
            prop_assert!(found <= time && found >= time / 2);
        }
    }
}
