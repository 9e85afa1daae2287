//! The table for people, as the program prints it.

use anyhow::{Context, Result};
use wattrace_tests::{held::once, machine_root::MachineRoot};

/// `1.250000` in whole microjoules.
fn exact(word: &str) -> Option<u64> {
    let (whole, rest) = word.split_once('.')?;
    (rest.len() == 6).then(|| format!("{whole}{rest}").parse().ok())?
}

#[test]
fn it_says_what_was_measured_and_that_the_books_are_closed() -> Result<()> {
    let mut machine = MachineRoot::new("xeon-2s")?;
    let Some(mut held) = once(&machine, &["--location", "FR"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    for (row, used) in machine.zones.iter().zip([30_000_001, 2_000_003, 20_000_005, 1_000_007]) {
        machine.set_energy(&row.path, 1_000 + used)?;
    }
    machine.cpus.iter_mut().for_each(|cpu| cpu.busy += 6);
    let said = held.finish(&machine.stat())?;
    println!("{}", said.out);
    assert_eq!((said.code()?, said.err.contains("measuring for 100ms …\n")), (0, true), "{}", said.err);
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].contains(" s on 4 CPUs, ") && lines[0].ends_with(" % busy"), "{}", lines[0]);
    let zones = "intel-rapl:0 intel-rapl:0:0 intel-rapl:1 intel-rapl:1:0";
    assert_eq!(lines[1], format!("energy  rapl_powercap (measured), scope package+dram, ±5 %: {zones}"));
    assert!(lines[2].starts_with("grid    ") && lines[2].contains(" gCO2e/kWh: FR (static, country, lifecycle, "));
    let columns: Vec<&str> = lines[4].split_whitespace().collect();
    assert_eq!(columns, ["WORKLOAD", "KIND", "CPU", "s", "J", "W", "mgCO2e"]);
    let row: Vec<&str> = lines[5].split_whitespace().collect();
    let seconds = format!("{:.3}", 24.0 / wattrace::probes::procfs::user_hz() as f64);
    assert_eq!(row[..3], ["unattributed", "unattributed", &seconds]);
    assert_eq!(row.len(), 6);
    let books = lines.iter().find(|line| line.starts_with("books")).context("no books")?;
    let sums: Vec<u64> = books.split_whitespace().filter_map(exact).collect();
    assert_eq!((sums[0], sums[3]), (53_000_016, 0), "{books}");
    assert_eq!(sums[1] + sums[2], sums[0], "{books}");
    assert!(books.ends_with("(closed)"), "{books}");
    let floors = lines.iter().filter(|line| line.starts_with("idle    ") && line.ends_with(" W, assumed"));
    assert_eq!(floors.count(), 4);
    assert!(!said.out.contains("unknown") && !said.out.contains("lost"), "{}", said.out);
    Ok(())
}
