//! Block devices of a root whose counters change: how busy each was comes out, and nothing of those that do not tell.
#![expect(clippy::disallowed_methods, reason = "a test takes the time that the program may have had")]

use std::{fs, time::Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wattrace_tests::{held::once, machine_root::MachineRoot};

/// What the kernel says of a device: requests that ended, and milliseconds busy and queued.
fn device(machine: &MachineRoot, name: &str, number: &str, [completed, busy, queued]: [u64; 3]) -> Result<()> {
    machine.write(&format!("sys/block/{name}/dev"), format!("{number}\n"))?;
    let line = format!("{completed} 0 8 40 0 0 0 0 0 {busy} {queued} 0 0 0 0 0 0\n");
    machine.write(&format!("sys/block/{name}/stat"), line)
}

#[test]
fn how_busy_devices_were_is_told_of_those_that_tell() -> Result<()> {
    const WRAPS: u64 = 1 << 32;
    let machine = MachineRoot::new("xeon-2s")?;
    device(&machine, "loop0", "7:0", [0, 0, 0])?;
    for name in ["sda", "sdb", "sdc", "sdd", "dm-0"] {
        device(&machine, name, "8:0", [5, 1_000, WRAPS - 500])?;
    }
    machine.write("sys/block/sdb/queue/iostats", "0\n")?;
    machine.write("sys/block/sdc/diskseq", "3\n")?;
    let start = Instant::now();
    let Some(mut held) = once(&machine, &["--json"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    // Far longer than the interval: a request that hung, and ended in it. In the queue it was not alone, and the count wraps.
    device(&machine, "sda", "8:0", [9, 1_000_000, 11_500])?;
    device(&machine, "sdb", "8:0", [9, 1_000_000, 11_500])?;
    // Another disk has the name.
    device(&machine, "sdc", "8:0", [9, 1_000_000, 11_500])?;
    machine.write("sys/block/sdc/diskseq", "4\n")?;
    fs::remove_dir_all(machine.path().join("sys/block/sdd"))?;
    device(&machine, "sde", "8:64", [9, 1_000, 1_000])?;
    let figures = held.figures(&machine.stat())?;
    let whole = start.elapsed().as_secs_f64();
    println!("{}\n{:#}", figures.err, figures.node);
    let devices = figures.node["disk"]["devices"].as_object().context("devices")?;
    assert_eq!(devices.keys().collect::<Vec<_>>(), ["dm-0", "sda"], "others are new, gone, not used or do not tell");
    assert_eq!((&devices["sda"]["utilization"], &devices["dm-0"]["utilization"]), (&json!(1.0), &json!(0.0)));
    assert_eq!(devices["dm-0"]["queue_depth"], 0.0);
    // 12 s in the queue, over an interval that lies within the test and around that of the CPUs.
    let depth = devices["sda"]["queue_depth"].as_f64().context("a depth")?;
    let inner = figures.node["interval_s"].as_f64().context("an interval")?;
    assert!(12.0 / whole <= depth && depth <= 12.0 / inner, "{depth} in {inner} to {whole} s");
    assert_eq!((&devices["sda"]["requeues"], &devices["sda"]["durations"]), (&Value::Null, &Value::Null));
    assert!(figures.workloads.iter().all(|workload| workload.get("disk").is_none()), "requests are not counted");
    Ok(())
}
