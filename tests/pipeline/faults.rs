//! Meters that fail during an interval: what is unknown is said to be, and costs no other zone its energy.

use std::fs;

use anyhow::Result;
use serde_json::{Value, json};
use wattrace_tests::{
    held::{once, once_for},
    machine_root::MachineRoot,
    run::{Figures, microjoules},
};

const START: u64 = 1_000_000_000;
const USED: u64 = 25_000_001;
/// The zone that fails, as the fixture names it.
const BROKEN: &str = "intel-rapl:1";

/// A server with two sockets whose counters all stand at [`START`].
fn server() -> Result<MachineRoot> {
    let machine = MachineRoot::new("xeon-2s")?;
    for row in &machine.zones {
        machine.set_energy(&row.path, START)?;
    }
    Ok(machine)
}

fn advance(machine: &MachineRoot, by: u64) -> Result<()> {
    machine.zones.iter().try_for_each(|row| machine.set_energy(&row.path, START + by))
}

/// Every zone but the broken one advances by [`USED`], and all CPUs work; what the broken one does is up to `fault`.
fn measure(fault: impl FnOnce(&MachineRoot) -> Result<()>) -> Result<Option<Figures>> {
    let mut machine = server()?;
    let Some(mut held) = once(&machine, &["--json"])? else { return Ok(None) };
    held.go_on(&machine.stat())?;
    advance(&machine, USED)?;
    fault(&machine)?;
    Ok(Some(held.figures(&busier(&mut machine))?))
}

/// `/proc/stat` after all CPUs have worked.
fn busier(machine: &mut MachineRoot) -> String {
    machine.cpus.iter_mut().for_each(|cpu| cpu.busy += 4);
    machine.stat()
}

fn zone<'a>(figures: &'a Figures, kind: &str, socket: u32) -> &'a Value {
    let zones = figures.node["zones"].as_array().into_iter().flatten();
    let mut found = zones.filter(|zone| zone["zone"] == kind && zone["socket"] == socket);
    found.next().unwrap_or_else(|| panic!("no {kind} of socket {socket}: {}", figures.node))
}

/// Seconds of a zone that are unknown, when this is the only reason.
fn unknown(zone: &Value, reason: &str) -> f64 {
    let reasons: Vec<&String> = zone["unknown_s"].as_object().into_iter().flat_map(|reasons| reasons.keys()).collect();
    assert_eq!(reasons, [reason], "{zone}");
    zone["unknown_s"][reason].as_f64().unwrap_or(-1.0)
}

/// The package of socket 1 tells nothing, for this reason; everything else tells all.
fn only_one_is_lost(figures: &Figures, reason: &str) {
    println!("{}\n{:#}", figures.err, figures.node);
    let broken = zone(figures, "package", 1);
    assert!(unknown(broken, reason) >= 0.1, "the whole interval is unknown: {broken}");
    for field in ["measured_j", "idle_j", "active_j", "residual_j"] {
        assert_eq!(broken[field], Value::Null, "what is unknown is not 0: {broken}");
    }
    for (kind, socket) in [("package", 0), ("dram", 0), ("dram", 1)] {
        let sound = zone(figures, kind, socket);
        assert_eq!(microjoules(&sound["measured_j"]), i64::try_from(USED).ok(), "{sound}");
        assert_eq!(sound["unknown_s"], json!({}), "{sound}");
    }
    let billed = &figures.workloads[0]["energy_j"]["package"];
    assert_eq!(billed, &zone(figures, "package", 0)["active_j"], "socket 0 is billed as ever");
}

#[test]
fn a_reset_is_no_energy() -> Result<()> {
    // Neither a counter that starts anew nor one that leaps is what a socket can have used.
    for counter in [0, 17, START - 1, START + 500_000_000_000, u64::MAX] {
        let Some(figures) = measure(|machine| machine.set_energy(BROKEN, counter))? else { return Ok(()) };
        only_one_is_lost(&figures, "reset");
    }
    Ok(())
}

#[test]
fn a_zone_that_vanishes_or_talks_nonsense_is_unknown() -> Result<()> {
    let counter = "sys/class/powercap/intel-rapl:1/energy_uj";
    for text in ["", "\n", "lots\n", "-5\n", "18446744073709551616\n", "1e9\n", "\u{0}\u{0}", "1000000001 J\n"] {
        let Some(figures) = measure(|machine| machine.write(counter, text))? else { return Ok(()) };
        only_one_is_lost(&figures, "error");
    }
    // A file that is open outlives its name, so what a driver takes away is emptied, too.
    let vanish = |machine: &MachineRoot| {
        machine.write(counter, "")?;
        Ok(fs::remove_file(machine.path().join(counter))?)
    };
    if let Some(figures) = measure(vanish)? {
        only_one_is_lost(&figures, "error");
    }
    Ok(())
}

#[test]
fn a_package_whose_cpus_all_go_offline_costs_no_other() -> Result<()> {
    let mut machine = server()?;
    let Some(mut held) = once(&machine, &["--json"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    advance(&machine, USED)?;
    // As intel_rapl does: the zones of a package go with its last CPU.
    fs::remove_dir_all(machine.path().join("sys/devices/virtual/powercap/intel-rapl").join(BROKEN))?;
    machine.write("sys/devices/system/cpu/online", "0-1\n")?;
    machine.cpus.retain(|cpu| cpu.socket == 0);
    let figures = held.figures(&busier(&mut machine))?;
    for kind in ["package", "dram"] {
        assert_eq!(microjoules(&zone(&figures, kind, 0)["measured_j"]), i64::try_from(USED).ok(), "{kind}");
    }
    assert_eq!(figures.node["cpu"]["cpus"], 2, "{}", figures.node);
    Ok(())
}

#[test]
fn a_zone_that_is_not_there_from_the_start_is_unknown() -> Result<()> {
    let mut machine = server()?;
    fs::remove_file(machine.counter(BROKEN))?;
    let Some(mut held) = once(&machine, &["--json"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    for row in machine.zones.iter().filter(|row| row.path != BROKEN) {
        machine.set_energy(&row.path, START + USED)?;
    }
    only_one_is_lost(&held.figures(&busier(&mut machine))?, "error");
    Ok(())
}

#[test]
fn a_failed_read_is_made_good_by_the_next_one() -> Result<()> {
    let mut machine = server()?;
    let Some(mut held) = once_for(&machine, &["--json", "--interval", "1500ms"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    advance(&machine, 7)?;
    machine.write("sys/class/powercap/intel-rapl:1/energy_uj", "nothing\n")?;
    held.go_on(&busier(&mut machine))?;
    advance(&machine, USED)?;
    let figures = held.figures(&machine.stat())?;
    for (kind, socket) in [("package", 0), ("package", 1), ("dram", 0), ("dram", 1)] {
        let zone = zone(&figures, kind, socket);
        assert_eq!((microjoules(&zone["measured_j"]), &zone["unknown_s"]), (i64::try_from(USED).ok(), &json!({})));
    }
    Ok(())
}

#[test]
fn a_reset_costs_its_part_of_the_interval_only() -> Result<()> {
    let mut machine = server()?;
    let Some(mut held) = once_for(&machine, &["--json", "--interval", "1500ms"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    advance(&machine, USED)?;
    // A package that sleeps would not be read within the interval.
    held.go_on(&busier(&mut machine))?;
    machine.set_energy(BROKEN, 3)?;
    let figures = held.figures(&machine.stat())?;
    let broken = zone(&figures, "package", 1);
    assert_eq!(microjoules(&broken["measured_j"]), i64::try_from(USED).ok(), "{broken}");
    let interval = figures.node["interval_s"].as_f64().unwrap_or_default();
    let lost = unknown(broken, "reset");
    assert!(lost > 0.0 && lost < interval, "{lost} of {interval}");
    Ok(())
}

#[test]
fn without_any_zone_that_could_be_read_nothing_is_zero() -> Result<()> {
    for (json, expected) in [(true, "\"operational_g\":null"), (false, "         -        -         -\n")] {
        let mut machine = server()?;
        let args: &[&str] = if json { &["--json"] } else { &[] };
        let Some(mut held) = once(&machine, args)? else { return Ok(()) };
        held.go_on(&machine.stat())?;
        machine.zones.iter().try_for_each(|row| machine.set_energy(&row.path, 0))?;
        let said = held.finish(&busier(&mut machine))?;
        println!("{}", said.out);
        assert!(said.status.success() && said.out.contains(expected), "{said:?}");
        assert!(!json || said.out.contains("\"energy_j\":{\"dram\":null,\"package\":null}"), "{said:?}");
        assert!(json || said.out.contains("of meter time: its energy is in no figure above"), "{said:?}");
    }
    Ok(())
}

#[test]
fn parts_of_a_package_are_not_zero_either() -> Result<()> {
    let machine = MachineRoot::new("client-psys")?;
    let Some(mut held) = once(&machine, &["--json"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    for row in machine.zones.iter().filter(|row| row.name != "uncore") {
        machine.set_energy(&row.path, 1_000 + USED)?;
    }
    machine.set_energy("intel-rapl:0:1", 0)?;
    let figures = held.figures(&machine.stat())?;
    let hardware = figures.node["hardware"].as_array().map(Vec::as_slice).unwrap_or_default();
    let measured = |kind: &str| hardware.iter().find(|zone| zone["zone"] == kind).map(|zone| &zone["measured_j"]);
    assert_eq!(measured("uncore"), Some(&Value::Null), "{}", figures.node);
    assert_eq!(measured("core").and_then(microjoules), i64::try_from(USED).ok());
    Ok(())
}
