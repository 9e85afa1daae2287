//! Scripted outcomes under tokio's paused clock.

use std::{cell::RefCell, rc::Rc};

use super::{
    super::{chunk::tests::named as chunk, queue::Count},
    *,
};

fn why() -> String {
    "said so".to_owned()
}

fn retry(after: Option<u64>) -> Outcome {
    Outcome::Retry { after: after.map(Duration::from_secs), why: why() }
}

fn ok() -> Outcome {
    Outcome::Delivered { rejected: 0, message: None }
}

fn settings() -> Settings {
    Settings { encoding: Encoding::Gzip, pace: Pace::default(), items: Items::Metrics, bound: 1 << 20, seed: 7 }
}

fn batch(number: u64, resources: &[(&str, u64)]) -> Batch {
    Batch { number, chunks: vec![chunk(resources)], ..Batch::default() }
}

/// One request as it arrived: when, since the start, and what.
type Request = (Duration, Bytes, Encoding);

/// Runs a sender on `batches` until it has emptied the queue or `within` is over, `answer` being the destination.
async fn run(
    settings: Settings,
    batches: Vec<Batch>,
    within: u64,
    mut answer: impl FnMut(usize, &[u8], Encoding) -> Outcome,
) -> (Handle, Vec<Request>) {
    let (handle, sender) = new(&settings);
    for batch in batches {
        handle.offer(batch);
    }
    let start = Instant::now();
    let requests = Rc::new(RefCell::new(Vec::new()));
    let answer = RefCell::new(&mut answer);
    let running = sender.run(|bytes, encoding| {
        let count = requests.borrow().len();
        let outcome = (answer.borrow_mut())(count, &bytes, encoding);
        requests.borrow_mut().push((start.elapsed(), bytes, encoding));
        std::future::ready(outcome)
    });
    let stop = async {
        // Half of the time as usual, half of it to flush.
        sleep(Duration::from_secs(within)).await;
        handle.stop(Duration::from_secs(within));
    };
    tokio::join!(running, stop);
    let requests = requests.borrow().clone();
    balanced(&handle);
    (handle, requests)
}

fn balanced(handle: &Handle) {
    let s = handle.statistics();
    let dropped = [s.dropped.thinned, s.dropped.full];
    let dropped = dropped.iter().map(|count| count.points).sum::<u64>();
    let gone = s.delivered + s.rejected + s.poison + s.too_large + s.given_up + dropped;
    assert_eq!(s.offered.points, gone + s.waiting.points, "{s:?}");
}

#[tokio::test(start_paused = true)]
async fn snapshots_arrive_in_order_and_are_acknowledged() {
    let batches = (1..=3).map(|number| batch(number, &[("a", number)])).collect();
    let (handle, requests) = run(settings(), batches, 10, |_, _, _| ok()).await;
    let expected: Vec<_> = (1..=3).map(|number| chunk(&[("a", number)]).bytes).collect();
    assert_eq!(requests.into_iter().map(|(_, bytes, _)| bytes).collect::<Vec<_>>(), expected);
    let statistics = handle.statistics();
    assert_eq!((statistics.acknowledged, statistics.delivered, statistics.settled), (3, 6, 3));
    assert_eq!(statistics.waiting, Count::default());
    assert_eq!(handle.notices(), []);
}

#[tokio::test(start_paused = true)]
async fn retries_go_on_and_are_said_once() {
    let answer = |count, _: &[u8], _| if count < 50 { retry(None) } else { ok() };
    let (handle, requests) = run(settings(), vec![batch(1, &[("a", 1)])], 4000, answer).await;
    assert_eq!(requests.len(), 51);
    assert_eq!(handle.statistics().failed, 50);
    assert_eq!(handle.notices(), [Notice::Unreachable(why()), Notice::Recovered]);
    let waits: Vec<_> = requests.windows(2).map(|pair| pair[1].0.abs_diff(pair[0].0)).collect();
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(61)), "{waits:?}");
    assert!(waits.iter().skip(6).any(|wait| *wait > Duration::from_secs(30)), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_reason_is_said_too() {
    let answer = |count, _: &[u8], _| match count {
        0 | 2 => Outcome::Retry { after: None, why: "connection refused".to_owned() },
        1 | 3 => Outcome::Retry { after: None, why: "503".to_owned() },
        4..30 => Outcome::Retry { after: None, why: format!("failure {count}") },
        _ => ok(),
    };
    let (handle, _) = run(settings(), vec![batch(1, &[("a", 1)])], 4000, answer).await;
    let notices = handle.notices();
    let unreachable = |why: &str| Notice::Unreachable(why.to_owned());
    assert_eq!(notices[..2], [unreachable("connection refused"), unreachable("503")]);
    assert_eq!((notices.len(), notices.last()), (9, Some(&Notice::Recovered)), "{notices:?}");
}

#[tokio::test(start_paused = true)]
async fn the_destination_is_left_alone_as_long_as_it_asks() {
    let answer = |count, _: &[u8], _| if count == 0 { retry(Some(30)) } else { ok() };
    let (_, requests) = run(settings(), vec![batch(1, &[("a", 1)])], 100, answer).await;
    let wait = requests[1].0.abs_diff(requests[0].0);
    assert!(wait >= Duration::from_secs(30) && wait <= Duration::from_secs(32), "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_goes_in_parts() {
    let batches = vec![batch(1, &[("a", 1), ("b", 2), ("large resource", 9), ("c", 4)])];
    let limit = chunk(&[("a", 1), ("b", 2)]).bytes.len();
    let answer = move |_, bytes: &[u8], _| if bytes.len() > limit { Outcome::Split { why: why() } } else { ok() };
    let (handle, _) = run(settings(), batches, 10, answer).await;
    let statistics = handle.statistics();
    assert_eq!((statistics.delivered, statistics.too_large, statistics.acknowledged), (7, 9, 1));
    assert_eq!(handle.notices(), [Notice::TooLarge(why())]);
}

#[tokio::test(start_paused = true)]
async fn poison_alone_is_dropped() {
    let names = ["a", "b", "poison", "c", "d"].map(|name| (name, 2));
    let answer = |_, bytes: &[u8], _| {
        let bad = bytes.windows(6).any(|window| window == b"poison");
        if bad { Outcome::Poison { why: why() } } else { ok() }
    };
    let (handle, _) = run(settings(), vec![batch(1, &names), batch(2, &[("e", 1)])], 10, answer).await;
    let statistics = handle.statistics();
    assert_eq!((statistics.delivered, statistics.poison, statistics.acknowledged), (9, 2, 2));
    assert_eq!(handle.notices(), [Notice::Refused(why())]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_acknowledged_whose_data_was_given_up() {
    let all_bad: Vec<_> = (0..100).map(|_| ("x", 1)).collect();
    let answer = |_, _: &[u8], _| Outcome::Poison { why: why() };
    let (handle, requests) = run(settings(), vec![batch(1, &all_bad)], 10, answer).await;
    let statistics = handle.statistics();
    assert_eq!(requests.len(), 17, "the first and at most 16 more");
    assert_eq!((statistics.poison + statistics.given_up, statistics.acknowledged), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refused_agent_probes_each_minute_and_says_so_once() {
    let answer = |count, _: &[u8], _| if count < 5 { Outcome::Hold { why: why() } } else { ok() };
    let (handle, requests) = run(settings(), vec![batch(1, &[("a", 1)])], 600, answer).await;
    let at: Vec<_> = requests.iter().map(|(at, ..)| at.as_secs()).collect();
    assert_eq!(at, [0, 60, 120, 180, 240, 300]);
    assert_eq!(handle.notices(), [Notice::Held(why()), Notice::Recovered]);
}

#[tokio::test(start_paused = true)]
async fn five_retries_then_the_next() {
    let answer = |count, _: &[u8], _| if count < 6 { Outcome::FiveRetries { why: why() } } else { ok() };
    let batches = vec![batch(1, &[("a", 1)]), batch(2, &[("b", 2)])];
    let (handle, requests) = run(settings(), batches, 600, answer).await;
    let statistics = handle.statistics();
    assert_eq!(requests.len(), 7);
    assert_eq!((statistics.given_up, statistics.delivered, statistics.acknowledged), (1, 2, 2));
    assert_eq!(handle.notices(), [Notice::Unreachable(why()), Notice::GivenUp(why()), Notice::Recovered]);
}

#[tokio::test(start_paused = true)]
async fn refused_without_a_reason_is_dropped_at_once() {
    let answer = |count, _: &[u8], _| if count == 0 { Outcome::Drop { why: why() } } else { ok() };
    let (handle, requests) = run(settings(), vec![batch(1, &[("a", 1)]), batch(2, &[("b", 2)])], 10, answer).await;
    assert_eq!((requests.len(), handle.statistics().given_up, handle.statistics().acknowledged), (2, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn zstd_is_given_up_for_good() {
    let answer = |_, _: &[u8], encoding| if encoding == Encoding::Zstd { Outcome::Gzip } else { ok() };
    let batches = (1..=3).map(|number| batch(number, &[("a", 1)])).collect();
    let (handle, requests) = run(Settings { encoding: Encoding::Zstd, ..settings() }, batches, 10, answer).await;
    let encodings: Vec<_> = requests.iter().map(|(.., encoding)| *encoding).collect();
    assert_eq!(encodings, [Encoding::Zstd, Encoding::Gzip, Encoding::Gzip, Encoding::Gzip]);
    assert_eq!(handle.notices(), [Notice::Gzip]);
}

#[tokio::test(start_paused = true)]
async fn partial_success_is_counted_and_never_sent_again() {
    let answer = |count: usize, _: &[u8], _| {
        let message = Some(["old", "old", "new"][count].to_owned());
        Outcome::Delivered { rejected: [1, 0, 99][count], message }
    };
    let batches = (1..=3).map(|number| batch(number, &[("a", 3)])).collect();
    let (handle, requests) = run(settings(), batches, 10, answer).await;
    let statistics = handle.statistics();
    assert_eq!((requests.len(), statistics.rejected, statistics.delivered), (3, 4, 5));
    assert_eq!(statistics.acknowledged, 3);
    assert_eq!(handle.notices(), [Notice::Remark("old".into()), Notice::Remark("new".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_thinned_while_nothing_arrives() {
    let one = batch(0, &[("a", 1)]).size();
    let (handle, sender) = new(&Settings { bound: one * 4, ..settings() });
    let up = RefCell::new(false);
    let send = |_, _| std::future::ready(if *up.borrow() { ok() } else { retry(None) });
    let feed = async {
        for number in 1..=20 {
            handle.offer(batch(number, &[("a", 1)]));
            assert!(handle.statistics().waiting_bytes <= one * 4);
            sleep(Duration::from_secs(10)).await;
        }
        *up.borrow_mut() = true;
        sleep(Duration::from_secs(120)).await;
        handle.stop(Duration::from_secs(10));
    };
    tokio::join!(sender.run(send), feed);
    balanced(&handle);
    let statistics = handle.statistics();
    assert_eq!((statistics.acknowledged, statistics.waiting.points), (20, 0), "the newest arrives");
    assert!(statistics.dropped.thinned.points > 0);
    assert_eq!(statistics.dropped.full.points, 0);
}

#[tokio::test(start_paused = true)]
async fn stopping_tries_at_once_and_ends_at_the_deadline() {
    // Down for good: waits, is told to stop after 100 s, tries until 200 s, ends there.
    let (handle, requests) = run(settings(), vec![batch(1, &[("a", 1)])], 100, |_, _, _| retry(Some(600))).await;
    assert_eq!(requests.iter().map(|(at, ..)| at.as_secs()).collect::<Vec<_>>(), [0, 100]);
    assert_eq!(handle.statistics().waiting.points, 1, "what is left is counted");
    // Up again by then: delivered at once.
    let answer = |count, _: &[u8], _| if count == 0 { retry(Some(600)) } else { ok() };
    let (handle, requests) = run(settings(), vec![batch(1, &[("a", 1)])], 100, answer).await;
    assert_eq!(requests.len(), 2);
    assert_eq!(handle.statistics().acknowledged, 1);
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_destination_that_refuses() {
    let start = Instant::now();
    let answer = |_, _: &[u8], _| Outcome::Hold { why: why() };
    let (handle, requests) = run(settings(), vec![batch(1, &[("a", 1)])], 100, answer).await;
    assert_eq!((requests.len(), start.elapsed().as_secs()), (3, 100));
    assert_eq!(handle.statistics().waiting.points, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_ends_is_cut_at_the_deadline() {
    let (handle, sender) = new(&settings());
    handle.offer(batch(1, &[("a", 1)]));
    handle.stop(Duration::from_secs(10));
    let start = Instant::now();
    sender.run(|_, _| std::future::pending::<Outcome>()).await;
    assert_eq!(start.elapsed().as_secs(), 10);
    balanced(&handle);
}

/// A sender on two snapshots of two chunks; at `at` seconds its destination becomes another, that takes everything.
async fn turned(at: u64, first: impl Fn(usize) -> Option<Outcome>) -> (Handle, Vec<(Duration, Bytes)>, Vec<Bytes>) {
    let (handle, sender) = new(&settings());
    for number in 1..=2 {
        let chunks = vec![chunk(&[("a", number)]), chunk(&[("b", number)])];
        handle.offer(Batch { number, chunks, ..Batch::default() });
    }
    let (start, count) = (Instant::now(), std::cell::Cell::new(0));
    let (is_new, old, new) = (std::cell::Cell::new(false), RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let running = sender.run(|bytes, encoding| {
        count.set(count.get() + 1);
        let outcome = if is_new.get() {
            assert_eq!(encoding, Encoding::Identity);
            new.borrow_mut().push((start.elapsed(), bytes));
            Some(ok())
        } else {
            old.borrow_mut().push(bytes);
            first(count.get())
        };
        async { if let Some(outcome) = outcome { outcome } else { std::future::pending().await } }
    });
    let orders = async {
        sleep(Duration::from_secs(at)).await;
        is_new.set(true);
        handle.redirect(Encoding::Identity);
        // The end right behind must not be taken for an end of what waits.
        handle.stop(Duration::from_secs(9));
    };
    tokio::join!(running, orders);
    balanced(&handle);
    let (old, new) = (old.borrow().clone(), new.borrow().clone());
    (handle, new, old)
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_to_another_destination_at_once_and_whole() {
    let all: Vec<Bytes> = (1..=2).flat_map(|number| ["a", "b"].map(|name| chunk(&[(name, number)]).bytes)).collect();
    let stalls: fn(usize) -> Option<Outcome> = |_| None;
    let takes_one: fn(usize) -> Option<Outcome> = |count| (count == 1).then(ok);
    let holds: fn(usize) -> Option<Outcome> = |_| Some(Outcome::Hold { why: why() });
    let refuses: fn(usize) -> Option<Outcome> = |_| Some(retry(Some(3_000)));
    for first in [stalls, takes_one, holds, refuses] {
        let (handle, new, old) = turned(5, first).await;
        assert!(!old.is_empty());
        assert!(new.iter().all(|(at, _)| *at == Duration::from_secs(5)), "{new:?}");
        assert_eq!(new.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(), all);
        let statistics = handle.statistics();
        assert_eq!((statistics.acknowledged, statistics.waiting), (2, Count::default()));
        assert_eq!(statistics.trouble, None);
    }
}
