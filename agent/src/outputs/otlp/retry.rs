//! How long to wait before a request is sent again. Pure: randomness is an argument.

use std::time::Duration;

/// A destination that asks for more is asked again after this: an hour's quota is then probed six times.
const LONGEST_REQUESTED: Duration = Duration::from_secs(600);

/// The bounds of the exponential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Longest first wait.
    pub first: Duration,
    /// Longest wait of all.
    pub most: Duration,
    /// Time between two probes of a destination that refuses for a reason of its configuration.
    pub probe: Duration,
}

impl Default for Pace {
    /// 1 s → 60 s, a probe each minute.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), most: Duration::from_secs(60), probe: Duration::from_secs(60) }
    }
}

/// Exponential back-off with full jitter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: any time up to `first × 2^failures`, at most `most`.
    ///
    /// What the destination asked for (`after`) comes before it: sooner would break its rule, exactly then would
    /// bring all agents back at once. `random` is any number, evenly distributed.
    pub fn next(&mut self, pace: &Pace, after: Option<Duration>, random: u64) -> Duration {
        let factor = 2_u32.checked_pow(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let window = pace.first.saturating_mul(factor).min(pace.most);
        after.unwrap_or_default().min(LONGEST_REQUESTED).saturating_add(part(window, random))
    }
}

/// `random / 2^64` of `window`.
fn part(window: Duration, random: u64) -> Duration {
    let nanos = (window.as_nanos() >> 32).saturating_mul(u128::from(random));
    let rest = ((window.as_nanos() & 0xffff_ffff).saturating_mul(u128::from(random))) >> 32;
    Duration::from_nanos(u64::try_from(nanos.saturating_add(rest) >> 32).unwrap_or(u64::MAX))
}

/// Numbers that spread agents apart; nothing secret depends on them (`SplitMix64`, Steele, Lea, Flood 2014).
#[derive(Clone, Copy, Debug)]
pub struct Spread(pub u64);

impl Spread {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_window_doubles_up_to_a_minute() {
        let mut backoff = Backoff::default();
        let longest: Vec<_> = (0..8).map(|_| backoff.next(&Pace::default(), None, u64::MAX).as_secs_f64()).collect();
        for (waited, window) in longest.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]) {
            assert!((waited - window).abs() < 1e-6, "{longest:?}");
        }
        assert_eq!(backoff.next(&Pace::default(), None, 0), Duration::ZERO, "full jitter starts at nothing");
        assert_eq!(Backoff::default().next(&Pace::default(), None, 1 << 63), SECOND / 2);
    }

    #[test]
    fn what_was_asked_for_is_the_least() {
        assert_eq!(Backoff::default().next(&Pace::default(), Some(7 * SECOND), 0), 7 * SECOND);
        assert_eq!(Backoff::default().next(&Pace::default(), Some(7 * SECOND), 1 << 63), 7 * SECOND + SECOND / 2);
        assert_eq!(Backoff::default().next(&Pace::default(), Some(Duration::MAX), 0), LONGEST_REQUESTED);
    }

    #[test]
    fn two_seeds_go_apart() {
        let (mut one, mut two) = (Spread(1), Spread(2));
        assert!((0..100).all(|_| one.draw() != two.draw()));
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_its_bounds(failures in 0_u32..200, random: u64, after in prop::option::of(0_u64..100_000)) {
            let after = after.map(Duration::from_secs);
            let wait = Backoff { failures }.next(&Pace::default(), after, random);
            let least = after.unwrap_or_default().min(LONGEST_REQUESTED);
            prop_assert!(wait >= least && wait <= least + 60 * SECOND);
        }
    }
}
