//! What a Prometheus keeps of both ways to it, OTLP and `/metrics`: the same names, and nothing lost of a workload
//! that lived for a second.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
};

use serde_json::Value as Json;
use wattrace::{pipeline::state::Saved, units::Nanos};

use super::programs::{Running, Workload, agent, can_measure, free, get, peer, until};

/// The name of what is scraped, among the names of what is sent.
const SCRAPED: &str = "scraped";

fn start(program: &Path, listen: SocketAddr, page: SocketAddr, folder: &Path) -> Running {
    let config = folder.join("prometheus.yml");
    // Classic histograms become native ones, as those that come over OTLP are: they then have one name each.
    let text = format!(
        "global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}\n\
        otlp: {{translation_strategy: UnderscoreEscapingWithSuffixes}}\n\
        storage: {{tsdb: {{out_of_order_time_window: 10m}}}}\n\
        scrape_configs:\n- job_name: {SCRAPED}\n  scrape_native_histograms: true\n  \
        convert_classic_histograms_to_nhcb: true\n  static_configs: [{{targets: [\"{page}\"]}}]\n"
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(program);
    command.args(["--web.enable-otlp-receiver", "--enable-feature=created-timestamp-zero-ingestion"]);
    command.arg(format!("--config.file={}", config.display()));
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
    assert_eq!(answer["status"], "success", "{answer}");
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

/// Names of metrics, by whether they were scraped.
fn names(prometheus: SocketAddr, scraped: bool) -> BTreeSet<String> {
    let (is, own) = if scraped { ("=", "up|scrape_.*") } else { ("!=", "target_info") };
    let all = format!("count by (__name__) ({{__name__=~\".+\",__name__!~\"{own}\",job{is}\"{SCRAPED}\"}})");
    query(prometheus, &all).iter().map(|found| found["metric"]["__name__"].as_str().unwrap().to_owned()).collect()
}

/// CPU time of the workload of a cgroup, as the agent put it on disk last.
fn kept(states: &BTreeMap<String, Nanos>, name: &str) -> f64 {
    states.get(name).unwrap_or_else(|| panic!("{name} has no account")).seconds()
}

/// The newest CPU time of all workloads that have an account.
fn note(states: &mut BTreeMap<String, Nanos>, folder: &Path) {
    let Ok(bytes) = fs::read(folder.join("state/state.json")) else { return };
    let saved: Saved = serde_json::from_slice(&bytes).unwrap();
    let accounts = saved.ledger.accounts.into_iter();
    states.extend(accounts.filter_map(|account| Some((account.cgroup?.path, account.cpu))));
}

/// Raw values of the workload's CPU time.
fn values(prometheus: SocketAddr, name: &str, scraped: bool) -> Vec<f64> {
    let workload = name.trim_start_matches('/');
    let (is, instance) = if scraped { ("=", "service_instance_id") } else { ("!=", "instance") };
    let metric = "wattrace_workload_cpu_time_seconds_total";
    let all = format!("{metric}{{job{is}\"{SCRAPED}\",{instance}=~\".*{workload}.*\"}}[10m]");
    let found = query(prometheus, &all);
    let all = found.iter().flat_map(|series| series["values"].as_array().cloned().unwrap_or_default());
    all.map(|pair| pair[1].as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn both_ways_to_prometheus_say_the_same() {
    let Some(program) = peer("prometheus") else { return };
    if !can_measure() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (listen, page) = (free(), free());
    let mut prometheus = start(&program, listen, page, folder.path());
    let endpoint = format!("http://{listen}/api/v1/otlp");
    let mut agent = agent(&["--endpoint", &endpoint, "--listen", &page.to_string()], folder.path());
    until("something arrives both ways", || {
        [true, false].iter().all(|scraped| names(listen, *scraped).contains("wattrace_workload_cpu_time_seconds_total"))
    });
    let mut states = BTreeMap::new();
    let workload = Workload::spin("1");
    let name = workload.name.clone();
    workload.end();
    until("the workload's account is retired", || {
        let before = states.clone();
        note(&mut states, folder.path());
        let bytes = fs::read_to_string(folder.path().join("state/state.json")).unwrap();
        before.contains_key(&name) && !bytes.contains(&name)
    });
    until("both ways have the same names", || names(listen, true) == names(listen, false) || !agent.is_running());
    assert_eq!(names(listen, true), names(listen, false));
    assert!(names(listen, true).len() > 20, "{:?}", names(listen, true));
    let kept = kept(&states, &name);
    assert!(kept > 0.5, "{kept}");
    for scraped in [false, true] {
        let values = values(listen, &name, scraped);
        println!("scraped {scraped}: {values:?}, kept {kept}");
        let (first, last) = (values.first().unwrap(), values.last().unwrap());
        assert_eq!((*first, *last), (0.0, kept), "scraped {scraped}: {values:?}");
    }
    assert!(agent.stop(), "{}", agent.said());
    assert!(prometheus.stop());
}
