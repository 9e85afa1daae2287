//! What is kept of the life of series across a restart of the agent: the starts of those that go on counting.
//!
//! Only sums and histograms of the node and of workloads do, and the energy of the agent, for their totals are kept too. What else
//! the agent counts of itself begins anew. Ends are not kept: whoever ended is found dead again, and its final value has to arrive once more.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Known, Lifecycle, State};
use crate::{
    identity::Triplet,
    samples::Instant,
    telemetry::{
        catalog::{self, Entity, Kind},
        snapshot::{Resource, Value},
        timeline::Timeline,
    },
    units::Nanos,
};

/// A [`Lifecycle`] at rest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LifecycleRecord {
    /// Number of the last snapshot.
    pub number: u64,
    /// Its time.
    pub at: Nanos,
    /// Highest number that every destination acknowledged.
    pub acknowledged: u64,
    /// Series forgotten before their final value was acknowledged.
    pub dropped: u64,
    /// Sums and histograms whose totals are kept.
    pub series: Vec<SeriesRecord>,
}

/// One series at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeriesRecord {
    /// Whose.
    pub id: Triplet,
    /// Name of the metric.
    pub metric: String,
    /// Values of its attributes.
    pub attributes: Vec<String>,
    /// Start of the cumulative value.
    pub start: Nanos,
    /// The last value told; of a histogram its count.
    pub value: f64,
}

impl Lifecycle {
    /// Goes on where `record` stopped. Metrics that the catalogue has not any more are left out.
    pub fn restore(record: LifecycleRecord, now: Instant) -> Self {
        let mut entities: BTreeMap<Triplet, Known> = BTreeMap::new();
        for series in record.series {
            let Some(metric) = catalog::ALL.iter().find(|metric| metric.name == series.metric) else { continue };
            if metric.attributes.len() != series.attributes.len() || metric.kind == Kind::Gauge {
                continue;
            }
            let known = entities.entry(series.id).or_insert_with_key(|id| {
                let resource = Arc::new(Resource { id: id.clone(), attributes: id.attributes().into() });
                Known { provisional: true, ..Known::new(&resource) }
            });
            let attributes = series.attributes.into_iter().map(Cow::Owned).collect();
            let state = State::born(metric, Value::Number(series.value), series.start);
            known.series.insert((catalog::position(metric), attributes), State { born: false, ..state });
        }
        Self {
            timeline: Timeline::new(now, record.at),
            number: record.number,
            acknowledged: record.acknowledged.min(record.number),
            dropped: record.dropped,
            entities,
            ..Self::new(now)
        }
    }

    /// What [`Lifecycle::restore`] needs.
    pub fn record(&self) -> LifecycleRecord {
        let series = self.entities.iter().flat_map(|(id, known)| known.series.iter().map(move |series| (id, series)));
        LifecycleRecord {
            number: self.number,
            at: self.timeline.last(),
            acknowledged: self.acknowledged,
            dropped: self.dropped,
            series: series.filter_map(|(id, ((_, attributes), state))| series_record(id, attributes, state)).collect(),
        }
    }
}

fn series_record(id: &Triplet, attributes: &[Cow<'static, str>], state: &State) -> Option<SeriesRecord> {
    let value = match &state.value {
        Value::Number(value) => *value,
        Value::Histogram(histogram) => histogram.count() as f64,
    };
    let has_total = state.metric.entity != Entity::Agent || *state.metric == catalog::AGENT_ENERGY;
    let kept = value.is_finite() && state.metric.kind != Kind::Gauge && has_total;
    kept.then(|| SeriesRecord {
        id: id.clone(),
        metric: state.metric.name.to_owned(),
        attributes: attributes.iter().map(|value| value.clone().into_owned()).collect(),
        start: state.start,
        value,
    })
}
