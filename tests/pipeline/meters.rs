//! Which meter is used, and what is said when it is not the best one, or not whole.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wattrace::{
    attribution::ledger::Record,
    pipeline::state::{Measured, Saved, SavedFloors, StateDir},
    probes::{model, powercap},
    samples::{EnergySource, Instant},
    telemetry::describe::TelemetryRecord,
};
use wattrace_tests::{
    held::once,
    machine_root::MachineRoot,
    run::{self, Said, microjoules, unprivileged},
};

#[test]
fn a_masked_meter_is_replaced_by_the_model_and_said() -> Result<()> {
    let mut machine = MachineRoot::new("masked")?;
    let Some(mut held) = once(&machine, &["--json"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    machine.cpus.iter_mut().for_each(|cpu| cpu.busy += 5);
    let figures = held.figures(&machine.stat())?;
    let (node, nobody) = (&figures.node, &figures.workloads[0]);
    assert!(figures.err.contains("energy is modelled") && figures.err.contains("mask it"), "{}", figures.err);
    assert_eq!([&node["source"], &node["quality"], &node["scope"]], ["model", "modelled", "server"]);
    assert_eq!([&node["precision"], &node["uncertainty"]], [&json!("family"), &json!(0.3)]);
    let [server] = node["zones"].as_array().map(Vec::as_slice).unwrap_or_default() else { panic!("{node}") };
    assert_eq!((&server["zone"], &server["socket"]), (&json!("server"), &Value::Null));
    let [measured, idle] = ["measured_j", "idle_j"].map(|field| microjoules(&server[field]).unwrap_or(-1));
    assert!(0 < idle && idle < measured, "{server}");
    assert_eq!(microjoules(&nobody["energy_j"]["server"]), Some(measured - idle));
    Ok(())
}

#[test]
fn without_the_right_to_read_it_names_the_right_and_shows_the_rest() -> Result<()> {
    let machine = MachineRoot::new("xeon-1s")?;
    let mode = if rustix::process::geteuid().is_root() { 0o400 } else { 0o000 };
    for row in &machine.zones {
        fs::set_permissions(machine.counter(&row.path), fs::Permissions::from_mode(mode))?;
    }
    let mut nobody = unprivileged("once", machine.path())?;
    let figures =
        Said::of(&mut nobody.command.args(["--no-bpf", "--json", "--interval", "10s"]).spawn()?)?.figures()?;
    let said = figures.err.lines().find(|line| line.contains("CAP_DAC_READ_SEARCH")).context(figures.err.clone())?;
    assert!(said.starts_with("energy is modelled: ") && said.contains("energy_uj"), "{said}");
    assert!(figures.err.contains("CPU time per workload is from /proc"), "{}", figures.err);
    assert_eq!([&figures.node["source"], &figures.node["quality"]], ["model", "modelled"]);
    assert!(microjoules(&figures.node["zones"][0]["measured_j"]) > Some(0), "{}", figures.node);
    Ok(())
}

/// What an earlier agent left on a machine with this `host.id`: 2 W for each zone.
fn floors(machine: &MachineRoot, host: &str) -> Result<SavedFloors> {
    let processor = model::processor(machine.path())?;
    let zones = powercap::discover(machine.path())?.zones().iter().map(|zone| (zone.key, 2.0)).collect();
    let hardware = Measured {
        host: host.to_owned(),
        processor: format!("{:?}", processor.identity),
        memory: processor.memory.0,
        source: EnergySource::RaplPowercap,
    };
    Ok(SavedFloors { hardware, zones })
}

#[test]
fn a_floor_that_was_measured_here_is_used_and_another_machines_is_not() -> Result<()> {
    for (host, origin) in
        [("0123456789abcdef0123456789abcdef", "saved"), ("fedcba9876543210fedcba9876543210", "assumed")]
    {
        let mut machine = MachineRoot::new("xeon-1s")?;
        let mut saved =
            Saved::new(String::new(), Instant::default(), Record::default(), TelemetryRecord::default(), vec![]);
        saved.floors = Some(floors(&machine, host)?);
        let folder = tempfile::tempdir()?;
        StateDir::open(folder.path())?.save(&saved)?;
        let config = folder.path().join("wattrace.toml");
        fs::write(&config, format!("[agent]\nstate_dir = {:?}\n", folder.path()))?;
        let config = config.to_str().context("a path")?;
        let Some(mut held) = once(&machine, &["--json", "--config", config])? else { return Ok(()) };
        held.go_on(&machine.stat())?;
        machine.cpus.iter_mut().for_each(|cpu| cpu.busy += 5);
        machine.zones.iter().try_for_each(|row| machine.set_energy(&row.path, 5_000_000))?;
        let figures = held.figures(&machine.stat())?;
        let package = &figures.node["zones"][0];
        assert_eq!(package["idle_floor"], origin, "{package}");
        assert_eq!(package["idle_floor_w"] == 2.0, origin == "saved", "{package}");
    }
    Ok(())
}

#[test]
fn a_zone_that_cannot_be_used_is_named_and_costs_no_other() -> Result<()> {
    for range in ["0\n", "-1\n", "18446744073709551616\n", "much\n", ""] {
        let machine = MachineRoot::new("xeon-2s")?;
        machine.write("sys/class/powercap/intel-rapl:1/max_energy_range_uj", range)?;
        let Some(mut held) = once(&machine, &["--json"])? else { return Ok(()) };
        held.go_on(&machine.stat())?;
        machine.zones.iter().try_for_each(|row| machine.set_energy(&row.path, 1_000_000))?;
        let figures = held.figures(&machine.stat())?;
        assert!(figures.err.contains("not measured: intel-rapl:1: "), "{range:?}: {}", figures.err);
        let zones = figures.node["zones"].as_array().context("zones")?;
        let places: Vec<_> = zones.iter().map(|zone| (zone["zone"].as_str(), zone["socket"].as_u64())).collect();
        let package = (Some("package"), Some(0));
        assert_eq!(places, [package, (Some("dram"), Some(0)), (Some("dram"), Some(1))], "{range:?}");
        assert!(zones.iter().all(|zone| microjoules(&zone["measured_j"]) == Some(999_000)), "{range:?}: {zones:?}");
    }
    Ok(())
}

#[test]
fn one_zone_shown_twice_is_no_loss() -> Result<()> {
    let machine = MachineRoot::new("client-psys")?;
    let Some(said) = run::once(machine.path(), &[])? else { return Ok(()) };
    assert_eq!(said.code()?, 0, "{said:?}");
    assert!(!said.err.contains("mmio"), "{}", said.err);
    Ok(())
}

#[test]
fn a_range_below_what_a_socket_uses_is_a_gap_and_no_endless_reading() -> Result<()> {
    let machine = MachineRoot::new("xeon-1s")?;
    machine.write("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "1\n")?;
    let Some(said) = run::once(machine.path(), &["--json"])? else { return Ok(()) };
    let zones = &said.figures()?.node["zones"];
    assert_eq!((&zones[0]["measured_j"], zones[0]["unknown_s"]["gap"].as_f64() >= Some(0.1)), (&Value::Null, true));
    assert_eq!((microjoules(&zones[1]["measured_j"]), &zones[1]["unknown_s"]), (Some(0), &json!({})));
    Ok(())
}

#[test]
fn without_meter_and_model_energy_is_unknown_and_time_is_not() -> Result<()> {
    let mut machine = MachineRoot::new("masked")?;
    machine.write("proc/cpuinfo", "processor : 0\n")?;
    let Some(mut held) = once(&machine, &["--json"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    machine.cpus.iter_mut().for_each(|cpu| cpu.busy += 5);
    let figures = held.figures(&machine.stat())?;
    assert!(figures.err.contains("no energy: ") && figures.err.contains("mask it"), "{}", figures.err);
    assert!(figures.err.contains("CPU time per workload is from /proc"), "{}", figures.err);
    assert_eq!([&figures.node["source"], &figures.node["quality"]], ["none", "missing"]);
    assert_eq!((&figures.node["zones"], &figures.node["scope"]), (&json!([]), &json!("none")));
    let nobody = &figures.workloads[0];
    assert_eq!((&nobody["energy_j"], &nobody["carbon"]["operational_g"]), (&json!({}), &Value::Null));
    assert!(nobody["cpu_s"].as_f64() > Some(0.0), "{nobody}");
    Ok(())
}

#[test]
fn a_cpu_that_comes_online_did_not_work_before() -> Result<()> {
    let mut machine = MachineRoot::new("xeon-1s")?;
    let Some(mut held) = once(&machine, &["--json"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    machine.cpus[0].busy += 7;
    let fresh = wattrace_tests::machine_root::Cpu { number: 2, busy: 8_640_000, ..machine.cpus[0].clone() };
    machine.cpus.push(fresh);
    let figures = held.figures(&machine.stat())?;
    let busy = 7.0 / wattrace::probes::procfs::user_hz() as f64;
    let found = figures.node["cpu"]["busy_s"].as_f64().unwrap_or_default();
    assert!(
        (found - busy).abs() < 1e-9,
        "{found} s instead of {busy} s: what it did since boot is not of this interval"
    );
    Ok(())
}
