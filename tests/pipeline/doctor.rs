//! `doctor` on made-up machines: what it finds, how bad it calls it, and its exit code.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;
use wattrace_tests::{
    machine_root::MachineRoot,
    run::{Said, command},
};

const DONE: i32 = 0;
const DEGRADED: i32 = 1;
const FAILED: i32 = 2;
/// Every capability.
const ALL: &str = "Name:\twattrace\nCapEff:\t000001ffffffffff\n";

fn ask(root: &Path, args: &[&str]) -> Result<Said> {
    let said = Said::of(&mut command("doctor", root).args(args).spawn()?)?;
    println!("{}{}", said.out, said.err);
    Ok(said)
}

/// What is said of one thing, with its level first.
fn lines<'a>(said: &'a Said, check: &str) -> Vec<&'a str> {
    said.out.lines().filter(|line| line.get(10..).is_some_and(|rest| rest.starts_with(check))).collect()
}

fn finding<'a>(said: &'a Said, check: &str) -> Result<&'a str> {
    let lines = lines(said, check);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.first().copied().context("one finding")
}

fn machine(shape: &str) -> Result<MachineRoot> {
    let machine = MachineRoot::new(shape)?;
    machine.write("proc/self/status", ALL)?;
    Ok(machine)
}

fn all(machine: &MachineRoot) -> Vec<&str> {
    machine.zones.iter().map(|row| row.path.as_str()).collect()
}

#[test]
fn cores_of_two_kinds_are_said_to_be_billed_alike() -> Result<()> {
    let machine = machine("client-psys")?;
    assert!(lines(&ask(machine.path(), &["--no-bpf"])?, "cpus").is_empty());
    machine.write("sys/devices/cpu_core/cpus", "0-1\n")?;
    machine.write("sys/devices/cpu_atom/cpus", "2-3\n")?;
    let said = ask(machine.path(), &["--no-bpf"])?;
    let line = finding(&said, "cpus")?;
    assert!(line.starts_with("note") && line.contains("2 cpu_core and 2 cpu_atom CPUs"), "{line}");
    Ok(())
}

#[test]
fn a_machine_whose_meter_advances_is_well() -> Result<()> {
    for (shape, level, text) in [
        ("xeon-ap-2s-2d", "ok  ", "rapl_powercap (measured): 8 zones, all advance"),
        ("client-psys", "ok  ", "rapl_powercap (measured): 4 zones, all advance"),
        ("kvm-vrapl", "note", "vrapl (modelled): 1 zones, all advance"),
    ] {
        let machine = machine(shape)?;
        let advancing = machine.advancing(&all(&machine))?;
        let said = ask(machine.path(), &["--no-bpf"])?;
        drop(advancing);
        assert_eq!((said.code()?, said.err.as_str()), (DONE, ""));
        let energy = finding(&said, "energy")?;
        assert!(energy.starts_with(level) && energy.ends_with(text), "{energy}");
        assert!(finding(&said, "rights")?.starts_with("ok        rights       CAP_DAC_READ_SEARCH"));
        assert!(said.out.ends_with("\nresult: note\n"), "the location is not known: {}", said.out);
    }
    Ok(())
}

#[test]
fn zones_that_stand_still_are_named() -> Result<()> {
    let machine = machine("xeon-2s")?;
    let advancing = machine.advancing(&["intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"])?;
    let said = ask(machine.path(), &["--no-bpf"])?;
    drop(advancing);
    assert_eq!(said.code()?, DEGRADED);
    let energy = finding(&said, "energy")?;
    assert!(
        energy.starts_with("degraded") && energy.ends_with(": intel-rapl:1:0 did not advance within a second"),
        "{energy}"
    );
    Ok(())
}

#[test]
fn zones_that_cannot_be_read_or_used_are_named() -> Result<()> {
    let machine = machine("xeon-2s")?;
    machine.write("sys/class/powercap/intel-rapl:1/energy_uj", "a lot\n")?;
    machine.write("sys/class/powercap/intel-rapl:1:0/max_energy_range_uj", "0\n")?;
    let said = ask(machine.path(), &["--no-bpf"])?;
    assert_eq!(said.code()?, DEGRADED);
    assert!(finding(&said, "energy")?.ends_with(": intel-rapl:1 cannot be read"));
    let meter = finding(&said, "meter")?;
    assert!(
        meter.starts_with("degraded") && meter.contains("not measured: intel-rapl:1:0: its max_energy_range_uj is 0")
    );
    Ok(())
}

#[test]
fn a_masked_meter_says_how_to_see_it() -> Result<()> {
    let said = ask(machine("masked")?.path(), &["--no-bpf"])?;
    assert_eq!(said.code()?, DEGRADED);
    let meter = finding(&said, "meter")?;
    assert!(meter.contains("container runtimes mask it") && meter.contains("pass the host's root"), "{meter}");
    let energy = finding(&said, "energy")?;
    assert!(energy.starts_with("degraded") && energy.contains("no meter: energy is modelled, ±30 %: "), "{energy}");
    Ok(())
}

#[test]
fn missing_rights_are_named_with_what_to_grant() -> Result<()> {
    let machine = machine("masked")?;
    machine.write("proc/self/status", "CapEff:\t0000000000000000\n")?;
    let said = ask(machine.path(), &["--no-bpf"])?;
    let rights = finding(&said, "rights")?;
    assert!(rights.starts_with("degraded") && rights.contains("CAP_DAC_READ_SEARCH missing"), "{rights}");
    assert!(rights.contains("`setcap cap_dac_read_search+ep`"), "{rights}");
    let said = ask(machine.path(), &[])?;
    let rights = finding(&said, "rights")?;
    assert!(rights.contains("`setcap cap_bpf,cap_perfmon,cap_dac_read_search+ep`"), "{rights}");
    Ok(())
}

#[test]
fn json_says_what_the_text_says() -> Result<()> {
    let machine = machine("masked")?;
    for args in [&["--no-bpf"][..], &[]] {
        let text = ask(machine.path(), args)?;
        let json = ask(machine.path(), &[args, &["--json"]].concat())?;
        assert_eq!((text.code()?, json.code()?), (DEGRADED, DEGRADED));
        let value: Value = serde_json::from_str(&json.out)?;
        assert_eq!(value["result"], "degraded");
        let findings = value["findings"].as_array().context("findings")?;
        let field = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let lines: Vec<String> = findings
            .iter()
            .map(|one| format!("{:<9} {:<12} {}", field(one, "level"), field(one, "check"), field(one, "text")))
            .collect();
        assert_eq!(lines, text.out.lines().take(lines.len()).collect::<Vec<_>>());
        assert!(lines.len() >= 6, "{lines:?}");
    }
    Ok(())
}

#[test]
fn where_there_is_nothing_nothing_can_be_measured() -> Result<()> {
    let empty = tempfile::tempdir()?;
    for root in [empty.path(), &empty.path().join("no/such/place")] {
        for args in [&["--no-bpf"][..], &[], &["--json"]] {
            let said = ask(root, args)?;
            assert_eq!((said.code()?, said.err.as_str()), (FAILED, ""));
            assert!(said.out.contains("cannot tell the CPUs of this machine"), "{}", said.out);
        }
    }
    Ok(())
}

#[test]
fn cpus_that_tell_no_times_cannot_be_measured() -> Result<()> {
    let machine = machine("xeon-1s")?;
    machine.write("proc/stat", "btime 0\n")?;
    let said = ask(machine.path(), &["--no-bpf"])?;
    assert_eq!(said.code()?, FAILED);
    let sched = finding(&said, "sched probe")?;
    assert!(
        sched.starts_with("failed") && sched.contains("proc/stat: expected a line that starts with cpu0"),
        "{sched}"
    );
    fs::remove_file(machine.path().join("proc/stat"))?;
    assert_eq!(ask(machine.path(), &["--no-bpf"])?.code()?, FAILED);
    Ok(())
}
