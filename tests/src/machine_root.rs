//! A whole made-up machine below a directory: powercap zones, CPU topology, processor, memory.
//!
//! It is what a program sees that takes another root; it does not run anything.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::{Context, Result};

use crate::powercap_tree::{self, Layout, Row};

/// Hardware threads of each die.
const CPUS_PER_DIE: u32 = 2;

/// One CPU and its counts in `/proc/stat`, in clock ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub number: u32,
    /// `physical_package_id`
    pub socket: u32,
    /// `die_id`
    pub die: u32,
    /// Ticks in user mode.
    pub busy: u64,
    /// Ticks idle.
    pub idle: u64,
}

/// The machine; its directory is removed when it is dropped.
#[derive(Debug)]
pub struct MachineRoot {
    directory: tempfile::TempDir,
    /// Its powercap zones.
    pub zones: Vec<Row>,
    /// Its CPUs, two for each die. A change is seen once [`Self::write_stat`] is called.
    pub cpus: Vec<Cpu>,
}

impl MachineRoot {
    /// A machine of a shape of `fixtures/powercap_shapes.tsv`, with 16 GiB of memory; readable by everybody.
    pub fn new(shape: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let zones = powercap_tree::build(directory.path(), shape, Layout::Linked)?;
        let machine = Self { cpus: cpus(&zones), directory, zones };
        machine.write("proc/meminfo", "MemTotal:       16777216 kB\nMemFree:         8388608 kB\n")?;
        machine.write("etc/machine-id", "0123456789abcdef0123456789abcdef\n")?;
        machine.topology()?;
        machine.write_stat()?;
        Ok(machine)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file below the root, with the directories above it.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> Result<()> {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().context("a file has a directory")?)?;
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// The counter of a zone, given as in the fixture.
    pub fn counter(&self, zone: &str) -> PathBuf {
        self.path().join("sys/class/powercap").join(zone).join("energy_uj")
    }

    /// Sets the counter of a zone. The file stays the one that is open elsewhere.
    pub fn set_energy(&self, zone: &str, microjoules: u64) -> Result<()> {
        let path = self.counter(zone);
        fs::write(&path, format!("{microjoules}\n")).with_context(|| path.display().to_string())
    }

    /// `/proc/stat` as the CPUs are now.
    pub fn stat(&self) -> String {
        let line = |name: &str, busy, idle| format!("{name} {busy} 0 0 {idle} 0 0 0 0 0 0\n");
        let sum = |count: fn(&Cpu) -> u64| self.cpus.iter().map(count).sum::<u64>();
        let first = line("cpu ", sum(|cpu| cpu.busy), sum(|cpu| cpu.idle));
        let lines = self.cpus.iter().map(|cpu| line(&format!("cpu{}", cpu.number), cpu.busy, cpu.idle));
        std::iter::once(first).chain(lines).chain(["intr 0\nctxt 0\n".to_owned()]).collect()
    }

    /// Writes [`Self::stat`] into the root.
    pub fn write_stat(&self) -> Result<()> {
        self.write("proc/stat", self.stat())
    }

    /// These counters advance until what is returned is dropped. They keep their length, so that no read sees half a write.
    pub fn advancing(&self, zones: &[&str]) -> Result<Advancing> {
        let open =
            |zone: &&str| OpenOptions::new().write(true).open(self.counter(zone)).with_context(|| (*zone).to_owned());
        let counters = zones.iter().map(open).collect::<Result<Vec<_>>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let writer = std::thread::spawn(move || advance(&counters, &stopped));
        Ok(Advancing { stop, writer: Some(writer) })
    }

    fn topology(&self) -> Result<()> {
        const BASE: &str = "sys/devices/system/cpu";
        let all = format!("0-{}\n", self.cpus.len().saturating_sub(1));
        self.write(&format!("{BASE}/possible"), &all)?;
        self.write(&format!("{BASE}/online"), &all)?;
        for cpu in &self.cpus {
            let file = |name: &str| format!("{BASE}/cpu{}/topology/{name}", cpu.number);
            let first = cpu.number - cpu.number % CPUS_PER_DIE;
            self.write(&file("physical_package_id"), format!("{}\n", cpu.socket))?;
            self.write(&file("die_id"), format!("{}\n", cpu.die))?;
            self.write(&file("thread_siblings_list"), format!("{first}-{}\n", first + CPUS_PER_DIE - 1))?;
        }
        Ok(())
    }
}

/// Counters that advance by themselves.
#[derive(Debug)]
pub struct Advancing {
    stop: Arc<AtomicBool>,
    writer: Option<JoinHandle<std::io::Result<()>>>,
}

impl Drop for Advancing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.writer.take().map(JoinHandle::join));
    }
}

fn advance(counters: &[File], stop: &AtomicBool) -> std::io::Result<()> {
    for microjoules in 100_000_000_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        for counter in counters {
            counter.write_all_at(format!("{microjoules}\n").as_bytes(), 0)?;
        }
        std::thread::yield_now();
    }
    Ok(())
}

/// Two for each die that has a package zone; a machine without zones has one socket.
fn cpus(zones: &[Row]) -> Vec<Cpu> {
    let mut places: BTreeSet<_> = zones.iter().filter_map(Row::package).collect();
    if places.is_empty() {
        places.insert((0, None));
    }
    let threads = places.into_iter().flat_map(|place| (0..CPUS_PER_DIE).map(move |_| place));
    let cpu = |(number, (socket, die)): (u32, (u32, Option<u32>))| Cpu {
        number,
        socket,
        die: die.unwrap_or(0),
        busy: 1_000,
        idle: 5_000,
    };
    (0..).zip(threads).map(cpu).collect()
}
