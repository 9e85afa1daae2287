//! The OTLP sender and its HTTP client against a receiver with faults: what arrives, what is counted, what is said.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails like the test itself")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use wattrace::outputs::otlp::{
    Chunk, Span,
    http::{Client, Settings as Http, endpoint, endpoint::Endpoint, proxy::Proxies},
    outcome::Encoding,
    queue::Batch,
    queue::Items,
    retry::Pace,
    sender::{self, Handle, Notice, Settings, Statistics},
};
use wattrace_tests::receiver::{Fault, Receiver, Request, closed_port};

/// A test that needs longer hangs.
const DEADLINE: Duration = Duration::from_secs(60);
/// Of one request, where nothing is meant to stall.
const LONG: Duration = Duration::from_secs(30);
/// Of one request, where it is.
const SHORT: Duration = Duration::from_millis(300);

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], &*varint(content.len()), content].concat()
}

/// A Resource of one point that carries `name`, with `padding` bytes around it.
fn resource(name: &str, padding: usize) -> Vec<u8> {
    let metric = [field(1, name.as_bytes()), field(3, &vec![b'-'; padding]), field(7, &field(1, b""))].concat();
    field(1, &field(2, &field(2, &metric)))
}

fn chunk(names: &[String], padding: usize) -> Chunk {
    let mut bytes = Vec::new();
    let mut resources = Vec::new();
    for (entity, name) in names.iter().enumerate() {
        let resource = resource(name, padding);
        resources.push(Span { entity, len: resource.len(), points: 1 });
        bytes.extend(resource);
    }
    Chunk::of(bytes.into(), resources)
}

fn names(batch: u64, count: usize) -> Vec<String> {
    (0..count).map(|index| format!("<{batch}.{index}>")).collect()
}

/// Three snapshots of two chunks each, all names distinct.
fn batches() -> Vec<Batch> {
    let batch = |number| {
        let names = names(number, 20);
        let chunks = names.chunks(10).map(|names| chunk(names, 50)).collect();
        Batch { number, chunks, ..Batch::default() }
    };
    (1..=3).map(batch).collect()
}

fn offer(handle: &Handle) {
    for batch in batches() {
        handle.offer(batch);
    }
}

fn all_names() -> Vec<String> {
    (1..=3).flat_map(|number| names(number, 20)).collect()
}

/// The names in a body: what stands between angle brackets, which nothing else contains.
fn named(body: &[u8]) -> impl Iterator<Item = String> {
    let ends = |piece: &[u8]| piece.iter().position(|byte| *byte == b'>');
    let pieces = body.split(|byte| *byte == b'<').skip(1);
    pieces.filter_map(move |piece| Some(format!("<{}>", std::str::from_utf8(piece.get(..ends(piece)?)?).ok()?)))
}

/// How often each name arrived in a request that was taken.
fn arrived(requests: &[Request], names: &[String]) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), 0)).collect();
    for name in requests.iter().filter(|request| request.taken).flat_map(|request| named(&request.body)) {
        counts.entry(name).and_modify(|count| *count += 1);
    }
    counts
}

fn settings() -> Settings {
    let pace =
        Pace { first: Duration::from_millis(1), most: Duration::from_millis(20), probe: Duration::from_millis(5) };
    Settings { encoding: Encoding::Gzip, pace, items: Items::Metrics, bound: 16 << 20, seed: 1 }
}

fn client(endpoint: &str, timeout: Duration) -> Client {
    let url = endpoint::metrics(&Endpoint::General(endpoint.to_owned())).unwrap();
    let headers = vec![("x-tenant".to_owned(), "a".to_owned())];
    Client::new(Http { url, headers, timeout, certificate: None, client: None, proxies: Proxies::default() }).unwrap()
}

fn send(client: &Client, sender: sender::Sender) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(sender.run(|bytes: Bytes, encoding| client.send(bytes, encoding)));
}

/// What is left of a run.
struct Done {
    statistics: Statistics,
    notices: Vec<Notice>,
    requests: Vec<Request>,
    count: usize,
}

impl Done {
    fn of(handle: &Handle, receiver: &Receiver) -> Self {
        let statistics = handle.statistics();
        let s = &statistics;
        let dropped = [s.dropped.thinned, s.dropped.full];
        let gone = s.delivered + s.rejected + s.poison + s.too_large + s.given_up;
        let dropped = dropped.iter().map(|count| count.points).sum::<u64>();
        assert_eq!(s.offered.points, gone + dropped + s.waiting.points, "the accounts add up: {s:?}");
        Self { notices: handle.notices(), requests: receiver.requests(), count: receiver.count(), statistics }
    }

    /// Everything arrived, once, in order, and nothing is left.
    fn complete(&self) {
        self.arrived_at_least_once();
        assert!(arrived(&self.requests, &all_names()).values().all(|count| *count == 1), "{:?}", self.statistics);
    }

    fn arrived_at_least_once(&self) {
        let arrived = arrived(&self.requests, &all_names());
        assert!(arrived.values().all(|count| *count >= 1), "{arrived:?}");
        assert_eq!((self.statistics.delivered, self.statistics.acknowledged), (60, 3));
        assert_eq!(self.statistics.trouble, None);
    }

    fn said(&self, text: &str) -> usize {
        self.notices.iter().filter(|notice| notice.about(Items::Metrics).contains(text)).count()
    }
}

/// Sends the three snapshots and flushes.
fn run_with(settings: Settings, timeout: Duration, script: impl Fn(usize) -> Fault + Send + Sync + 'static) -> Done {
    let receiver = Receiver::start(script).unwrap();
    let (handle, sender) = sender::new(&settings);
    offer(&handle);
    handle.stop(DEADLINE);
    send(&client(&receiver.endpoint(), timeout), sender);
    Done::of(&handle, &receiver)
}

fn run(script: impl Fn(usize) -> Fault + Send + Sync + 'static) -> Done {
    run_with(settings(), LONG, script)
}

/// Like [`run`], told to stop only when request `last` comes: until then the sender waits as long as it takes.
fn run_until(last: usize, script: impl Fn(usize) -> Fault + Send + Sync + 'static) -> Done {
    let (handle, sender) = sender::new(&settings());
    let stop = handle.clone();
    let receiver = Receiver::start(move |number| {
        if number == last {
            stop.stop(DEADLINE);
        }
        script(number)
    });
    let receiver = receiver.unwrap();
    offer(&handle);
    send(&client(&receiver.endpoint(), LONG), sender);
    Done::of(&handle, &receiver)
}

/// `fault` for the first `count` requests.
fn first(count: usize, fault: Fault) -> impl Fn(usize) -> Fault + Send + Sync {
    move |number| if number < count { fault.clone() } else { Fault::None }
}

#[test]
fn all_is_well() {
    for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
        let done = run_with(Settings { encoding, ..settings() }, LONG, |_| Fault::None);
        done.complete();
        assert_eq!((done.count, done.notices.len()), (6, 0));
        for request in &done.requests {
            assert_eq!(request.path, "/v1/metrics");
            assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
            assert_eq!(request.header("x-tenant"), Some("a"));
            assert!(request.header("user-agent").unwrap().contains("wattrace/"));
        }
    }
}

#[test]
fn failures_that_pass_lose_nothing_and_are_said_once() {
    let date = |time: &str| format!("Sun, 06 Nov 1994 {time} GMT");
    let later = vec![("date", date("08:49:37")), ("retry-after", date("08:49:37"))];
    for fault in [
        Fault::ResetMidBody,
        Fault::Garbage,
        Fault::Endless,
        Fault::status(429),
        Fault::status(502),
        Fault::status(503),
        Fault::status(504),
        Fault::status(500),
        Fault::Answer(503, vec![("retry-after", "0".into())], b"later".to_vec()),
        Fault::Answer(503, later, Vec::new()),
        Fault::Answer(503, vec![("retry-after", "soon".into())], vec![0xff; 100]),
    ] {
        let shown = format!("{fault:?}");
        let done = run(first(4, fault));
        done.complete();
        assert_eq!((done.statistics.failed, done.count), (4, 10), "{shown}");
        assert_eq!((done.said("does not take metrics now"), done.said("again")), (1, 1), "{shown}");
    }
}

#[test]
fn a_silent_destination_is_asked_again() {
    for fault in [Fault::Stall, Fault::DripHead] {
        let done = run_with(settings(), SHORT, first(2, fault));
        done.arrived_at_least_once();
        assert!(done.statistics.failed >= 2 && done.said("does not take metrics now") >= 1);
    }
}

#[test]
fn a_slow_or_senseless_remark_does_not_make_a_delivery_fail() {
    let done = run_with(settings(), SHORT, first(1, Fault::DripBody));
    done.arrived_at_least_once();
    run(|_| Fault::Answer(200, Vec::new(), vec![0xff; 1000])).complete();
    run(|_| Fault::Answer(202, vec![("content-type", "text/html".into())], b"<html>".to_vec())).complete();
}

#[test]
fn an_answer_without_end_is_not_read_to_its_end() {
    let (handle, sender) = sender::new(&settings());
    let receiver = Receiver::start(first(1, Fault::Endless)).unwrap();
    offer(&handle);
    handle.stop(DEADLINE);
    send(&client(&receiver.endpoint(), LONG), sender);
    Done::of(&handle, &receiver).complete();
    // What fits between two sockets, against a thousand million bytes.
    assert!(receiver.written() < 64 << 20, "{}", receiver.written());
}

#[test]
fn a_destination_that_comes_up_late_gets_everything() {
    let address = closed_port().unwrap();
    let (handle, sender) = sender::new(&settings());
    offer(&handle);
    let late: Arc<OnceLock<Receiver>> = Arc::default();
    let (receiver, watched) = (Arc::clone(&late), handle.clone());
    // It is started by the tenth failure.
    let client = client(&format!("http://{address}"), LONG);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(sender.run(|bytes: Bytes, encoding| {
        if watched.statistics().failed == 10 {
            receiver.get_or_init(|| Receiver::start_at(address, |_| Fault::None).unwrap());
            watched.stop(DEADLINE);
        }
        client.send(bytes, encoding)
    }));
    let done = Done::of(&handle, late.get().unwrap());
    done.complete();
    assert_eq!((done.statistics.failed, done.said("does not take metrics now"), done.said("again")), (10, 1, 1));
}

#[test]
fn partial_success_is_counted_said_once_and_not_sent_again() {
    let done = run(first(3, Fault::partial(2, "out of order")));
    assert_eq!((done.count, done.statistics.rejected, done.statistics.delivered), (6, 6, 54));
    assert_eq!((done.statistics.acknowledged, done.said("out of order"), done.notices.len()), (3, 1, 1));
}

#[test]
fn too_large_is_cut_until_it_fits() {
    for (status, text) in [(413, ""), (413, "length limit exceeded"), (400, "http: request body too large")] {
        let limit = resource("<1.10>", 50).len() * 3;
        let done = run(move |_| Fault::Limit(limit, status, text));
        done.complete();
        assert!(done.notices.is_empty(), "nothing was lost, nothing is to be said");
    }
}

#[test]
fn a_resource_too_large_alone_is_dropped_alone() {
    let (handle, sender) = sender::new(&settings());
    let receiver = Receiver::start(|_| Fault::Limit(1000, 413, "")).unwrap();
    let names = names(1, 9);
    let chunks = vec![chunk(&names, 50).join(&chunk(&["<large>".to_owned()], 2000))];
    handle.offer(Batch { number: 1, chunks, ..Batch::default() });
    handle.stop(DEADLINE);
    send(&client(&receiver.endpoint(), LONG), sender);
    let done = Done::of(&handle, &receiver);
    assert!(arrived(&done.requests, &names).values().all(|count| *count == 1));
    assert_eq!((done.statistics.delivered, done.statistics.too_large, done.said("too large")), (9, 1, 1));
}

#[test]
fn poison_alone_is_dropped_and_counted() {
    for poison in ["<1.0>", "<2.7>", "<3.19>"] {
        let done = run(move |_| Fault::Poison(poison));
        let arrived = arrived(&done.requests, &all_names());
        assert!(arrived.iter().all(|(name, count)| *count == usize::from(name != poison)), "{arrived:?}");
        assert_eq!((done.statistics.poison, done.statistics.delivered, done.statistics.given_up), (1, 59, 0));
        assert_eq!((done.said("invalid resource"), done.statistics.acknowledged), (1, 3));
        assert!(done.count <= 6 + 16, "{}", done.count);
    }
}

#[test]
fn zstd_falls_back_to_gzip() {
    let done = run_with(Settings { encoding: Encoding::Zstd, ..settings() }, LONG, |_| Fault::NoZstd);
    done.complete();
    assert_eq!((done.count, done.said("gzip"), done.notices.len()), (7, 1, 1));
}

#[test]
fn redirects_are_not_followed_and_data_waits() {
    let elsewhere = Receiver::start(|_| Fault::None).unwrap();
    let location = format!("{}/v1/metrics?token=secret", elsewhere.endpoint());
    for status in [301, 302, 303, 307, 308] {
        let location = location.clone();
        let done = run(move |_| Fault::Answer(status, vec![("location", location.clone())], Vec::new()));
        assert_eq!((elsewhere.count(), done.count), (0, 1));
        assert_eq!((done.statistics.waiting.points, done.statistics.acknowledged), (60, 0));
        assert!(done.said("redirects to") == 1 && done.said("secret") == 0, "{:?}", done.notices);
    }
}

#[test]
fn a_mistake_in_the_configuration_keeps_the_data_until_it_is_put_right() {
    for status in [401, 403, 404, 405, 415, 307] {
        let done = run_until(5, first(5, Fault::status(status)));
        done.complete();
        assert_eq!((done.said("check endpoint and rights"), done.said("again")), (1, 1), "{status}");
        assert_eq!(done.statistics.failed, 5);
    }
}

#[test]
fn a_broken_destination_costs_one_request_after_five_retries() {
    let done = run(first(6, Fault::status(500)));
    assert_eq!((done.statistics.given_up, done.statistics.delivered, done.count), (10, 50, 11));
    assert_eq!((done.said("a request was dropped"), done.statistics.acknowledged), (1, 3));
}

#[test]
fn memory_is_bounded_and_the_newest_arrives() {
    const BOUND: usize = 1 << 20;
    let address: SocketAddr = closed_port().unwrap();
    let (handle, sender) = sender::new(&Settings { bound: BOUND, ..settings() });
    for number in 1..=200 {
        let chunks = vec![chunk(&names(number, 4), 16 << 10)];
        handle.offer(Batch { number, chunks, finals: vec![number / 50], ..Batch::default() });
        assert!(handle.statistics().waiting_bytes <= BOUND);
    }
    let receiver = Receiver::start_at(address, |_| Fault::None).unwrap();
    handle.stop(DEADLINE);
    send(&client(&receiver.endpoint(), LONG), sender);
    let done = Done::of(&handle, &receiver);
    assert!(arrived(&done.requests, &names(200, 4)).values().all(|count| *count == 1));
    assert!(arrived(&done.requests, &names(1, 4)).values().all(|count| *count == 1));
    assert!(done.statistics.dropped.thinned.points > 0 && done.statistics.dropped.full.points == 0);
    // Of each final value, told in fifty snapshots, a holder arrived.
    for value in 0..4_u64 {
        let holders = (1..=200).filter(|number| number / 50 == value).flat_map(|number| names(number, 4));
        assert!(arrived(&done.requests, &holders.collect::<Vec<_>>()).values().any(|count| *count == 1), "{value}");
    }
}
