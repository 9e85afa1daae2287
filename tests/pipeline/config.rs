//! The configuration and the command line, through the program into its figures; and what is said of mistakes.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wattrace_tests::{
    held::once,
    machine_root::MachineRoot,
    run::{Figures, Said, command, microjoules},
};

/// What each zone uses, beginning with the package of socket 0.
const USED: [u64; 4] = [40_000_000, 8_000_000, 20_000_000, 4_000_000];

/// Measures a server with two sockets under a configuration.
fn measure(config: &str, more: &[&str]) -> Result<Option<Figures>> {
    let machine = MachineRoot::new("xeon-2s")?;
    machine.write("wattrace.toml", config)?;
    let file = machine.path().join("wattrace.toml");
    let args = [&["--json", "--config", file.to_str().context("a path")?], more].concat();
    let Some(mut held) = once(&machine, &args)? else { return Ok(None) };
    held.go_on(&machine.stat())?;
    for (row, used) in machine.zones.iter().zip(USED) {
        machine.set_energy(&row.path, 1_000 + used)?;
    }
    held.figures(&machine.stat()).map(Some)
}

fn zones(figures: &Figures) -> &[Value] {
    figures.node["zones"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn close(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-9, "{found} instead of {expected}");
}

#[test]
fn every_value_of_the_file_arrives() -> Result<()> {
    let config = "[energy]\nidle_watts = 36\n\n[carbon]\nintensity_g_per_kwh = 100\npue = 1.5\nembodied_kg = 1200\n\
                  embodied_lifespan_years = 5\n";
    let Some(figures) = measure(config, &[])? else { return Ok(()) };
    let node = &figures.node;
    let grid = json!({
        "g_per_kwh": 100.0, "zone": "configured", "source": "fixed", "signal": "average", "basis": "unstated",
        "precision": "configured", "year": null,
    });
    assert_eq!(node["grid"], grid);
    assert_eq!(node["pue"], json!({"value": 1.5, "source": "configured"}));
    let joules = USED.iter().sum::<u64>() as f64 / 1e6;
    close(number(&node["carbon"]["operational_g"]), joules / 3.6e6 * 1.5 * 100.0);
    let year = 31_557_600.0;
    close(number(&node["carbon"]["embodied_g"]), 1_200_000.0 * number(&node["interval_s"]) / (5.0 * year));
    let floors: Vec<f64> = zones(&figures).iter().map(|zone| number(&zone["idle_floor_w"])).collect();
    close(floors.iter().sum(), 36.0);
    for (zone, floor) in zones(&figures).iter().zip(floors) {
        assert_eq!(zone["idle_floor"], "configured", "{zone}");
        // Each zone has the part of the floor that it has in the energy.
        close(floor, 36.0 * number(&zone["measured_j"]) / joules);
        // 36 W for some 100 ms are a few joules: less than any zone used.
        let idle = microjoules(&zone["idle_j"]);
        assert!(idle > Some(0) && idle < microjoules(&zone["measured_j"]), "{zone}");
    }
    Ok(())
}

#[test]
fn an_idle_floor_above_what_was_used_leaves_nothing_active() -> Result<()> {
    let Some(figures) = measure("energy.idle_watts = 90000\n", &[])? else { return Ok(()) };
    for zone in zones(&figures) {
        let [measured, idle, active] = ["measured_j", "idle_j", "active_j"].map(|field| microjoules(&zone[field]));
        assert_eq!((idle, active), (measured, Some(0)), "{zone}");
    }
    assert_eq!(figures.workloads[0]["energy_j"], json!({"dram": 0.0, "package": 0.0}));
    Ok(())
}

#[test]
fn a_location_is_looked_up() -> Result<()> {
    let german = |figures: &Figures| {
        let grid = &figures.node["grid"];
        assert_eq!([&grid["zone"], &grid["source"], &grid["precision"]], ["DE", "static", "country"]);
        assert!(grid["year"].is_u64(), "{grid}");
        close(number(&grid["g_per_kwh"]), 329.65);
        assert_eq!(figures.node["pue"], json!({"value": 1.0, "source": "not_applied"}));
    };
    let Some(from_file) = measure("carbon.location = \"DE\"\n", &[])? else { return Ok(()) };
    german(&from_file);
    // What is typed counts more than what is written, a fixed intensity included.
    for config in ["carbon.location = \"FR\"\n", "carbon.intensity_g_per_kwh = 42\n"] {
        if let Some(typed) = measure(config, &["--location", "deu"])? {
            german(&typed);
        }
    }
    Ok(())
}

/// A machine without a meter, whose CPUs each work for so many ticks.
fn modelled(config: &str, busy: u64) -> Result<Option<Figures>> {
    let mut machine = MachineRoot::new("masked")?;
    machine.write("wattrace.toml", config)?;
    let file = machine.path().join("wattrace.toml");
    let Some(mut held) = once(&machine, &["--json", "--config", file.to_str().context("a path")?])? else {
        return Ok(None);
    };
    held.go_on(&machine.stat())?;
    machine.cpus.iter_mut().for_each(|cpu| cpu.busy += busy);
    held.figures(&machine.stat()).map(Some)
}

#[test]
fn configured_powers_are_the_model() -> Result<()> {
    let config = "[energy]\nidle_watts = 10\nmax_watts = 30\n";
    // More ticks than any interval of this test has: fully busy.
    for (busy, times) in [(0, 1), (1_000_000, 3)] {
        let Some(figures) = modelled(config, busy)? else { return Ok(()) };
        assert_eq!([&figures.node["precision"], &figures.node["quality"]], ["configured", "modelled"]);
        let zone = &figures.node["zones"][0];
        assert_eq!((&zone["idle_floor"], &zone["idle_floor_w"]), (&json!("model"), &json!(10.0)));
        let [measured, idle] = ["measured_j", "idle_j"].map(|field| microjoules(&zone[field]).unwrap_or(-1));
        // Ten watts for at least 100 ms; and each figure is rounded to whole microjoules by itself.
        assert!(idle >= 1_000_000 && (measured - times * idle).abs() < times, "{zone}");
    }
    Ok(())
}

/// Where the only meter that is wanted cannot be had, nothing stands in for it.
#[test]
fn no_other_meter_is_used_than_the_one_that_is_named() -> Result<()> {
    for (source, said) in [("powercap", "powercap"), ("perf", "running kernel"), ("hwmon", "no sensor")] {
        let Some(figures) = modelled(&format!("energy.source = \"{source}\"\n"), 1)? else { return Ok(()) };
        assert_eq!(figures.node["source"], "none", "{source}");
        assert!(figures.err.contains(said), "{source}: {}", figures.err);
    }
    let Some(figures) = modelled("energy.source = \"model\"\n", 1)? else { return Ok(()) };
    assert_eq!(figures.node["source"], "model");
    let Some(figures) = measure("energy.source = \"powercap\"\n", &[])? else { return Ok(()) };
    assert_eq!(figures.node["source"], "rapl_powercap");
    let Some(figures) = measure("energy.source = \"model\"\n", &[])? else { return Ok(()) };
    assert_eq!(figures.node["source"], "model", "the better meter is not wanted");
    Ok(())
}

#[test]
fn an_idle_power_the_model_cannot_use_is_said() -> Result<()> {
    let Some(figures) = modelled("energy.idle_watts = 10\n", 1)? else { return Ok(()) };
    assert!(figures.err.contains("energy.idle_watts is not used"), "{}", figures.err);
    assert_eq!(figures.node["precision"], "family");
    Ok(())
}

/// What `once` says when it cannot even start: nothing on standard output.
fn refused(root: &Path, args: &[&str], code: i32) -> Result<String> {
    let said = Said::of(&mut command("once", root).arg("--no-bpf").args(args).spawn()?)?;
    assert_eq!((said.code()?, said.out.as_str()), (code, ""), "{said:?}");
    assert!(!said.err.contains("measuring"), "{said:?}");
    Ok(said.err)
}

#[test]
fn every_mistake_of_a_file_is_said_with_its_line() -> Result<()> {
    let machine = MachineRoot::new("xeon-1s")?;
    let file = machine.path().join("wattrace.toml");
    let path = file.to_str().context("a path")?;
    let config = "[energy]\nidle_watts = -1\n\n[carbon]\nlocation = \"no where\"\npue = 150\n";
    machine.write("wattrace.toml", config)?;
    let said = refused(machine.path(), &["--config", path], 1)?;
    let heads = [(2, "energy.idle_watts is -1"), (5, "carbon.location is no zone"), (6, "carbon.pue is 150")];
    for (line, what) in heads {
        assert!(said.lines().any(|text| text.contains(&format!("{path}:{line}: {what}"))), "{said}");
    }
    assert_eq!(said.lines().count(), 3, "{said}");
    machine.write("wattrace.toml", "[energy]\n\nidle_wats = 3\n")?;
    let said = refused(machine.path(), &["--config", path], 1)?;
    assert!(said.contains(&format!("{path}:3: ")) && said.contains("idle_wats"), "{said}");
    let said = refused(machine.path(), &["--config", &format!("{path}.bak")], 1)?;
    assert!(said.contains(".toml.bak: cannot read the configuration: No such file"), "{said}");
    Ok(())
}

#[test]
fn a_location_nobody_knows_comes_with_what_is_near() -> Result<()> {
    let machine = MachineRoot::new("xeon-1s")?;
    let said = refused(machine.path(), &["--location", "germany"], 1)?;
    assert!(said.contains("no carbon intensity is known for the location \"germany\""), "{said}");
    assert!(said.contains("near it are DE (Germany)"), "{said}");
    machine.write("wattrace.toml", "carbon.location = \"Korea\"\n")?;
    let file = machine.path().join("wattrace.toml");
    let said = refused(machine.path(), &["--config", file.to_str().context("a path")?], 1)?;
    assert!(said.contains("KR (South Korea)"), "{said}");
    Ok(())
}

#[test]
fn an_interval_that_makes_no_sense_is_refused() -> Result<()> {
    let machine = MachineRoot::new("xeon-1s")?;
    for interval in ["1ms", "0s", "99ms", "2days"] {
        let said = refused(machine.path(), &["--interval", interval], 1)?;
        assert_eq!(said, "wattrace: --interval must lie between 100ms and 1day\n");
    }
    for interval in ["soon", "", "5", "10 parsecs"] {
        let said = refused(machine.path(), &["--interval", interval], 2)?;
        assert!(said.contains("--interval"), "{said}");
    }
    Ok(())
}
