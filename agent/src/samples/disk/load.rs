//! How busy block devices were: from the counters that the kernel keeps of each, whatever its driver.

use std::collections::BTreeMap;

use crate::units::Nanos;

/// The counters of one device, from `/sys/block/*/stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounts {
    /// Requests that ended, of all directions. It does not wrap.
    pub completed: u64,
    /// Milliseconds in which any request was in flight (`io_ticks`). It wraps at 32 bits.
    pub busy: u32,
    /// Milliseconds that all requests were in flight, added up (`time_in_queue`). It wraps at 32 bits.
    pub queued: u32,
    /// Which device this is since boot (`diskseq`): another one under the same name has another. `None`: kernels before
    /// 5.15 do not say.
    pub sequence: Option<u64>,
}

/// How busy a device was in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DiskLoad {
    /// Share of the interval in which any request was in flight, 0 to 1.
    pub utilization: f64,
    /// Requests in flight, mean over the interval.
    pub queue_depth: f64,
}

impl DeviceCounts {
    /// Whether it was ever asked for anything: most loop devices were not.
    pub fn is_used(&self) -> bool {
        self.completed > 0 || self.busy > 0 || self.queued > 0
    }

    /// What came in `span` after `before`; `None`: these are not of the same device, or no time has passed.
    fn since(&self, before: &Self, span: Nanos) -> Option<DiskLoad> {
        if self.sequence != before.sequence || self.completed < before.completed || span.0 == 0 {
            return None;
        }
        let busy = self.busy.wrapping_sub(before.busy);
        // A step back looks like a wrap over more than half of the range, which is 24 days.
        if busy > u32::MAX / 2 {
            return None;
        }
        let queued = self.queued.wrapping_sub(before.queued);
        let share = |millis: u32| Nanos::from_millis(u64::from(millis)).seconds() / span.seconds();
        // A request counts when it ends, on some kernels also the time before the interval.
        Some(DiskLoad { utilization: share(busy).min(1.0), queue_depth: share(queued) })
    }
}

/// What is kept between two looks, by name of the device.
#[derive(Clone, Debug, Default)]
pub struct DiskLoadTracker {
    last: BTreeMap<String, (DeviceCounts, Nanos)>,
}

impl DiskLoadTracker {
    /// Takes the counters of all devices at `at`; `None`: this device keeps no account. Of those that are absent nothing is
    /// kept.
    pub fn observe(
        &mut self,
        devices: impl IntoIterator<Item = (String, Option<DeviceCounts>, Nanos)>,
    ) -> BTreeMap<String, DiskLoad> {
        let before = std::mem::take(&mut self.last);
        let mut loads = BTreeMap::new();
        for (name, counts, at) in devices {
            let Some(counts) = counts else { continue };
            let earlier = before.get(&name).filter(|_| counts.is_used());
            let load = earlier.and_then(|(earlier, since)| counts.since(earlier, at.saturating_sub(*since)));
            loads.extend(load.map(|load| (name.clone(), load)));
            self.last.insert(name, (counts, at));
        }
        loads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn known(completed: u64, busy: u32, queued: u32) -> DeviceCounts {
        DeviceCounts { completed, busy, queued, sequence: Some(7) }
    }

    #[expect(clippy::unnecessary_wraps, reason = "beside devices of which nothing is known")]
    const fn counts(completed: u64, busy: u32, queued: u32) -> Option<DeviceCounts> {
        Some(known(completed, busy, queued))
    }

    /// What is a device, what was read of it second by second, and utilisation and depth of the last interval.
    type Row<'a> = (&'a str, &'a [Option<DeviceCounts>], Option<(f64, f64)>);

    #[test]
    fn busy_and_queued_time_by_the_length_of_the_interval() {
        let max = u32::MAX;
        let another = Some(DeviceCounts { sequence: Some(8), ..known(9, 900, 900) });
        let rows: [Row<'_>; 13] = [
            ("the first look is where counting starts", &[counts(5, 1, 1)], None),
            ("half of the time, with three at once", &[counts(5, 100, 100), counts(9, 600, 1_600)], Some((0.5, 1.5))),
            ("nothing to do", &[counts(5, 100, 100), counts(5, 100, 100)], Some((0.0, 0.0))),
            ("never asked for anything", &[counts(0, 0, 0), counts(0, 0, 0)], None),
            ("asked for the first time", &[counts(0, 0, 0), counts(1, 250, 250)], Some((0.25, 0.25))),
            ("both wrap", &[counts(5, max - 99, max - 499), counts(9, 400, 1_500)], Some((0.5, 2.0))),
            ("it took longer than the interval", &[counts(5, 0, 0), counts(6, 30_000, 30_000)], Some((1.0, 30.0))),
            ("it is another one by its count", &[counts(5, 100, 100), counts(4, 600, 600)], None),
            ("it is another one by its sequence", &[counts(5, 100, 100), another], None),
            ("a step back is no wrap", &[counts(5, 100, 100), counts(5, 99, 100)], None),
            ("no account is kept", &[counts(5, 100, 100), None], None),
            ("an account is kept again", &[counts(5, 100, 100), None, counts(5, 200, 200)], None),
            ("and from then on", &[None, counts(5, 100, 100), counts(6, 200, 300)], Some((0.1, 0.2))),
        ];
        for (name, looks, expected) in rows {
            let mut tracker = DiskLoadTracker::default();
            let mut last = BTreeMap::new();
            for (second, counts) in (1..).zip(looks) {
                last = tracker.observe([("sda".to_owned(), *counts, Nanos::from_secs(second))]);
            }
            let told = last.get("sda").map(|load| (load.utilization, load.queue_depth));
            assert_eq!(told, expected, "{name}");
        }
    }

    #[test]
    fn a_device_that_vanishes_and_returns_begins_anew() {
        let mut tracker = DiskLoadTracker::default();
        let at = Nanos::from_secs;
        tracker.observe([("sda".to_owned(), counts(5, 0, 0), at(1))]);
        assert_eq!(tracker.observe([]), BTreeMap::new());
        assert_eq!(tracker.observe([("sda".to_owned(), counts(6, 900, 900), at(3))]), BTreeMap::new());
        let loads = tracker.observe([("sda".to_owned(), counts(7, 1_000, 1_000), at(4))]);
        assert_eq!(loads["sda"], DiskLoad { utilization: 0.1, queue_depth: 0.1 });
        assert_eq!(tracker.observe([("sda".to_owned(), counts(8, 2_000, 2_000), at(4))]), BTreeMap::new(), "no time");
    }
}
