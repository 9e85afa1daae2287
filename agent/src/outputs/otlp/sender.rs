//! The task that empties the queue towards one destination: what is sent when, again, in parts, or not at all.
//!
//! It knows no protocol: it is given a function that sends bytes and says what came of it.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    select,
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

use self::{
    orders::{renewed, stopped},
    search::Search,
    shared::{Shared, Tally},
};
use super::{
    Chunk,
    outcome::{Encoding, Outcome},
    queue::{Batch, Items},
    retry::{Backoff, Pace, Spread},
};

mod orders;
mod search;
mod shared;

pub use shared::{Handle, Notice, Statistics};

/// A fault that may pass is given this many retries.
const RETRIES: u32 = 5;

/// How to send.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Compression; zstd falls back to gzip where it is refused.
    pub encoding: Encoding,
    /// Waits.
    pub pace: Pace,
    /// What is sent.
    pub items: Items,
    /// Bytes that the queue may hold.
    pub bound: usize,
    /// Spreads the retries of many agents apart; different on each.
    pub seed: u64,
}

/// What became of one request in the end.
enum Settled {
    Delivered,
    TooLarge(String),
    Poison(String),
    GivenUp(String),
    /// Not settled: its snapshot had to make room or goes to another destination, all of it; or the agent stops and the
    /// destination refuses.
    Left,
}

/// The sender of one destination.
#[derive(Debug)]
pub struct Sender {
    shared: Arc<Shared>,
    stop: watch::Receiver<Option<Instant>>,
    /// The encoding for the destination; told anew when that is another.
    way: watch::Receiver<Encoding>,
    pace: Pace,
    encoding: Encoding,
    /// Whether the snapshot under way was left because the destination is another.
    turned: bool,
    backoff: Backoff,
    spread: Spread,
}

/// A sender, and the handle by which it is fed.
pub fn new(settings: &Settings) -> (Handle, Sender) {
    let (shared, (stop, way)) = Shared::new((settings.bound, settings.items), settings.encoding);
    let shared = Arc::new(shared);
    let sender = Sender {
        shared: Arc::clone(&shared),
        stop,
        way,
        pace: settings.pace,
        encoding: settings.encoding,
        turned: false,
        backoff: Backoff::default(),
        spread: Spread(settings.seed),
    };
    (Handle::new(shared), sender)
}

impl Sender {
    /// Sends what comes until [`Handle::stop`]; then what is left, until the deadline. `send` sends one request.
    ///
    /// What could not be sent stays counted as waiting.
    pub async fn run<A: Future<Output = Outcome>>(mut self, send: impl Fn(Bytes, Encoding) -> A) {
        let mut stop = self.stop.clone();
        let mut drain = pin!(self.drain(&send));
        let deadline = select! {
            () = &mut drain => return,
            deadline = stopped(&mut stop) => deadline,
        };
        // Late or not, the queue says what is left.
        let _in_time = timeout_at(deadline, drain).await.is_ok();
    }

    async fn drain<A: Future<Output = Outcome>>(&mut self, send: &impl Fn(Bytes, Encoding) -> A) {
        loop {
            let Some(batch) = self.shared.front() else {
                if self.stopping() {
                    return;
                }
                select! {
                    () = self.shared.offered() => {}
                    _ = stopped(&mut self.stop) => {}
                }
                continue;
            };
            let mut tally = Tally::default();
            if self.deliver(&batch, &mut tally, send).await {
                self.shared.settle(batch.number, &tally);
            } else if !std::mem::take(&mut self.turned) && self.stopping() {
                return;
            }
        }
    }

    /// False when the snapshot was left.
    async fn deliver<A: Future<Output = Outcome>>(
        &mut self,
        batch: &Batch,
        tally: &mut Tally,
        send: &impl Fn(Bytes, Encoding) -> A,
    ) -> bool {
        let mut todo: Vec<_> = batch.requests().rev().cloned().collect();
        while let Some(chunk) = todo.pop() {
            match self.settle(batch.number, &chunk, tally, send).await {
                Settled::Delivered => {}
                Settled::TooLarge(why) => {
                    let halves = chunk.split();
                    if halves.is_none() {
                        tally.too_large = tally.too_large.saturating_add(chunk.points);
                        self.shared.say_once(Notice::TooLarge(why));
                    }
                    todo.extend(halves.into_iter().flat_map(|(left, right)| [right, left]));
                }
                Settled::Poison(why) => {
                    self.shared.say_once(Notice::Refused(why));
                    if !self.search(batch.number, chunk, tally, send).await {
                        return false;
                    }
                }
                Settled::GivenUp(why) => {
                    tally.given_up = tally.given_up.saturating_add(chunk.points);
                    self.shared.say_once(Notice::GivenUp(why));
                }
                Settled::Left => return false,
            }
        }
        true
    }

    /// Sends all of `chunk` but what the destination refuses for good. False when the snapshot was left.
    async fn search<A: Future<Output = Outcome>>(
        &mut self,
        number: u64,
        chunk: Chunk,
        tally: &mut Tally,
        send: &impl Fn(Bytes, Encoding) -> A,
    ) -> bool {
        let mut search = Search::new(chunk);
        while let Some(probe) = search.probe() {
            match self.settle(number, &probe, tally, send).await {
                Settled::Delivered => search.taken(),
                Settled::TooLarge(_) | Settled::Poison(_) | Settled::GivenUp(_) => search.refused(),
                Settled::Left => return false,
            }
        }
        tally.poison = tally.poison.saturating_add(search.found());
        tally.given_up = tally.given_up.saturating_add(search.unsearched());
        true
    }

    /// Sends one request as often as its answers want it.
    async fn settle<A: Future<Output = Outcome>>(
        &mut self,
        number: u64,
        chunk: &Chunk,
        tally: &mut Tally,
        send: &impl Fn(Bytes, Encoding) -> A,
    ) -> Settled {
        let mut faults = 0;
        while self.shared.waits(number) {
            if self.is_elsewhere() {
                return Settled::Left;
            }
            let outcome = select! {
                biased;
                outcome = send(chunk.bytes.clone(), self.encoding) => outcome,
                () = renewed(&mut self.way) => continue,
            };
            self.shared.count(&outcome);
            match outcome {
                Outcome::Delivered { rejected, message } => {
                    self.delivered(chunk, tally, rejected, message);
                    return Settled::Delivered;
                }
                Outcome::Retry { after, why } => {
                    self.shared.trouble(Notice::Unreachable(why));
                    self.back_off(after).await;
                }
                Outcome::FiveRetries { why } if faults == RETRIES => return Settled::GivenUp(why),
                Outcome::FiveRetries { why } => {
                    faults += 1;
                    self.shared.trouble(Notice::Unreachable(why));
                    self.back_off(None).await;
                }
                Outcome::Gzip if self.encoding == Encoding::Gzip => {
                    return Settled::Poison("gzip is refused".to_owned());
                }
                Outcome::Gzip => {
                    self.encoding = Encoding::Gzip;
                    self.shared.say_once(Notice::Gzip);
                }
                Outcome::Hold { why } => {
                    self.shared.trouble(Notice::Held(why));
                    if self.stopping() {
                        return Settled::Left;
                    }
                    self.rest(self.pace.probe).await;
                }
                Outcome::Split { why } => return Settled::TooLarge(why),
                Outcome::Poison { why } => return Settled::Poison(why),
                Outcome::Drop { why } => return Settled::GivenUp(why),
            }
        }
        Settled::Left
    }

    fn delivered(&mut self, chunk: &Chunk, tally: &mut Tally, rejected: u64, message: Option<String>) {
        // Nothing holds a destination to the points it was sent.
        let rejected = rejected.min(chunk.points);
        tally.rejected = tally.rejected.saturating_add(rejected);
        tally.delivered = tally.delivered.saturating_add(chunk.points.saturating_sub(rejected));
        self.backoff = Backoff::default();
        self.shared.recovered();
        if let Some(message) = message {
            self.shared.say_once(Notice::Remark(message));
        }
    }

    async fn back_off(&mut self, after: Option<Duration>) {
        let wait = self.backoff.next(&self.pace, after, self.spread.draw());
        self.rest(wait).await;
    }

    /// Waits. When the agent is told to stop in the meantime it tries at once, and quickly from then on.
    async fn rest(&mut self, wait: Duration) {
        if self.stopping() {
            return sleep(wait).await;
        }
        select! {
            () = sleep(wait) => {}
            () = renewed(&mut self.way) => {}
            _ = stopped(&mut self.stop) => self.backoff = Backoff::default(),
        }
    }

    /// Whether the destination is another than it was; then what is known of the old one is forgotten.
    fn is_elsewhere(&mut self) -> bool {
        if !self.way.has_changed().unwrap_or(false) {
            return false;
        }
        self.encoding = *self.way.borrow_and_update();
        self.backoff = Backoff::default();
        self.turned = true;
        true
    }

    fn stopping(&self) -> bool {
        self.stop.borrow().is_some()
    }
}

#[cfg(test)]
mod tests;
