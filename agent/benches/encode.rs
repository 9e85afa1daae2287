//! What a data point costs on the way to OTLP: the encoder, without and with known identities, against the
//! structs that `prost` generates, in one run. `cargo bench -p wattrace --bench encode`.
#![expect(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench that cannot go on fails")]

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{
    BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use prost::Message;
use wattrace::{
    identity::Triplet,
    outputs::otlp::Encoder,
    telemetry::{
        catalog::{self, Entity, Kind, Metric},
        snapshot::{self, EntitySeries, Histogram, Phase, Resource, Series, Snapshot, Value},
    },
    units::Nanos,
};

#[path = "../src/outputs/otlp/encode/tests/oracle.rs"]
mod oracle;

/// CPU time of this thread: what is asked for is the cost, and other work on the machine must not change it.
struct CpuTime;

impl CpuTime {
    #[expect(clippy::disallowed_methods, reason = "measuring is what a bench is for")]
    fn now() -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::try_from(now).unwrap()
    }
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        Self::now()
    }

    fn end(&self, start: Duration) -> Duration {
        Self::now().saturating_sub(start)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

const WORKLOADS: usize = 10_000;

const fn row(
    name: &'static str,
    unit: &'static str,
    kind: Kind,
    attributes: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, unit, kind, entity: Entity::Workload, attributes, help }
}

static ENERGY: Metric = row(
    "wattrace.workload.energy",
    "J",
    Kind::Sum,
    &["wattrace.energy.zone", "wattrace.energy.state"],
    "Energy billed to the workload.",
);
static CARBON: Metric =
    row("wattrace.workload.carbon", "g", Kind::Sum, &["wattrace.carbon.phase"], "Carbon billed to the workload.");
static CPU: Metric = row("wattrace.workload.cpu.time", "s", Kind::Sum, &["wattrace.cpu.shared"], "Time on a CPU.");
static THREADS: Metric = row(
    "wattrace.workload.thread.time",
    "s",
    Kind::Sum,
    &["wattrace.thread.state"],
    "Time of threads by what they did.",
);
static DISK: Metric =
    row("wattrace.workload.disk.io", "By", Kind::Sum, &["disk.io.direction"], "Bytes read and written.");
static RETRANSMITS: Metric =
    row("wattrace.workload.tcp.retransmits", "{segment}", Kind::Sum, &[], "Segments sent again.");
static MEMORY: Metric = row("wattrace.workload.memory.usage", "By", Kind::Gauge, &[], "Resident memory.");
static LATENCY: Metric = row(
    "wattrace.workload.disk.operation.duration",
    "s",
    Kind::Histogram,
    &["disk.io.direction"],
    "From the start of a request to its completion.",
);

static NUMBERS: [(&Metric, &[&[&str]]); 7] = [
    (&ENERGY, &[&["package", "active"], &["package", "idle"], &["dram", "active"], &["dram", "idle"]]),
    (&CARBON, &[&["operational"], &["embodied"]]),
    (&CPU, &[&["true"], &["false"]]),
    (&THREADS, &[&["running"], &["runnable"], &["io_wait"], &["sleeping"], &["uninterruptible"], &["stopped"]]),
    (&DISK, &[&["read"], &["write"]]),
    (&RETRANSMITS, &[&[]]),
    (&MEMORY, &[&[]]),
];
static HISTOGRAMS: [(&Metric, &[&[&str]]); 1] = [(&LATENCY, &[&["read"], &["write"]])];

fn resource(number: usize) -> Arc<Resource> {
    let pod = format!("checkout-7d9f8b6c5-{number:05}");
    let id =
        Triplet { namespace: "shop".to_owned(), name: "checkout".to_owned(), instance: format!("shop.{pod}.server") };
    let attributes = vec![
        ("service.namespace", id.namespace.clone()),
        ("service.name", id.name.clone()),
        ("service.instance.id", id.instance.clone()),
        ("host.id", "4c1d7f5f0a9d4e0f8a6be2a1c33b1f77".to_owned()),
        ("host.name", "node-17.example.internal".to_owned()),
        ("wattrace.workload.kind", "k8s_container".to_owned()),
        ("wattrace.workload.name", "server".to_owned()),
        ("wattrace.cgroup.path", format!("/kubepods.slice/kubepods-burstable.slice/{number:064x}.scope")),
        ("container.id", format!("{number:064x}")),
        ("k8s.namespace.name", "shop".to_owned()),
        ("k8s.pod.name", pod),
        ("k8s.container.name", "server".to_owned()),
    ];
    Arc::new(Resource { id, attributes })
}

fn value(kind: Kind, number: usize) -> Value {
    if kind != Kind::Histogram {
        return Value::Number(number as f64 * 1.000_1);
    }
    let mut buckets = vec![0; 108];
    for (at, bucket) in buckets.iter_mut().enumerate().skip(30).take(40) {
        *bucket = (number * at % 700) as u64;
    }
    Value::Histogram(Histogram {
        scale: 2,
        offset: -80,
        buckets,
        zero: 3,
        zero_threshold: 2_f64.powi(-20),
        sum: number as f64,
    })
}

fn snapshot(rows: &[(&'static Metric, &[&[&'static str]])]) -> Snapshot {
    let told = |number: usize| {
        let all = rows.iter().flat_map(|(metric, labels)| labels.iter().map(|labels| (*metric, *labels)));
        let series = all.map(|(metric, labels)| Series {
            metric,
            attributes: labels.iter().map(|label| (*label).into()).collect(),
            start: Nanos::from_secs(1_800_000_000),
            phase: Phase::Live,
            value: value(metric.kind, number),
        });
        EntitySeries { resource: resource(number), series: series.collect() }
    };
    Snapshot { number: 1, at: Nanos::from_secs(1_800_000_015), entities: (0..WORKLOADS).map(told).collect() }
}

/// Bytes of all chunks.
fn encode(encoder: &mut Encoder, snapshot: &Snapshot) -> usize {
    let mut bytes = 0;
    encoder.encode(snapshot, |chunk| bytes += black_box(chunk).bytes.len());
    bytes
}

fn compare(criterion: &mut Criterion<CpuTime>, name: &str, rows: &[(&'static Metric, &[&[&'static str]])]) {
    let snapshot = snapshot(rows);
    let points = Encoder::default().encode(&snapshot, drop).points;
    let theirs = oracle::request(&snapshot);
    assert_eq!(oracle::points(&theirs) as u64, points, "both tell the same points");
    let per_point = |bytes: usize| bytes as f64 / points as f64;
    println!(
        "{name}: {points} points, bytes per point: wattrace {:.1}, prost {:.1}",
        per_point(encode(&mut Encoder::default(), &snapshot)),
        per_point(theirs.encoded_len()),
    );
    drop(theirs);
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).throughput(Throughput::Elements(points));
    let id = |what| BenchmarkId::new(what, points);
    group.bench_function(id("wattrace cold"), |bencher| {
        bencher.iter_batched_ref(Encoder::default, |encoder| encode(encoder, &snapshot), BatchSize::PerIteration);
    });
    let mut warm = Encoder::default();
    group.bench_function(id("wattrace warm"), |bencher| bencher.iter(|| encode(&mut warm, &snapshot)));
    group.bench_function(id("prost"), |bencher| bencher.iter(|| oracle::request(&snapshot).encode_to_vec().len()));
    group.finish();
}

fn benches(criterion: &mut Criterion<CpuTime>) {
    compare(criterion, "numbers", &NUMBERS);
    compare(criterion, "histograms", &HISTOGRAMS);
}

criterion_group!(name = all; config = Criterion::default().with_measurement(CpuTime); targets = benches);
criterion_main!(all);
