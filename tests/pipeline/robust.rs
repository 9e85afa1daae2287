//! Input and surroundings that nobody would expect: a clear error or a counted loss, never a panic.

use std::{
    fs,
    io::pipe,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use wattrace_tests::{
    held,
    machine_root::MachineRoot,
    run::{self, Said, command, unprivileged},
};

const CPU: &str = "sys/devices/system/cpu";

/// What stands in a file in place of what should.
const GARBAGE: [&[u8]; 15] = [
    b"",
    b"\n",
    b"\0\0\0\0",
    b"\xff\xfe\x1b[2J\x07",
    b"garbage \x1b[31mred\n",
    b"-1\n",
    b"18446744073709551615\n",
    b"18446744073709551616\n",
    b"0-65535\n",
    b"4294967295\n",
    b"cpu0 1 2 3\n",
    b"cpu0 18446744073709551615 18446744073709551615 1 1 1 1 1 1 1 1\ncpu4294967295 0 0 0 0\n",
    b"vendor_id : \x1b[2Jx\ncpu family : 6\nmodel : 85\nstepping : 4\nflags :\n",
    b"vendor_id : GenuineIntel\ncpu family : 99999999999\n",
    b"MemTotal: 18446744073709551615 kB\nMemTotal: 1 kB\n",
];

/// Whatever the program says can be shown: it ends by itself, steers no terminal, and an error names the file.
fn is_orderly(said: &Said, file: &str) -> Result<()> {
    let code = said.code()?;
    let text = format!("{}{}", said.out, said.err);
    ensure!(!text.contains(|c: char| c.is_control() && c != '\n'), "it steers the terminal: {text:?}");
    ensure!(text.len() < 10_000, "it repeats all that it found: {} bytes", text.len());
    if code == 0 {
        return said.clone().figures().map(drop);
    }
    ensure!(code == 1 && said.out.is_empty(), "{said:?}");
    let name = Path::new(file).file_name().and_then(|name| name.to_str()).context("a name")?;
    // A list of CPUs that are not there is missed in their own files.
    let name = if name == "online" { CPU } else { name };
    let errors: Vec<&str> = said.err.lines().filter(|line| line.starts_with("wattrace: ")).collect();
    ensure!(errors.len() == 1 && errors[0].contains(name), "the error does not name {name}: {said:?}");
    Ok(())
}

/// What happens to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Removed,
    Directory,
    Text(&'static [u8]),
    Long,
}

impl Damage {
    fn all() -> Vec<Self> {
        [Self::Removed, Self::Directory, Self::Long].into_iter().chain(GARBAGE.map(Self::Text)).collect()
    }

    fn befall(self, path: &Path) -> std::io::Result<()> {
        fs::remove_file(path)?;
        match self {
            Self::Removed => Ok(()),
            Self::Directory => fs::create_dir(path),
            Self::Text(text) => fs::write(path, text),
            Self::Long => fs::write(path, b"0123456789abcdef ".repeat(65_536)),
        }
    }
}

/// Whether every damage leaves figures, an error, or (`None`) one or the other.
fn survives(shape: &str, file: &str, figures: Option<bool>) -> Result<()> {
    let Some(sound) = run::once(MachineRoot::new(shape)?.path(), &["--json"])? else { return Ok(()) };
    is_orderly(&sound, "")?;
    let one = |damage: Damage| {
        let machine = MachineRoot::new(shape)?;
        damage.befall(&machine.path().join(file))?;
        let Some(said) = run::once(machine.path(), &["--json"])? else { return Ok(()) };
        is_orderly(&said, file).with_context(|| format!("{file}, {damage:?}"))?;
        ensure!(figures.is_none_or(|figures| said.status.success() == figures), "{file}, {damage:?}: {said:?}");
        Ok(())
    };
    std::thread::scope(|scope| {
        let runs: Vec<_> = Damage::all().into_iter().map(|damage| scope.spawn(move || one(damage))).collect();
        runs.into_iter().try_for_each(|run| run.join().map_err(|_| anyhow!("{file}: the test itself panicked"))?)
    })
}

/// One test each, so that they run at the same time.
macro_rules! damaged {
    ($($name:ident $shape:literal $file:literal $figures:expr;)*) => { $(
        #[test]
        fn $name() -> Result<()> {
            survives($shape, $file, $figures)
        }
    )* };
}

damaged! {
    // Some of the garbage is a list of CPUs, or CPU times, that a machine could have.
    stat "xeon-1s" "proc/stat" None;
    online "xeon-1s" "sys/devices/system/cpu/online" None;
    possible "xeon-1s" "sys/devices/system/cpu/possible" None;
    package "xeon-1s" "sys/devices/system/cpu/cpu0/topology/physical_package_id" None;
    die "xeon-1s" "sys/devices/system/cpu/cpu1/topology/die_id" None;
    siblings "xeon-1s" "sys/devices/system/cpu/cpu0/topology/thread_siblings_list" None;
    // What only energy or carbon needs costs no CPU time.
    cpuinfo "xeon-1s" "proc/cpuinfo" Some(true);
    meminfo "xeon-1s" "proc/meminfo" Some(true);
    model_cpuinfo "masked" "proc/cpuinfo" Some(true);
    model_meminfo "masked" "proc/meminfo" Some(true);
    machine_id "xeon-1s" "etc/machine-id" Some(true);
    zone_name "xeon-1s" "sys/class/powercap/intel-rapl:0/name" Some(true);
    zone_counter "xeon-1s" "sys/class/powercap/intel-rapl:0/energy_uj" Some(true);
    zone_range "xeon-1s" "sys/class/powercap/intel-rapl:0/max_energy_range_uj" Some(true);
    zone_limit "xeon-1s" "sys/class/powercap/intel-rapl:0/constraint_0_max_power_uw" Some(true);
    part_counter "xeon-1s" "sys/class/powercap/intel-rapl:0:0/energy_uj" Some(true);
}

#[test]
fn cpu_times_as_large_as_they_get_are_no_panic() -> Result<()> {
    let mut machine = MachineRoot::new("xeon-2s")?;
    let before = machine.cpus.clone();
    for (args, has_meter) in [(&["--json"][..], true), (&[], true), (&["--json"], false)] {
        if !has_meter {
            fs::remove_dir_all(machine.path().join("sys/class/powercap"))?;
        }
        machine.cpus.clone_from(&before);
        let Some(mut held) = held::once(&machine, args)? else { return Ok(()) };
        held.go_on(&machine.stat())?;
        machine.cpus.iter_mut().for_each(|cpu| (cpu.busy, cpu.idle) = (u64::MAX / 8, u64::MAX / 8));
        let said = held.finish(&machine.stat())?;
        assert_eq!(said.code()?, 0, "{said:?}");
    }
    Ok(())
}

#[test]
fn cpu_times_that_become_unreadable_end_the_run_with_their_file() -> Result<()> {
    let machine = MachineRoot::new("xeon-1s")?;
    let Some(mut held) = held::once(&machine, &["--json"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    let said = held.finish("cpu 1 2 3 4\nintr 5\n")?;
    assert_eq!((said.code()?, said.out.as_str()), (1, ""));
    assert!(said.err.contains("cannot read how busy the CPUs are: ") && said.err.contains("proc/stat"), "{}", said.err);
    Ok(())
}

#[test]
fn a_root_that_is_not_there_is_named() -> Result<()> {
    for root in ["/no/such/root", "/dev/null", ""] {
        let said = Said::of(&mut command("once", Path::new(root)).arg("--no-bpf").spawn()?)?;
        assert_eq!((said.code()?, said.out.as_str()), (if root.is_empty() { 2 } else { 1 }, ""), "{root:?}: {said:?}");
        assert!(said.err.contains(&format!("cannot read {root}/sys/")) || root.is_empty(), "{}", said.err);
    }
    Ok(())
}

#[test]
fn a_root_that_may_not_be_read_is_named() -> Result<()> {
    let machine = MachineRoot::new("xeon-1s")?;
    fs::set_permissions(machine.path(), fs::Permissions::from_mode(0o000))?;
    let said = Said::of(&mut unprivileged("once", machine.path())?.command.arg("--no-bpf").spawn()?)?;
    let doctor = Said::of(&mut unprivileged("doctor", machine.path())?.command.spawn()?)?;
    fs::set_permissions(machine.path(), fs::Permissions::from_mode(0o755))?;
    assert_eq!((said.code()?, said.out.as_str()), (1, ""));
    assert!(said.err.contains("Permission denied") && said.err.contains("cpu/possible"), "{}", said.err);
    assert_eq!(doctor.code()?, 2, "{}", doctor.out);
    Ok(())
}

/// Every way to write a result; each ends well on this machine within a moment.
fn writers(machine: &MachineRoot) -> Vec<(Command, i32)> {
    let verb = |verb: &str, args: &[&str], code| {
        let mut command = command(verb, machine.path());
        command.args(args);
        (command, code)
    };
    vec![
        verb("once", &["--no-bpf", "--interval", "100ms"], 0),
        verb("once", &["--no-bpf", "--interval", "100ms", "--json"], 0),
        verb("doctor", &["--no-bpf"], 1),
        verb("doctor", &["--no-bpf", "--json"], 1),
        verb("identify", &["/system.slice/ssh.service"], 0),
        verb("identify", &["--json", "/system.slice/ssh.service"], 0),
    ]
}

#[test]
fn a_reader_that_leaves_is_no_error() -> Result<()> {
    let machine = MachineRoot::new("masked")?;
    for (mut command, code) in writers(&machine) {
        let (reader, writer) = pipe()?;
        drop(reader);
        let said = Said::of(&mut command.stdout(writer).spawn()?)?;
        if said.is_refused() {
            continue;
        }
        assert_eq!(said.code()?, code, "{command:?}: {said:?}");
        assert!(!said.err.contains("cannot write") && !said.err.contains("Broken pipe"), "{command:?}: {said:?}");
    }
    Ok(())
}

#[test]
fn nobody_listening_to_the_progress_costs_no_result() -> Result<()> {
    let machine = MachineRoot::new("masked")?;
    let (reader, writer) = pipe()?;
    drop(reader);
    let mut command = command("once", machine.path());
    command.args(["--no-bpf", "--json", "--interval", if is_root() { "100ms" } else { "10s" }]);
    let said = Said::of(&mut command.stderr(writer).spawn()?)?;
    assert_eq!(said.code()?, 0, "{said:?}");
    let first: Value = serde_json::from_str(said.out.lines().next().context("a line")?)?;
    assert_eq!(first["type"], "node");
    Ok(())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_full_disk_is_said() -> Result<()> {
    let machine = MachineRoot::new("masked")?;
    for (mut command, _) in writers(&machine) {
        let full = fs::OpenOptions::new().write(true).open("/dev/full")?;
        let said = Said::of(&mut command.stdout(Stdio::from(full)).spawn()?)?;
        if said.is_refused() {
            continue;
        }
        assert_eq!(said.code()?, 1, "{command:?}: {said:?}");
        assert!(
            said.err.contains("cannot write the ") && said.err.contains(": No space left"),
            "{command:?}: {said:?}"
        );
    }
    Ok(())
}
