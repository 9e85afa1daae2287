//! The only file that reads a clock. Everything else takes the instant as an argument.
#![expect(clippy::disallowed_methods, reason = "this is the one place that reads clocks")]

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::{samples::Instant, units::Nanos};

fn nanos(at: Timespec) -> Nanos {
    let seconds = u64::try_from(at.tv_sec).unwrap_or(0);
    let rest = u64::try_from(at.tv_nsec).unwrap_or(0);
    Nanos(seconds.saturating_mul(1_000_000_000).saturating_add(rest))
}

/// `CLOCK_MONOTONIC`: the clock that the kernel programs' clock pairs use.
pub fn monotonic() -> Nanos {
    nanos(clock_gettime(ClockId::Monotonic))
}

/// CPU time of all threads of this process so far, to the nanosecond.
pub fn own_cpu() -> Nanos {
    nanos(clock_gettime(ClockId::ProcessCPUTime))
}

/// All three clocks, read one after the other.
pub fn now() -> Instant {
    Instant {
        monotonic: monotonic(),
        boottime: nanos(clock_gettime(ClockId::Boottime)),
        wall: nanos(clock_gettime(ClockId::Realtime)),
    }
}
