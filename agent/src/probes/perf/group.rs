//! The events that one CPU counts. One read tells all of them, at one instant, and disturbs that CPU once: each event by itself
//! would interrupt it again, and wake it where it sleeps.

use std::{io, os::fd::OwnedFd};

use super::{pmu::Counted, zone_error};
use crate::{
    probes::sys,
    samples::{Instant, ZoneError, ZoneInfo, ZoneReading},
    units::{Microjoules, Nanos},
};

/// Events that did not run in a longer span are of a CPU that is gone. Shorter spans say nothing: clocks differ.
const RUNS: Nanos = Nanos::from_millis(1);

/// Events of one CPU, open or to be opened.
#[derive(Debug, Default)]
pub(super) struct Group {
    events: Vec<Event>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Event {
    /// Its place among the zones.
    at: usize,
    counted: Counted,
    /// Its place among the counts of the group, or why it has none.
    slot: Result<usize, ZoneError>,
    /// Whether it ever told a value, which one that begins anew does not continue.
    has_told: bool,
    /// Whether it began anew since.
    is_new: bool,
}

/// A group that counts.
#[derive(Debug)]
struct Open {
    cpu: u32,
    /// In the order of the counts. The first leads.
    events: Vec<OwnedFd>,
    /// When it was last read, and how long it had been running then.
    last: Option<(Nanos, u64)>,
}

impl Group {
    pub(super) fn add(&mut self, at: usize, counted: Counted) {
        self.events.push(Event { at, counted, slot: Err(ZoneError::Gone), has_told: false, is_new: false });
    }

    /// Opens each event on the CPU that counts, if there is one. Those that are refused for good are forgotten, and returned
    /// with the reason.
    pub(super) fn open(&mut self, kind: u32, cpu: Option<u32>) -> Vec<(String, io::Error)> {
        let Some(cpu) = cpu else { return Vec::new() };
        let refused = self.join(kind, cpu);
        self.events.retain(|event| !event.slot.is_err_and(|error| error != ZoneError::Gone));
        refused.into_iter().filter(|(_, error)| zone_error(error) != ZoneError::Gone).collect()
    }

    /// Zones with their places.
    pub(super) fn members(&self) -> impl Iterator<Item = (usize, &ZoneInfo)> {
        self.events.iter().map(|event| (event.at, &event.counted.info))
    }

    pub(super) fn zones(&self) -> impl Iterator<Item = &ZoneInfo> {
        self.members().map(|(_, zone)| zone)
    }

    pub(super) fn counts_what_is_shared_out(&self) -> bool {
        self.events.iter().any(|event| event.slot.is_ok() && event.counted.info.key.kind.is_attributed())
    }

    /// Opens the events that are not counted; returns those that are refused, with the reason.
    fn join(&mut self, kind: u32, cpu: u32) -> Vec<(String, io::Error)> {
        let mut refused = Vec::new();
        let open = self.open.get_or_insert_with(|| Open { cpu, events: Vec::new(), last: None });
        for event in self.events.iter_mut().filter(|event| event.slot.is_err()) {
            match sys::perf_event_open(kind, event.counted.config, cpu, open.events.first()) {
                Ok(fd) => {
                    event.slot = Ok(open.events.len());
                    event.is_new = event.has_told;
                    open.events.push(fd);
                }
                Err(error) => {
                    event.slot = Err(zone_error(&error));
                    refused.push((event.counted.info.hw_id.clone(), error));
                }
            }
        }
        refused
    }

    fn close(&mut self) {
        self.open = None;
        self.events.iter_mut().for_each(|event| event.slot = Err(ZoneError::Gone));
    }

    /// The counter of each zone, with its place. `cpu` is the one that counts now, if there is one.
    pub(super) fn read(&mut self, now: impl Fn() -> Instant, kind: u32, cpu: Option<u32>) -> Vec<(usize, ZoneReading)> {
        let before = now();
        let counts = self.counts(before.monotonic, kind, cpu);
        // The CPU that counts is asked, and answers when it can: somewhere in between.
        let at = before.midway(now());
        let reading = |event: &mut Event| {
            let counter = counts.as_ref().map_err(|error| *error).and_then(|counts| event.tell(counts));
            (event.at, ZoneReading { key: event.counted.info.key, at, counter })
        };
        self.events.iter_mut().map(reading).collect()
    }

    /// What the group counted, opened anew where it counts no more.
    fn counts(&mut self, now: Nanos, kind: u32, cpu: Option<u32>) -> Result<Vec<u64>, ZoneError> {
        if self.open.as_ref().is_some_and(|open| Some(open.cpu) != cpu) {
            self.close();
        }
        let cpu = cpu.ok_or(ZoneError::Gone)?;
        self.join(kind, cpu);
        let read = |group: &mut Self| group.open.as_mut().map_or(Ok(None), |open| open.read(now));
        if let Some(counts) = read(self)? {
            return Ok(counts);
        }
        self.close();
        self.join(kind, cpu);
        read(self)?.ok_or(ZoneError::Gone)
    }
}

impl Event {
    fn tell(&mut self, counts: &[u64]) -> Result<Microjoules, ZoneError> {
        let count = counts.get(self.slot?).ok_or(ZoneError::Retry)?;
        if std::mem::take(&mut self.is_new) {
            return Err(ZoneError::Restarted);
        }
        self.has_told = true;
        self.counted.scale.energy(*count).ok_or(ZoneError::Retry)
    }
}

impl Open {
    /// Counts since it was opened; `None`: its CPU is gone, and it does not count any more.
    fn read(&mut self, now: Nanos) -> Result<Option<Vec<u64>>, ZoneError> {
        let Some(leader) = self.events.first() else { return Ok(None) };
        let read = sys::perf_group_read(leader, self.events.len()).map_err(|error| zone_error(&error))?;
        let Some((counts, running)) = read.filter(|(_, running)| !is_dead(self.last, (now, *running))) else {
            return Ok(None);
        };
        // A CPU's clock may tell the same twice in short spans: only a longer one says that it stands still.
        if self.last.is_none_or(|(_, before)| running > before) {
            self.last = Some((now, running));
        }
        Ok(Some(counts))
    }
}

/// Whether an event that had been running so long at some instant stands still: the kernel tells no error of one whose CPU
/// is gone, but the same count for ever, which would pass for no energy.
fn is_dead(last: Option<(Nanos, u64)>, (now, running): (Nanos, u64)) -> bool {
    last.is_some_and(|(since, before)| running <= before && now.saturating_sub(since) > RUNS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        probes::perf::scale::Scale,
        samples::{Scope, ZoneKey, ZoneKind},
        units::Watts,
    };

    /// `PERF_TYPE_SOFTWARE`, whose events need no hardware: `PERF_COUNT_SW_CPU_CLOCK`, `PERF_COUNT_SW_TASK_CLOCK`.
    const SOFTWARE: u32 = 1;
    const CLOCKS: [u64; 2] = [0, 1];
    const NO_SUCH_EVENT: u64 = 9_999;

    fn group(configs: &[u64]) -> Group {
        let mut group = Group::default();
        for (at, config) in configs.iter().enumerate() {
            let key = ZoneKey { kind: ZoneKind::Package, scope: Scope::Socket(0) };
            let info = ZoneInfo {
                key,
                hw_id: format!("event {config}"),
                parent: None,
                range: Microjoules(u64::MAX),
                unit: Microjoules(1),
                max_power: Watts(1.0),
            };
            let scale = Scale::parse("1e-6").expect("a scale");
            group.add(at, Counted { info, leader: key.scope, config: *config, scale });
        }
        group
    }

    fn read(group: &mut Group, cpu: Option<u32>) -> Vec<Result<Microjoules, ZoneError>> {
        let readings = group.read(crate::clock::now, SOFTWARE, cpu);
        readings.into_iter().map(|(_, reading)| reading.counter).collect()
    }

    /// The group, open on CPU 0; `None`: this process may count nothing.
    fn opened(configs: &[u64]) -> Option<(Group, Vec<(String, io::Error)>)> {
        let mut group = group(configs);
        let refused = group.open(SOFTWARE, Some(0));
        if refused.iter().any(|(_, error)| zone_error(error) == ZoneError::Denied) {
            println!("skipped: counting on a CPU is not permitted");
            return None;
        }
        Some((group, refused))
    }

    #[test]
    fn all_of_a_cpu_are_counted_at_one_instant() {
        let Some((mut group, refused)) = opened(&CLOCKS) else { return };
        assert!(refused.is_empty() && group.counts_what_is_shared_out(), "{refused:?}");
        let readings = group.read(crate::clock::now, SOFTWARE, Some(0));
        assert_eq!(readings.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(readings[0].1.at, readings[1].1.at);
        let first: Vec<_> = readings.iter().map(|(_, reading)| reading.counter.expect("a count")).collect();
        let later = read(&mut group, Some(0));
        assert!((0..2).all(|at| later[at].expect("a count") >= first[at]), "{first:?} {later:?}");
    }

    #[test]
    fn an_event_that_is_refused_costs_no_other() {
        let Some((mut group, refused)) = opened(&[CLOCKS[0], NO_SUCH_EVENT, CLOCKS[1]]) else { return };
        assert_eq!(refused.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["event 9999"]);
        let readings = group.read(crate::clock::now, SOFTWARE, Some(0));
        assert_eq!(readings.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 2]);
        assert!(readings.iter().all(|(_, reading)| reading.counter.is_ok()), "{readings:?}");
    }

    #[test]
    fn counts_that_begin_anew_say_so_once_and_each_for_itself() {
        let Some((mut group, _)) = opened(&CLOCKS) else { return };
        assert!(read(&mut group, Some(0)).iter().all(Result::is_ok));
        assert_eq!(read(&mut group, None), [Err(ZoneError::Gone); 2], "no CPU counts");
        assert_eq!(read(&mut group, Some(0)), [Err(ZoneError::Restarted); 2]);
        assert!(read(&mut group, Some(0)).iter().all(Result::is_ok));
        // One that comes later than the others.
        group.events[1].slot = Err(ZoneError::Gone);
        let late = read(&mut group, Some(0));
        assert!(late[0].is_ok() && late[1] == Err(ZoneError::Restarted), "{late:?}");
        assert!(read(&mut group, Some(0)).iter().all(Result::is_ok));
    }

    #[test]
    fn a_count_that_stands_still_is_dead_and_not_zero_energy() {
        let second = Nanos::from_secs(1);
        assert!(!is_dead(None, (second, 0)));
        assert!(!is_dead(Some((Nanos(0), 5)), (second, 6)));
        assert!(is_dead(Some((Nanos(0), 5)), (second, 5)));
        assert!(!is_dead(Some((Nanos(0), 5)), (Nanos(1_000), 5)), "two reads right after another");
    }
}
