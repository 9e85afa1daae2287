//! Processes told apart by the real program: what each used is what the kernel says of it, those that are gone included, and
//! their parts add up to their workload's.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use wattrace_tests::{
    patience,
    run::{Measuring, Unprivileged},
};

use super::lives::{Ended, Lives};
use crate::support::{Cgroup, Load, live, until};

const BURN: &str = env!("CARGO_BIN_EXE_burn");

fn file(pid: u32, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap()
}

/// A load that waits for its start, and is on no CPU any more.
fn waiting(cgroup: &Cgroup, what: &[&str]) -> Lives {
    let lives = Lives::new(cgroup, what);
    until("the load waits", || file(lives.child.id(), "stat").contains(") S "));
    lives
}

/// Nanoseconds that a process of one thread ran, which sleeps.
fn ran(pid: u32) -> i64 {
    file(pid, "schedstat").split(' ').next().unwrap().parse().unwrap()
}

#[expect(clippy::cast_possible_truncation, reason = "a few seconds, or joules")]
fn whole(value: &Value, unit: f64) -> i64 {
    (value.as_f64().unwrap() * unit).round() as i64
}

fn nanos(line: &Value) -> i64 {
    whole(&line["cpu_s"], 1e9)
}

fn microjoules(line: &Value) -> i64 {
    line["energy_j"].as_object().unwrap().values().map(|joules| whole(joules, 1e6)).sum()
}

/// `once` with a power model that every machine has; its configuration is in the folder.
fn once(folder: &Path, seconds: u64) -> Command {
    let config = folder.join("wattrace.toml");
    fs::write(&config, "[energy]\nsource = \"model\"\nidle_watts = 20\nmax_watts = 90\n").unwrap();
    let mut once = Command::new(wattrace_tests::program());
    once.args(["once", "--by", "process", "--interval", &format!("{seconds}s"), "--config"]).arg(config);
    once.stdout(Stdio::piped()).stderr(Stdio::piped());
    once
}

/// What it tells of what went on `meanwhile`.
fn measured(meanwhile: impl FnOnce()) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let once = Measuring::start(&mut once(folder.path(), patience(10).as_secs())).unwrap();
    meanwhile();
    once.lines().unwrap()
}

/// Lines of a cgroup's processes, and that of the cgroup.
fn lines_of<'a>(lines: &'a [Value], cgroup: &Cgroup) -> (Vec<&'a Value>, &'a Value) {
    let name = cgroup.name.as_str();
    let whole = lines.iter().find(|line| line["type"] == "workload" && line["cgroup"] == name).unwrap();
    let parts = lines.iter().filter(|line| line["type"] == "process" && line["workload"]["cgroup"] == name);
    (parts.collect(), whole)
}

#[test]
fn each_process_has_what_it_used_and_the_parts_are_the_workload() {
    live!();
    let cgroup = Cgroup::new();
    let mut burner = waiting(&cgroup, &["many", "1", "0", BURN, "now", "spin", "800"]);
    let mut short = waiting(&cgroup, &["many", "50", "0", BURN, "now", "spin", "4"]);
    let mut stays = Load::born_in(&cgroup, &["turns", "400"], &[]);
    let pid = stays.child.id();
    let loads = [burner.child.id(), short.child.id()];
    let (used_before, ran_before) = (cgroup.cpu(), ran(pid));
    let mut children = Vec::new();
    let lines = measured(|| {
        burner.go();
        short.go();
        // The first line is its start.
        stays.tell();
        stays.tell();
        children.extend(burner.ended());
        children.extend(short.ended());
        assert_eq!(stays.line(), "done\n");
        burner.end();
        short.end();
        until("the load waits", || file(pid, "stat").contains(") S "));
    });
    let node = &lines[0]["processes"];
    assert_eq!(*node, json!({ "method": "cpu_time", "quality": "estimated", "ended": true, "lost": 0 }));
    let (parts, whole) = lines_of(&lines, &cgroup);
    let one = |pid: u32| -> &Value {
        let of_pid: Vec<_> = parts.iter().filter(|line| line["pid"] == pid).collect();
        let [line] = of_pid.as_slice() else { panic!("{pid} has not one line: {parts:#?}") };
        line
    };
    assert_eq!(children.len(), 51);
    for child in &children {
        assert_ended(one(child.pid), child);
    }
    for load in loads {
        assert_eq!((&one(load)["state"], &one(load)["name"]), (&json!("ended"), &json!("lives")));
    }
    let line = one(pid);
    assert_eq!((&line["state"], &line["name"], &line["exit"]), (&json!("alive"), &json!("burn"), &Value::Null));
    assert_eq!(nanos(line), ran(pid) - ran_before);
    assert_adds_up(&parts, whole, cgroup.cpu() - used_before);
    assert_closes(&lines);
}

/// As `wait4` told it: it does not know the last steps of a process, and rounds.
fn assert_ended(line: &Value, child: &Ended) {
    assert_eq!((&line["state"], &line["name"]), (&json!("ended"), &json!("burn")), "{line}");
    assert_eq!(line["exit"], json!({ "reason": "normal", "code": 0, "signal": null }), "{line}");
    let waited = i64::try_from(child.cpu.as_nanos()).unwrap();
    assert!(nanos(line) + 2_000 >= waited, "{line} used {:?} by wait4", child.cpu);
}

/// To the kernel's own account of the cgroup, in whole microseconds, and to that of the workload.
fn assert_adds_up(parts: &[&Value], whole: &Value, used: Duration) {
    let told: i64 = parts.iter().filter(|line| line["state"] != "not_told_apart").map(|line| nanos(line)).sum();
    let all: i64 = parts.iter().map(|line| nanos(line)).sum();
    let used = i64::try_from(used.as_nanos()).unwrap();
    println!("{told} ns of processes, {all} ns with the rest, {} ns of the workload, cpu.stat {used} ns", nanos(whole));
    assert!((told - used).abs() <= 2_000, "{told} ns instead of {used} ns");
    assert_eq!(all, told.max(nanos(whole)));
    let energy: i64 = parts.iter().map(|line| microjoules(line)).sum();
    assert_eq!(energy, microjoules(whole));
    assert!(energy > 0);
}

/// All processes together, with what is not told apart, have what all workloads were billed.
fn assert_closes(lines: &[Value]) {
    let sum = |of: &str| lines.iter().filter(|line| line["type"] == of).map(microjoules).sum::<i64>();
    assert_eq!(sum("process"), sum("workload"));
    let zones = lines[0]["zones"].as_array().unwrap();
    assert_eq!(zones.iter().map(|zone| whole(&zone["active_j"], 1e6)).sum::<i64>(), sum("process"));
}

#[test]
fn an_id_that_is_given_again_is_told_twice() {
    live!();
    let cgroup = Cgroup::new();
    let mut load = waiting(&cgroup, &["reuse"]);
    let before = cgroup.cpu();
    let mut children = Vec::new();
    let lines = measured(|| {
        load.go();
        children.extend(load.ended());
        load.end();
    });
    let (parts, whole) = lines_of(&lines, &cgroup);
    let [first, again] = children.as_slice() else { panic!("{children:?}") };
    assert_eq!(first.pid, again.pid);
    let mut ended: Vec<_> = parts.iter().filter(|line| line["pid"] == first.pid).collect();
    ended.sort_by_key(|line| line["exit"]["code"].as_u64());
    let [one, other] = ended.as_slice() else { panic!("{parts:#?}") };
    assert_eq!((&one["exit"]["code"], &other["exit"]["code"]), (&json!(0), &json!(3)));
    assert_eq!((&one["exit"]["reason"], &other["exit"]["reason"]), (&json!("normal"), &json!("error")));
    assert!(nanos(one) >= 2_000_000, "it spun for so long: {one}");
    assert_adds_up(&parts, whole, cgroup.cpu() - before);
}

/// It is held up while more processes end than the ring has room for.
#[test]
fn ends_that_are_lost_are_said_and_the_sums_hold() {
    const COUNT: usize = 6_500;

    live!();
    let cgroup = Cgroup::new();
    let mut storm = waiting(&cgroup, &["storm", &COUNT.to_string()]);
    let folder = tempfile::tempdir().unwrap();
    let mut once = once(folder.path(), 1).arg("--json").spawn().unwrap();
    let mut said = BufReader::new(once.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("measuring for")), "it measures");
    kill_process(Pid::from_child(&once), Signal::STOP).unwrap();
    until("it stands still", || file(once.id(), "stat").contains(") T "));
    storm.go();
    storm.ended();
    storm.end();
    kill_process(Pid::from_child(&once), Signal::CONT).unwrap();
    let output = once.wait_with_output().unwrap();
    let lines: Vec<Value> =
        serde_json::Deserializer::from_slice(&output.stdout).into_iter().map(Result::unwrap).collect();
    let said: Vec<String> = said.collect();
    let lost = lines[0]["processes"]["lost"].as_u64().unwrap();
    let expected = format!("{lost} processes that ended are not told apart: their ends were lost (ring_full)");
    assert!(said.contains(&expected), "{said:?}");
    let (parts, whole) = lines_of(&lines, &cgroup);
    let told = parts.iter().filter(|line| line["name"] == "true").count();
    println!("{told} of {COUNT} told, {lost} lost of all");
    assert!(told > 0 && told < COUNT && told as u64 + lost >= COUNT as u64);
    let rest = parts.iter().find(|line| line["state"] == "not_told_apart").unwrap();
    assert!(nanos(rest) > 0);
    assert_eq!(parts.iter().map(|line| nanos(line)).sum::<i64>(), nanos(whole));
    assert_eq!(parts.iter().map(|line| microjoules(line)).sum::<i64>(), microjoules(whole));
    assert_closes(&lines);
}

#[test]
fn without_rights_processes_have_no_joules_and_that_is_said() {
    live!();
    let mut once = Unprivileged::new().unwrap();
    let output = once.command.args(["once", "--by", "process", "--json", "--interval", "10s"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("{said}");
    assert!(output.status.success() && said.contains("so only root is told them"), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let processes: Vec<_> = lines.iter().filter(|line| line["type"] == "process").collect();
    // This one waits; the program itself ran.
    assert!(processes.iter().any(|line| line["name"] == "wattrace" && nanos(line) > 0), "{processes:#?}");
    assert!(processes.iter().all(|line| line["energy_j"] == json!({})), "{processes:#?}");
}

/// What it used before is told of its cgroup alone.
#[test]
fn who_moves_is_where_it_is_at_the_end_and_what_it_left_is_not_told_apart() {
    live!();
    let [from, to] = [Cgroup::new(), Cgroup::new()];
    let mut load = Load::born_in(&from, &["turns", "300"], &[]);
    let pid = load.child.id();
    let lines = measured(|| {
        // The first line is its start.
        load.tell();
        for home in [&to, &to] {
            load.tell();
            assert_eq!(load.line(), "done\n");
            home.add(pid);
        }
        assert!(Path::new(&format!("/proc/{pid}")).exists());
    });
    let (left, whole) = lines_of(&lines, &from);
    let [line] = left.as_slice() else { panic!("{left:#?}") };
    assert_eq!((&line["state"], nanos(line)), (&json!("not_told_apart"), nanos(whole)));
    let (parts, whole) = lines_of(&lines, &to);
    let [line] = parts.as_slice() else { panic!("{parts:#?}") };
    assert_eq!((&line["pid"], microjoules(line)), (&json!(pid), microjoules(whole)));
    assert!(nanos(line) > nanos(whole) && nanos(whole) > 0);
    assert_closes(&lines);
}
