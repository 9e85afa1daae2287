//! How long the stages of a collection take. The instants are arguments.

use std::collections::BTreeMap;

use crate::{telemetry::snapshot::Histogram, units::Nanos};

/// Part of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// One reading of everything.
    Read,
    /// From the readings of an interval to the books.
    Attribute,
    /// From the books to a snapshot.
    Describe,
    /// Totals to disk.
    Save,
    /// The snapshot to the outputs.
    Offer,
}

impl Stage {
    /// The name metrics use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Attribute => "attribute",
            Self::Describe => "describe",
            Self::Save => "save",
            Self::Offer => "offer",
        }
    }
}

/// All stages since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stages {
    since: Nanos,
    times: BTreeMap<Stage, Histogram>,
}

impl Stages {
    /// The next stage begins.
    pub fn begin(&mut self, now: Nanos) {
        self.since = now;
    }

    /// A stage ends, and the next begins.
    pub fn end(&mut self, stage: Stage, now: Nanos) {
        let span = now.saturating_sub(self.since);
        self.times.entry(stage).or_insert_with(Histogram::of_durations).record(span);
        self.since = now;
    }

    /// Durations by name of the stage.
    pub fn durations(&self) -> BTreeMap<&'static str, Histogram> {
        self.times.iter().map(|(stage, times)| (stage.name(), times.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_has_its_own_time() {
        let mut stages = Stages::default();
        for start in [1_000, 2_000] {
            stages.begin(Nanos::from_millis(start));
            stages.end(Stage::Describe, Nanos::from_millis(start + 10));
            stages.end(Stage::Save, Nanos::from_millis(start + 40));
        }
        let told: Vec<_> =
            stages.durations().into_iter().map(|(name, times)| (name, times.count(), times.sum)).collect();
        assert_eq!(told, [("describe", 2, 0.02), ("save", 2, 0.06)]);
    }
}
