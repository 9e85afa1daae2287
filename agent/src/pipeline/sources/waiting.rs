//! Waiting for what the kernel tells by itself: births and deaths of cgroups, and events.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wattrace_common::loss::Reason;

use super::{Sched, Sources, pause};
use crate::{
    probes::bpf::{CgroupChange, CgroupEvents, EventRing},
    samples::Event,
};

impl Sources {
    /// Waits until cgroups changed, the ring of events is half full, or the time is up; returns what changed. Events are to be
    /// taken then: the ring is readable until it is empty.
    pub fn wait(&mut self, span: Duration) -> Vec<CgroupChange> {
        match &mut self.sched {
            Sched::Btf(programs) => {
                let cgroups = programs.cgroups.iter().map(|ring| PollFd::new(ring, PollFlags::IN));
                let events = programs.events.iter().map(|ring| PollFd::new(ring, PollFlags::IN));
                let mut rings: Vec<_> = cgroups.chain(events).collect();
                // Interrupted or timed out: what came until then is taken either way.
                poll(&mut rings, Timespec::try_from(span).ok().as_ref()).ok();
                programs.cgroups.as_mut().map(CgroupEvents::drain).unwrap_or_default()
            }
            Sched::Files(files) => {
                let changes = files.take_changes();
                if changes.is_empty() {
                    pause(span);
                }
                changes
            }
        }
    }

    /// Takes the events that came.
    pub fn take_events(&mut self) -> Vec<Event> {
        match &mut self.sched {
            Sched::Btf(programs) => programs.events.as_mut().map(EventRing::drain).unwrap_or_default(),
            Sched::Files(_) => Vec::new(),
        }
    }

    /// Why there are no events; `None`: there are.
    pub fn without_events(&self) -> Option<&str> {
        match &self.sched {
            Sched::Btf(programs) => programs.events.as_ref().err().map(String::as_str),
            Sched::Files(files) => Some(&files.reason),
        }
    }

    /// Events that did not get through the ring, by reason, since the start.
    pub fn dropped_events(&self) -> [(&'static str, u64); 3] {
        let Sched::Btf(programs) = &self.sched else { return [("limited", 0), ("ring_full", 0), ("malformed", 0)] };
        let losses = programs.times.losses();
        let sum = |reason| losses.iter().filter(|loss| loss.reason == reason).map(|loss| loss.count).sum();
        let malformed = programs.events.as_ref().map_or(0, EventRing::malformed);
        [("limited", sum(Reason::Limited)), ("ring_full", sum(Reason::RingFull)), ("malformed", malformed)]
    }
}
