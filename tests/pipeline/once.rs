//! One interval on every made-up machine: what goes into the counters comes out, to the microjoule.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wattrace_tests::{
    held::once,
    machine_root::MachineRoot,
    powercap_tree::{Row, rows},
    run::{Figures, microjoules},
};

/// One test each, so that they run at the same time.
macro_rules! shapes {
    ($($name:ident $shape:literal)*) => {
        const SHAPES: &[&str] = &[$($shape),*];
        $(
            #[test]
            fn $name() -> Result<()> {
                books($shape)
            }
        )*
    };
}

shapes! {
    xeon_1s "xeon-1s"
    xeon_2s "xeon-2s"
    xeon_4s "xeon-4s"
    xeon_8s "xeon-8s"
    xeon_ap_2s_2d "xeon-ap-2s-2d"
    epyc_2s "epyc-2s"
    client_psys "client-psys"
    kvm_vrapl "kvm-vrapl"
}

#[test]
fn every_shape_is_tried() -> Result<()> {
    let all: BTreeSet<String> = rows()?.into_iter().map(|row| row.shape).collect();
    assert_eq!(all, SHAPES.iter().map(|shape| (*shape).to_owned()).collect());
    Ok(())
}

/// What a zone uses: another amount each, so that none is taken for another; less than 100 J in 100 ms, which
/// no zone can exceed.
fn use_of(at: u64) -> u64 {
    10_000_001 + 1_000_003 * at
}

fn books(shape: &str) -> Result<()> {
    let mut machine = MachineRoot::new(shape)?;
    let wraps = machine.zones.iter().rposition(|row| row.attributed).context("a zone")?;
    let start = |at: usize, row: &Row| if at == wraps { row.range - 5_000_000 } else { 1_000_000_000 };
    for (at, row) in machine.zones.iter().enumerate() {
        machine.set_energy(&row.path, start(at, row))?;
    }
    let Some(mut held) = once(&machine, &["--json"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    for (at, row) in machine.zones.iter().enumerate() {
        let counter = start(at, row) + use_of(at as u64);
        machine.set_energy(&row.path, if at == wraps { counter - row.range } else { counter })?;
    }
    for cpu in &mut machine.cpus {
        cpu.busy += 3 + u64::from(cpu.number);
        cpu.idle += 5;
    }
    let figures = held.figures(&machine.stat())?;
    println!("{}\n{:#}", figures.err, figures.node);
    source(shape, &figures);
    zones(&machine.zones, &figures);
    whole(&machine, &figures)
}

fn source(shape: &str, figures: &Figures) {
    let node = &figures.node;
    let emulated = shape == "kvm-vrapl";
    let expected = if emulated { ["vrapl", "modelled"] } else { ["rapl_powercap", "measured"] };
    assert_eq!([&node["source"], &node["quality"]], expected);
    let zones = node["zones"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has_dram = zones.iter().any(|zone| zone["zone"] == "dram");
    assert_eq!(node["scope"], if has_dram { "package+dram" } else { "package" });
    assert_eq!(node["probes"]["sched"]["mode"], "procfs");
}

/// Name, socket, die and microjoules.
type Zone = (String, Value, Value, i64);

fn sorted(mut zones: Vec<Zone>) -> Vec<Zone> {
    zones.sort_by_key(|(name, socket, die, _)| (name.clone(), socket.as_u64(), die.as_u64()));
    zones
}

fn found(list: &Value) -> Vec<Zone> {
    let zone = |zone: &Value| {
        let name = zone["zone"].as_str().unwrap_or_default().to_owned();
        (name, zone["socket"].clone(), zone["die"].clone(), microjoules(&zone["measured_j"]).unwrap_or(-1))
    };
    sorted(list.as_array().map(|zones| zones.iter().map(zone).collect()).unwrap_or_default())
}

fn expected(rows: &[Row], is_attributed: bool) -> Vec<Zone> {
    let rows = rows.iter().zip(0..).filter(|(row, _)| row.attributed == is_attributed && !row.is_duplicate());
    let zone = |(row, at): (&Row, u64)| {
        let name = row.name.split('-').next().unwrap_or_default();
        let (socket, die) = row.package().filter(|_| name != "psys").unzip();
        let name = if name == "psys" { "platform" } else { name };
        (name.to_owned(), json!(socket), json!(die.flatten()), i64::try_from(use_of(at)).unwrap_or(-1))
    };
    sorted(rows.map(zone).collect())
}

/// Each zone has its own place and its own energy; what contains another zone, or lies in it, stands apart.
fn zones(rows: &[Row], figures: &Figures) {
    assert_eq!(found(&figures.node["zones"]), expected(rows, true));
    assert_eq!(found(&figures.node["hardware"]), expected(rows, false));
    for zone in figures.node["zones"].as_array().into_iter().flatten() {
        let [measured, idle, active, residual] =
            ["measured_j", "idle_j", "active_j", "residual_j"].map(|field| microjoules(&zone[field]));
        assert_eq!((measured, residual), (idle.zip(active).map(|(idle, active)| idle + active), Some(0)), "{zone}");
        assert!(idle > Some(0) && active > Some(0), "{zone}");
        assert_eq!((&zone["idle_floor"], &zone["unknown_s"]), (&json!("assumed"), &json!({})), "{zone}");
    }
}

/// No process is to be seen on such a machine: nobody has all that is active, and with idle it is all that was measured.
fn whole(machine: &MachineRoot, figures: &Figures) -> Result<()> {
    let [nobody] = figures.workloads.as_slice() else { panic!("{:?}", figures.workloads) };
    assert_eq!((&nobody["type"], &nobody["kind"]), (&json!("workload"), &json!("unattributed")));
    let zones = figures.node["zones"].as_array().context("zones")?;
    let sum = |kind: &str, field: &str| -> Option<i64> {
        let of_kind = zones.iter().filter(|zone| kind.is_empty() || zone["zone"] == kind);
        of_kind.map(|zone| microjoules(&zone[field])).sum()
    };
    let energy = nobody["energy_j"].as_object().context("energy")?;
    let kinds: BTreeSet<&str> = zones.iter().filter_map(|zone| zone["zone"].as_str()).collect();
    assert_eq!(energy.keys().map(String::as_str).collect::<BTreeSet<_>>(), kinds);
    for (kind, active) in energy {
        let active = microjoules(active).context("energy")?;
        assert_eq!(sum(kind, "measured_j"), sum(kind, "idle_j").map(|idle| idle + active), "{kind}");
    }
    let busy: u64 = machine.cpus.iter().map(|cpu| 3 + u64::from(cpu.number)).sum();
    let seconds = busy as f64 / wattrace::probes::procfs::user_hz() as f64;
    for found in [&nobody["cpu_s"], &figures.node["cpu"]["busy_s"]] {
        assert!((found.as_f64().context("seconds")? - seconds).abs() < 1e-9, "{found} instead of {seconds}");
    }
    assert_eq!(figures.node["cpu"]["cpus"], machine.cpus.len());
    let world = figures.node["grid"]["g_per_kwh"].as_f64().context("an intensity")?;
    let grams = |microjoules: i64| microjoules as f64 / 1e6 / 3.6e6 * world;
    let active = sum("", "measured_j").zip(sum("", "idle_j")).map(|(measured, idle)| measured - idle);
    for (found, energy) in [(&figures.node, sum("", "measured_j")), (nobody, active)] {
        let found = found["carbon"]["operational_g"].as_f64().context("grams")?;
        let expected = grams(energy.context("energy")?);
        assert!((found / expected - 1.0).abs() < 1e-12, "{found} g instead of {expected} g");
    }
    Ok(())
}
