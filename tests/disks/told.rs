//! What a user is told: `once --json` beside `io.stat`, and joules per operation.

use std::{fs, path::Path};

use serde_json::{Value, json};
use wattrace_tests::run::{Measuring, command};

use crate::{
    disk::load,
    machine::{Bytes, Disk, sync},
    support::{Cgroup, live},
};

const MIB: usize = 1 << 20;
const STEPS: [&str; 6] = ["write", "65536", "48", "read", "65536", "32"];

#[test]
fn once_tells_whose_block_io_is_whose() {
    live!();
    let Some(disk) = Disk::with_serial("ext4") else { return };
    let mounted = disk.mount("ext4");
    let file = mounted.0.join("told");
    fs::write(&file, vec![1; 4 * MIB]).unwrap();
    sync();
    let config = Path::new("/run/wattrace-told.toml");
    fs::write(config, "[agent]\nfunctional_unit = \"disk_operations\"\n").unwrap();
    let (own, ancestor) = (Cgroup::new(), Cgroup::new());
    let inside = ancestor.below("inside");
    let mut once = command("once", Path::new("/"));
    let once = Measuring::start(once.args(["--interval", "20s", "--config"]).arg(config)).unwrap();
    load(&file, &own, &STEPS);
    load(&file, &inside, &STEPS);
    let lines = once.lines().unwrap();
    let node = lines.iter().find(|line| line["type"] == "node").unwrap();
    println!("{}", node["disk"]["devices"][&disk.0]);
    for (cgroup, ownership) in [(&own, "cgroup"), (&ancestor, "ancestor")] {
        let line = lines.iter().find(|line| line["cgroup"] == cgroup.name.as_str()).unwrap();
        println!("{} {} {}", line["disk"], line["operations"], line["j_per_operation"]);
        let told = &line["disk"][ownership];
        let truth = disk.bytes_of(cgroup);
        assert_eq!(bytes(told), truth, "{ownership}");
        assert_eq!(line["operations"], 80, "{ownership}");
        let joules: f64 = line["energy_j"].as_object().unwrap().values().filter_map(Value::as_f64).sum();
        let per_operation = line["j_per_operation"].as_f64().unwrap();
        assert!((per_operation * 80.0 - joules).abs() <= 1e-5 + joules * 1e-3, "{per_operation} J, {joules} J in all");
    }
    let of_child = lines.iter().find(|line| line["cgroup"] == inside.name.as_str()).unwrap();
    assert_eq!(of_child["disk"], json!({}), "what it did is its ancestor's");
    let reads: u64 = counts(&node["disk"]["devices"][&disk.0]["durations"]["read"]);
    assert!(reads >= 64, "{reads}");
}

fn bytes(told: &Value) -> Bytes {
    let of = |direction: &str| told[direction]["bytes"].as_u64().unwrap_or_default();
    Bytes { read: of("read"), written: of("write") }
}

fn counts(histogram: &Value) -> u64 {
    histogram["count"].as_u64().unwrap()
}
