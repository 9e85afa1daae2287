//! What the difference of two readings of an energy counter means.
//!
//! RAPL counters have 32 bits and wrap within minutes; drivers reset them; machines suspend. Each case
//! has its own name here, so that none is mistaken for energy. It stops at one counter: what is kept
//! between readings is in [`super::zone`].

use super::{Instant, ZoneInfo};
use crate::units::{Microjoules, Nanos, Watts};

/// How far BOOTTIME may run ahead of MONOTONIC before it means a suspend. The two are read one after
/// the other, so a preempted reader sees them apart.
const CLOCK_TOLERANCE: Nanos = Nanos::from_millis(10);
/// What any socket is allowed to draw: more than any sold, less than what would hide a reset.
const SOCKET_MAX_WATTS: f64 = 1_000.0;
/// Limits above this are placeholders of the firmware, not powers.
const PLAUSIBLE_LIMIT_WATTS: f64 = 1_500.0;
/// Short peaks above the configured limit.
const PEAK_FACTOR: f64 = 2.0;

/// What a zone's counter can and cannot do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// `R`: after this value the counter starts from 0. 0: unknown, and every step is a gap.
    pub range: Microjoules,
    /// `u`: smallest step of the counter.
    pub unit: Microjoules,
    /// `P_max`: power the zone cannot exceed, never learned from data.
    pub max_power: Watts,
}

impl From<&ZoneInfo> for Bounds {
    fn from(zone: &ZoneInfo) -> Self {
        Self { range: zone.range, unit: zone.unit, max_power: zone.max_power }
    }
}

/// What happened between two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is no earlier reading.
    First,
    /// This much energy.
    Delta(Microjoules),
    /// This much energy, and the counter passed its range once.
    Wrapped(Microjoules),
    /// The counter does not continue the earlier one: the interval's energy is unknown.
    Reset,
    /// Suspended, or so long that more than one wrap could hide: the interval's energy is unknown.
    Gap,
}

/// Compares two readings of one zone.
///
/// With `B = P_max·Δt + u`, in this order: suspended or `B ≥ R/2` → gap; rising by at most `B` → delta;
/// falling, and rising by at most `B` across the range → wrapped; anything else → reset. A clock that
/// went back bounds nothing: a gap.
pub fn step(previous: Option<(Microjoules, Instant)>, now: (Microjoules, Instant), bounds: &Bounds) -> Step {
    let Some((before, since)) = previous else { return Step::First };
    let (after, at) = now;
    let Some(most) = most_energy(since, at, bounds) else { return Step::Gap };
    let (e0, e1) = (u128::from(before.0), u128::from(after.0));
    if e1 >= e0 {
        return if e1 - e0 <= most { Step::Delta(after.saturating_sub(before)) } else { Step::Reset };
    }
    let across = (e1 + u128::from(bounds.range.0)).checked_sub(e0).filter(|energy| *energy <= most);
    across
        .and_then(|energy| u64::try_from(energy).ok())
        .map_or(Step::Reset, |energy| Step::Wrapped(Microjoules(energy)))
}

/// Whether no counter value read at `at` could be compared with one read at `since`.
pub(super) fn is_gap(since: Instant, at: Instant, bounds: &Bounds) -> bool {
    most_energy(since, at, bounds).is_none()
}

/// `B`, the largest energy the zone can have used, in microjoules; `None` where the interval cannot be judged.
fn most_energy(since: Instant, at: Instant, bounds: &Bounds) -> Option<u128> {
    let span = at.monotonic.0.checked_sub(since.monotonic.0)?;
    let with_sleep = at.boottime.0.checked_sub(since.boottime.0)?;
    if with_sleep.abs_diff(span) > CLOCK_TOLERANCE.0 {
        return None;
    }
    let most = u128::from(bounds.max_power.during(Nanos(span)).0) + u128::from(bounds.unit.0);
    (2 * most < u128::from(bounds.range.0)).then_some(most)
}

/// `P_max` of a zone that covers `sockets` sockets: the larger of 1 kW per socket and twice the largest
/// limit. `limits` are the zone's `constraint_*_{max_power,power_limit}_uw`; zeros and values over 1.5 kW say nothing.
pub fn max_power(sockets: u32, limits: impl IntoIterator<Item = Watts>) -> Watts {
    let largest =
        limits.into_iter().map(|limit| limit.0).filter(|limit| *limit <= PLAUSIBLE_LIMIT_WATTS).fold(0.0, f64::max);
    Watts(f64::max(f64::from(sockets.max(1)) * SOCKET_MAX_WATTS, PEAK_FACTOR * largest))
}

/// Longest time between two readings at which no zone can wrap twice: the least `R/(4·P_max)`.
/// `None`: there is no zone with a known range.
pub fn poll_interval(zones: impl IntoIterator<Item = Bounds>) -> Option<Nanos> {
    zones.into_iter().filter(|zone| zone.range.0 > 0 && zone.max_power.0 > 0.0).map(|zone| quarter_wrap(&zone)).min()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float to int casts saturate")]
fn quarter_wrap(zone: &Bounds) -> Nanos {
    Nanos((zone.range.0 as f64 * 1e3 / (4.0 * zone.max_power.0)) as u64)
}

#[cfg(test)]
mod tests;
