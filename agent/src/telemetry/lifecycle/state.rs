//! What is kept of one series.

use crate::{
    telemetry::{
        catalog::{Kind, Metric},
        snapshot::Value,
    },
    units::Nanos,
};

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) metric: &'static Metric,
    pub(super) start: Nanos,
    pub(super) value: Value,
    pub(super) born: bool,
    pub(super) seen: bool,
    pub(super) end: Option<End>,
}

/// Of one that does not grow any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Boot clock when it ended.
    pub(super) since: Nanos,
    /// First snapshot that holds the final value.
    pub(super) first: u64,
}

impl State {
    pub(super) fn born(metric: &'static Metric, value: Value, start: Nanos) -> Self {
        Self { metric, start, value, born: true, seen: false, end: None }
    }

    /// Whether the value is another. A sum that fell was counted anew: it starts again.
    pub(super) fn update(&mut self, value: Value, birth: Nanos) -> bool {
        if self.metric.kind != Kind::Gauge && fell(&self.value, &value) {
            (self.start, self.born) = (birth, true);
        }
        let differs = self.value != value;
        self.value = value;
        differs
    }

    /// The end, for series whose final value must arrive.
    pub(super) fn waits(&self) -> Option<End> {
        self.end.filter(|_| self.metric.kind != Kind::Gauge)
    }
}

fn fell(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Number(before), Value::Number(after)) => after < before,
        (Value::Histogram(before), Value::Histogram(after)) => after.count() < before.count(),
        // Of a histogram that was told before a restart only the count is known.
        (Value::Number(before), Value::Histogram(after)) => (after.count() as f64) < *before,
        (Value::Histogram(_), Value::Number(_)) => true,
    }
}
