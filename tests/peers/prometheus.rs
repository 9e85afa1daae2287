//! What a Prometheus keeps of both ways to it, OTLP and `/metrics`: the same names, and nothing lost of workloads
//! that lived for a second.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
};

use serde_json::Value as Json;
use wattrace::pipeline::state::Saved;

use super::{
    programs::{Running, Workload, agent, can_measure, free, get, peer, until},
    states::Watch,
};

/// The name of what is scraped, among the names of what is sent.
const SCRAPED: &str = "scraped";

/// Experiments of Prometheus: `anchored` and `smoothed` of `PromQL`.
const FEATURES: &str = "--enable-feature=promql-extended-range-selectors";
/// And that created timestamps become zeros. Only the page needs that: over OTLP the zeros themselves are sent.
const ZEROS: &str = "created-timestamp-zero-ingestion";

/// One that is sent to.
fn taker(program: &Path, listen: SocketAddr, folder: &Path) -> Running {
    let text = "otlp: {translation_strategy: UnderscoreEscapingWithSuffixes}\n";
    start(program, listen, &["--web.enable-otlp-receiver", FEATURES], text, folder)
}

/// One that scrapes.
fn scraper(program: &Path, listen: SocketAddr, page: SocketAddr, every: &str, folder: &Path) -> Running {
    // Classic histograms become native ones, as those that come over OTLP are: they then have one name each.
    let text = format!(
        "global: {{scrape_interval: {every}, scrape_timeout: {every}}}\n\
        scrape_configs:\n- job_name: {SCRAPED}\n  scrape_native_histograms: true\n  \
        convert_classic_histograms_to_nhcb: true\n  static_configs: [{{targets: [\"{page}\"]}}]\n"
    );
    start(program, listen, &[&format!("{FEATURES},{ZEROS}")], &text, folder)
}

fn start(program: &Path, listen: SocketAddr, args: &[&str], config: &str, folder: &Path) -> Running {
    fs::create_dir(folder).unwrap();
    let file = folder.join("prometheus.yml");
    fs::write(&file, config).unwrap();
    let mut command = Command::new(program);
    command.args(args).arg(format!("--config.file={}", file.display()));
    command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
    command.arg(format!("--web.listen-address={listen}"));
    let mut running = Running::start(&mut command, &folder.join("prometheus.log"));
    until("Prometheus is ready", || {
        assert!(running.is_running(), "Prometheus ended: {}", running.said());
        get(listen, "/api/v1/status/buildinfo").is_some()
    });
    running
}

/// A query's answer. Nothing in it needs to be written as `%`, but what is.
fn query(prometheus: SocketAddr, query: &str) -> Vec<Json> {
    let written: String = query
        .bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    let answer = get(prometheus, &format!("/api/v1/query?query={written}")).unwrap();
    assert_eq!(answer["status"], "success", "{query}: {answer}");
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

/// Names of metrics, but those that Prometheus makes itself.
fn names(prometheus: SocketAddr) -> BTreeSet<String> {
    let all = "count by (__name__) ({__name__=~\".+\",__name__!~\"up|scrape_.*|target_info\"})";
    query(prometheus, all).iter().map(|found| found["metric"]["__name__"].as_str().unwrap().to_owned()).collect()
}

/// Sums of workloads that have a cgroup, by its path and the name of the metric, as they were on disk last.
type Totals = BTreeMap<(String, &'static str), f64>;

const CPU: &str = "wattrace_workload_cpu_time_seconds_total";
const ENERGY: &str = "wattrace_workload_energy_joules_total";
const CARBON: &str = "wattrace_workload_carbon_grams_total";

fn note(totals: &mut Totals, saved: Saved) {
    for account in saved.ledger.accounts {
        let Some(cgroup) = account.cgroup else { continue };
        let mut put = |name, value| totals.insert((cgroup.path.clone(), name), value);
        put(CPU, (account.cpu - account.shared).seconds());
        if !account.energy.is_empty() {
            put(CARBON, account.operational.0);
        }
        // Of several zones each has a series, and the name alone does not say which.
        if let [energy] = *account.energy.values().copied().collect::<Vec<_>>() {
            put(ENERGY, energy.joules().0);
        }
    }
}

/// A workload's series, without braces around its labels.
fn series(path: &str, metric: &str, scraped: bool) -> String {
    // Of what is scraped `instance` is the page.
    let instance = if scraped { "service_instance_id" } else { "instance" };
    // Of two series of CPU time the first is always there.
    let one = if metric == CPU { ",wattrace_cpu_shared=\"false\"" } else { "" };
    format!("{metric}{{{instance}=~\".*{path}\"{one}}}")
}

/// Raw samples: seconds and value.
fn samples(prometheus: SocketAddr, series: &str) -> Vec<(f64, f64)> {
    let found = query(prometheus, &format!("{series}[10m]"));
    assert!(found.len() < 2, "{found:?}");
    let all = found.iter().flat_map(|series| series["values"].as_array().cloned().unwrap_or_default());
    all.map(|pair| (pair[0].as_f64().unwrap(), number(&pair[1]))).collect()
}

fn number(text: &Json) -> f64 {
    text.as_str().unwrap().parse().unwrap()
}

/// A query with one number for an answer.
fn one(prometheus: SocketAddr, text: &str) -> f64 {
    match &*query(prometheus, text) {
        [only] => number(&only["value"][1]),
        other => panic!("{text}: {other:?}"),
    }
}

/// A workload that is gone has all it ever used in its samples, and in what `PromQL` makes of them.
fn assert_whole(prometheus: SocketAddr, path: &str, totals: &Totals, scraped: bool) {
    let mut checked = 0;
    for ((_, metric), kept) in totals.iter().filter(|((of, _), _)| of == path) {
        let series = series(path, metric, scraped);
        let samples = samples(prometheus, &series);
        let [(_, first), .., (end, last)] = *samples else { panic!("{series}: {samples:?}, kept {kept}") };
        assert_eq!((first, last), (0.0, *kept), "{series}: {samples:?}");
        // Plain `increase` guesses what was before the first sample and after the last one. It is exact where there is
        // nothing to guess: a counter is not thought to have been below the zero it starts with, and the window ends
        // with the last sample. `anchored` and `smoothed` never guess.
        let exact = [
            format!("increase({series}[10m] @ {end:.3})"),
            format!("increase({series}[10m] anchored)"),
            format!("increase({series}[10m] smoothed)"),
            format!("last_over_time({series}[10m]) - first_over_time({series}[10m])"),
        ];
        for text in exact {
            let value = one(prometheus, &text);
            // Of one addition and one factor that is 1 nothing is lost but the last bit.
            assert!((value - kept).abs() <= kept * 1e-15, "{text} is {value}, kept {kept}: {samples:?}");
        }
        checked += 1;
    }
    println!("scraped {scraped}: {checked} series of {path} are whole, in samples and in PromQL");
    assert!(checked > 0, "{path} has no account");
}

#[test]
fn both_ways_to_prometheus_say_the_same() {
    let Some(program) = peer("prometheus") else { return };
    if !can_measure() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (sent, looked, page) = (free(), free(), free());
    let mut taker = taker(&program, sent, &folder.path().join("taker"));
    let mut scraper = scraper(&program, looked, page, "250ms", &folder.path().join("scraper"));
    let endpoint = format!("http://{sent}/api/v1/otlp");
    let mut agent = agent(&["--endpoint", &endpoint, "--listen", &page.to_string()], folder.path());
    let state = folder.path().join("state/state.json");
    let watch = Watch::start(state.clone(), note);
    until("something arrives both ways", || names(sent).contains(CPU) && names(looked).contains(CPU));
    let workload = Workload::spin("1");
    let name = workload.name.clone();
    let is_known = || fs::read_to_string(&state).unwrap().contains(&name);
    until("the workload has an account", is_known);
    workload.end();
    until("the workload's account is retired", || !is_known());
    until("both ways have the same names", || names(sent) == names(looked) || !agent.is_running());
    assert_eq!(names(sent), names(looked));
    assert!(names(sent).len() > 20, "{:?}", names(sent));
    assert!(agent.stop(), "{}", agent.said());
    let totals = watch.end();
    assert!(totals[&(name.clone(), CPU)] > 0.0, "{totals:?}");
    assert_whole(sent, &name, &totals, false);
    assert_whole(looked, &name, &totals, true);
    assert!(taker.stop() && scraper.stop());
}

/// The page is all there is, and looked at more seldom than a workload that is gone would stay on it by itself.
#[test]
fn a_scraper_that_is_slower_than_the_agent_gets_every_final_value() {
    let Some(program) = peer("prometheus") else { return };
    if !can_measure() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (listen, page) = (free(), free());
    let mut prometheus = scraper(&program, listen, page, "12s", &folder.path().join("scraper"));
    let mut agent = agent(&["--listen", &page.to_string()], folder.path());
    let watch = Watch::start(folder.path().join("state/state.json"), note);
    let scrapes = || query(listen, &format!("count_over_time(up{{job=\"{SCRAPED}\"}}[10m])"));
    let scrapes = || scrapes().first().map_or(0.0, |found| number(&found["value"][1]));
    let wait = || {
        let before = scrapes();
        until("there is another scrape", || scrapes() > before);
    };
    wait();
    let workload = Workload::spin("0.5");
    let name = workload.name.clone();
    workload.end();
    wait();
    // One that was under way when the workload ended may have missed the end.
    wait();
    assert!(agent.stop(), "{}", agent.said());
    assert_whole(listen, &name, &watch.end(), true);
    assert!(prometheus.stop());
}
