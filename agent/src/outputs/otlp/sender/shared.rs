//! What the sampling thread and the sender share: the queue, the accounts, and what is to be said.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    super::queue::{Batch, Count, Dropped, Items, Queue},
    Encoding, Outcome,
};

/// Distinct texts that are said; a destination that makes each its own would fill the log.
const DISTINCT: usize = 64;
/// Reasons that are said of one outage.
const REASONS: usize = 8;
/// Notices that wait to be taken.
const NOTICES: usize = 64;

/// What the operator should know, each once and not per request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// Requests fail and are sent again.
    Unreachable(String),
    /// The configuration, here or there, keeps the data back.
    Held(String),
    /// Requests arrive again.
    Recovered,
    /// A Resource is never taken.
    Refused(String),
    /// A Resource is too large even alone.
    TooLarge(String),
    /// A request was given up.
    GivenUp(String),
    /// The destination took data and remarked something.
    Remark(String),
    /// It refuses zstd; gzip from now on.
    Gzip,
}

impl Notice {
    /// Whether somebody has to do something about it.
    pub const fn is_warning(&self) -> bool {
        !matches!(self, Self::Recovered | Self::Remark(_) | Self::Gzip)
    }

    /// For people, of what is sent.
    pub fn about(&self, items: Items) -> String {
        let items = items.name();
        match self {
            Self::Unreachable(why) => format!("destination does not take {items} now, they wait: {why}"),
            Self::Held(why) => {
                format!("destination refuses this agent, {items} wait; check endpoint and rights: {why}")
            }
            Self::Recovered => format!("destination takes {items} again"),
            Self::Refused(why) => format!("destination refuses some {items} for good, they are dropped: {why}"),
            Self::TooLarge(why) => format!("{items} of one resource are too large for the destination: {why}"),
            Self::GivenUp(why) => format!("destination of {items} failed repeatedly, a request was dropped: {why}"),
            Self::Remark(text) => format!("destination took {items} and remarked: {text}"),
            Self::Gzip => format!("destination refuses zstd for {items}, gzip is used"),
        }
    }
}

/// The accounts of one destination.
///
/// `offered.points = delivered + rejected + poison + too_large + given_up + dropped + waiting.points`, at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// What came.
    pub offered: Count,
    /// What waits, a snapshot on its way included.
    pub waiting: Count,
    /// Bytes that wait.
    pub waiting_bytes: usize,
    /// What left the queue unsent.
    pub dropped: Dropped,
    /// Snapshots that were dealt with.
    pub settled: u64,
    /// Points that the destination took.
    pub delivered: u64,
    /// Points that it took notice of and refused (partial success).
    pub rejected: u64,
    /// Points of Resources for which it refuses whole requests.
    pub poison: u64,
    /// Points of Resources that are too large even alone.
    pub too_large: u64,
    /// Points dropped after retries, or because no culprit was found.
    pub given_up: u64,
    /// Requests sent.
    pub requests: u64,
    /// Requests that did not deliver what was in them.
    pub failed: u64,
    /// Number of the latest snapshot of which every point was taken or refused for good; 0 before the first.
    ///
    /// Snapshots go in order, so what stood in each since some number has arrived once this reaches that number.
    pub acknowledged: u64,
    /// Why nothing is sent now, if so.
    pub trouble: Option<Notice>,
    /// Notices that nobody took in time, and texts beyond the distinct ones that are said.
    pub unsaid: u64,
}

/// Points of one snapshot while it is being dealt with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) delivered: u64,
    pub(super) rejected: u64,
    pub(super) poison: u64,
    pub(super) too_large: u64,
    pub(super) given_up: u64,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    statistics: Statistics,
    notices: VecDeque<Notice>,
    said: BTreeSet<Notice>,
    /// Why nothing arrives, as said since that began.
    reasons: BTreeSet<Notice>,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    wake: Notify,
    stop: watch::Sender<Option<Instant>>,
    way: watch::Sender<Encoding>,
}

type Orders = (watch::Receiver<Option<Instant>>, watch::Receiver<Encoding>);

impl Shared {
    pub(super) fn new((bound, items): (usize, Items), encoding: Encoding) -> (Self, Orders) {
        let (stop, stopped) = watch::channel(None);
        let (way, ways) = watch::channel(encoding);
        let state = State {
            queue: Queue::new(bound, items),
            statistics: Statistics::default(),
            notices: VecDeque::new(),
            said: BTreeSet::new(),
            reasons: BTreeSet::new(),
        };
        (Self { state: Mutex::new(state), wake: Notify::new(), stop, way }, (stopped, ways))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here is left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The snapshot to send. Its bytes are shared, not copied.
    pub(super) fn front(&self) -> Option<Batch> {
        self.state().queue.front().cloned()
    }

    pub(super) fn waits(&self, number: u64) -> bool {
        self.state().queue.contains(number)
    }

    /// Waits until something was offered.
    pub(super) async fn offered(&self) {
        self.wake.notified().await;
    }

    /// Counts a request.
    pub(super) fn count(&self, outcome: &Outcome) {
        let statistics = &mut self.state().statistics;
        statistics.requests = statistics.requests.saturating_add(1);
        if !matches!(outcome, Outcome::Delivered { .. }) {
            statistics.failed = statistics.failed.saturating_add(1);
        }
    }

    /// Closes the books of a snapshot. One that had to make room meanwhile is counted by the queue, not here.
    pub(super) fn settle(&self, number: u64, tally: &Tally) {
        let mut state = self.state();
        if !state.queue.settle(number) {
            return;
        }
        let statistics = &mut state.statistics;
        statistics.settled = statistics.settled.saturating_add(1);
        for (sum, points) in [
            (&mut statistics.delivered, tally.delivered),
            (&mut statistics.rejected, tally.rejected),
            (&mut statistics.poison, tally.poison),
            (&mut statistics.too_large, tally.too_large),
            (&mut statistics.given_up, tally.given_up),
        ] {
            *sum = sum.saturating_add(points);
        }
        if tally.given_up == 0 {
            statistics.acknowledged = number;
        }
    }

    /// Says `notice` unless it was said before.
    pub(super) fn say_once(&self, notice: Notice) {
        let mut state = self.state();
        if state.said.contains(&notice) {
            return;
        }
        if state.said.len() >= DISTINCT {
            state.statistics.unsaid = state.statistics.unsaid.saturating_add(1);
            return;
        }
        state.said.insert(notice.clone());
        state.say(notice);
    }

    /// Nothing arrives. Said when it begins, and each further reason once: the texts of failing connections may differ
    /// from one to the next, so that only some are said.
    pub(super) fn trouble(&self, notice: Notice) {
        let mut state = self.state();
        state.statistics.trouble = Some(notice.clone());
        if state.reasons.len() < REASONS && state.reasons.insert(notice.clone()) {
            state.say(notice);
        }
    }

    pub(super) fn recovered(&self) {
        let mut state = self.state();
        if state.statistics.trouble.take().is_some() {
            state.reasons.clear();
            state.say(Notice::Recovered);
        }
    }
}

impl State {
    fn say(&mut self, notice: Notice) {
        if self.notices.len() >= NOTICES {
            self.notices.pop_front();
            self.statistics.unsaid = self.statistics.unsaid.saturating_add(1);
        }
        self.notices.push_back(notice);
    }
}

/// The sampling thread's end. It never waits for the destination.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Puts a snapshot into the queue; numbers ascend.
    pub fn offer(&self, batch: Batch) {
        let mut state = self.shared.state();
        state.statistics.offered.add(&batch);
        state.queue.push(batch);
        drop(state);
        self.shared.wake.notify_one();
    }

    /// The accounts as they stand.
    pub fn statistics(&self) -> Statistics {
        let state = self.shared.state();
        Statistics {
            waiting: state.queue.waiting(),
            waiting_bytes: state.queue.size(),
            dropped: state.queue.dropped(),
            ..state.statistics.clone()
        }
    }

    /// Takes what is to be said.
    pub fn notices(&self) -> Vec<Notice> {
        self.shared.state().notices.drain(..).collect()
    }

    /// Tells the sender that the function it sends with leads to another destination: what waits goes there, at once,
    /// a snapshot on its way from its beginning.
    pub fn redirect(&self, encoding: Encoding) {
        let mut state = self.shared.state();
        state.statistics.trouble = None;
        state.said.clear();
        drop(state);
        self.shared.way.send_replace(encoding);
    }

    /// Tells the sender to send what is left, and to end when that is done or `within` is over.
    pub fn stop(&self, within: Duration) {
        self.shared.stop.send_replace(Instant::now().checked_add(within).or_else(|| Some(Instant::now())));
    }
}
