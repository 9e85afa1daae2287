//! A virtual machine: what it is made of, and one run of it from boot to its end.
//!
//! Emulated in software, so that it runs where there is no access to the processor's own virtualisation. It knows of no
//! suite: a suite brings files, a command and what to make of what comes back.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{channel, guest::Files, kernels::Kernel};
use crate::{
    report::Outcome,
    shell::{self, say},
};

/// The emulator.
pub const EMULATOR: &str = "qemu-system-x86_64";
/// A shell with everything a guest's first program calls: linked statically, so that it runs without libraries.
pub const BUSYBOX: &str = "busybox";

const INIT: &str = include_str!("init.sh");
/// How long the first program of a guest may take to run.
const TO_BOOT: Duration = Duration::from_secs(180);
/// Lines of the console that are shown of a guest that did not come to its end.
const LAST_LINES: usize = 40;

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct Machine {
    /// CPUs, as the emulator's `-smp` takes them: `2`, `4,sockets=2,cores=2`.
    pub cpus: String,
    /// Memory, in MiB.
    pub memory: u32,
    /// More words for the kernel's command line.
    pub kernel_arguments: Vec<String>,
    /// Kernel modules of this machine's file system, in the order in which they are loaded.
    pub modules: Vec<PathBuf>,
    /// Disks: the serial number by which a guest finds one, and its image.
    pub disks: Vec<(String, PathBuf)>,
}

impl Default for Machine {
    /// Two CPUs, 1 GiB.
    fn default() -> Self {
        let (kernel_arguments, modules, disks) = (Vec::new(), Vec::new(), Vec::new());
        Self { cpus: "2".to_owned(), memory: 1024, kernel_arguments, modules, disks }
    }
}

/// One run of a machine.
pub struct Boot<'a> {
    /// What it boots.
    pub kernel: &'a Kernel,
    /// What it is made of.
    pub machine: &'a Machine,
    /// Its files, but for those of its first program.
    pub files: Files,
    /// What it runs: a program of the guest, and its arguments. The machine ends with it.
    pub command: Vec<String>,
    /// Variables of that command. `WATTRACE_VM=1` and `WATTRACE_VM_OUT`, the folder for files that the host is to have,
    /// are set besides.
    pub environment: Vec<(String, String)>,
    /// How long it may take in all.
    pub deadline: Duration,
}

/// How a run ended.
pub struct End {
    /// What the command printed, and whether it succeeded; a machine that did not come to its end has not.
    pub outcome: Outcome,
    /// Files that the command left in `WATTRACE_VM_OUT`, by name.
    pub records: BTreeMap<String, Vec<u8>>,
}

impl Boot<'_> {
    /// Runs the machine; shows what its command prints while it comes, behind the kernel's series.
    ///
    /// # Errors
    /// When the machine cannot be started. One that hangs or panics is an outcome.
    pub fn run(mut self) -> Result<End> {
        let folder = shell::target().join("vm").join(&self.kernel.series);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let (archive, console) = (folder.join("guest.cpio"), folder.join("console.log"));
        // Its files have these names.
        let lock = File::create(folder.join("lock")).context("cannot create the lock of a machine")?;
        lock.lock().context("cannot wait for another machine with this kernel")?;
        self.add_first_program()?;
        self.files.pack(&archive)?;
        fs::write(&console, "").with_context(|| format!("cannot write {}", console.display()))?;
        let booted = AtomicBool::new(false);
        let is_late = |since| since > self.deadline || (since > TO_BOOT && !booted.load(Ordering::SeqCst));
        let was_late = AtomicBool::new(false);
        let read = |mut from| channel::read(&mut from, &booted, |line| println!("{:>5} | {line}", self.kernel.series));
        let watch = |since| {
            was_late.fetch_or(is_late(since), Ordering::SeqCst);
            was_late.load(Ordering::SeqCst)
        };
        let said = shell::watched(&mut self.emulator(&archive, &console), watch, read)??;
        if said.exit.is_none() {
            let why = match (booted.load(Ordering::SeqCst), was_late.load(Ordering::SeqCst)) {
                (false, true) => format!("it did not boot within {} s", TO_BOOT.as_secs()),
                (false, false) => "it ended while booting".to_owned(),
                (true, true) => format!("it did not end within {} s", self.deadline.as_secs()),
                (true, false) => "it ended before its command did".to_owned(),
            };
            self.show_console(&console, &why);
        }
        let outcome = Outcome { succeeded: said.exit == Some(0), output: said.output };
        Ok(End { outcome, records: said.records })
    }

    fn add_first_program(&mut self) -> Result<()> {
        let busybox = shell::find_program(BUSYBOX).context("no busybox: run `cargo xtask setup --vm`")?;
        self.files.copy(&busybox, Path::new("/bin/busybox"))?;
        self.files.script(Path::new("/init"), INIT);
        for folder in ["/proc", "/sys", "/dev", "/tmp", "/run", "/etc", "/sbin", "/usr/bin", "/usr/sbin", "/vm/modules"]
        {
            self.files.folder(Path::new(folder));
        }
        self.files.text(Path::new("/etc/passwd"), "root:x:0:0::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n");
        self.files.text(Path::new("/etc/group"), "root:x:0:\nnogroup:x:65534:\n");
        self.files.text(Path::new("/etc/hosts"), "127.0.0.1 localhost guest\n");
        for (index, module) in self.machine.modules.iter().enumerate() {
            let name = module.file_name().unwrap_or_default().to_string_lossy();
            self.files.copy(module, &Path::new("/vm/modules").join(format!("{index:02}-{name}")))?;
        }
        self.files.script(Path::new("/vm/command"), &script(&self.environment, &self.command)?);
        Ok(())
    }

    fn emulator(&self, archive: &Path, console: &Path) -> Command {
        let mut command = shell::command(EMULATOR);
        // A kernel that panics ends the machine.
        let kernel = ["console=ttyS0", "panic=-1", "cgroup_no_v1=all"].map(str::to_owned);
        let mut kernel: Vec<String> = kernel.into_iter().chain(self.machine.kernel_arguments.clone()).collect();
        if self.kernel.starts_cpus_at_once() {
            // Its time is that of the instructions it executed, so what else the host does is not seen in it, and a wait
            // takes none. With a thread for each CPU a kernel that patches its own code was seen to die of a half-written word.
            command.args(["-accel", "tcg,thread=single", "-icount", "shift=1,sleep=off"]);
            // CPUs that are emulated in turns would be taken for out of step.
            kernel.push("tsc=reliable".to_owned());
        } else {
            command.args(["-accel", "tcg,thread=multi"]);
        }
        let kernel = kernel.join(" ");
        command.args(["-cpu", "max", "-nodefaults", "-display", "none", "-no-reboot"]);
        command.args(["-smp", &self.machine.cpus, "-m", &format!("{}M", self.machine.memory)]);
        command.arg("-kernel").arg(&self.kernel.image).arg("-initrd").arg(archive).args(["-append", &kernel]);
        command.arg("-serial").arg(format!("file:{}", console.display()));
        for (serial, image) in &self.machine.disks {
            // What it does not have on its disk is lost with the machine: nothing of the host's waits for it.
            let file = format!("file={},if=none,id={serial},format=raw,cache=unsafe,discard=unmap", image.display());
            command.args(["-drive", &file]);
            command.args(["-device", &format!("virtio-blk-pci,drive={serial},serial={serial}")]);
        }
        command.args(["-chardev", "stdio,id=host,signal=off", "-serial", "chardev:host"]);
        command
    }

    fn show_console(&self, console: &Path, why: &str) {
        let series = &self.kernel.series;
        say(format_args!("vm: the machine with Linux {} is no more: {why}; its last words:", self.kernel.release));
        let text = fs::read(console).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(LAST_LINES)) {
            println!("{series:>5} # {}", line.trim_end());
        }
        say(format_args!("vm: all of it is in {}", console.display()));
    }
}

/// The script that is the guest's command.
fn script(environment: &[(String, String)], command: &[String]) -> Result<String> {
    let mut script = "#!/bin/sh\nexport WATTRACE_VM=1 WATTRACE_VM_OUT=/vm/out RUST_BACKTRACE=1\n".to_owned();
    for (name, value) in environment {
        writeln!(script, "export {name}={}", quoted(value))?;
    }
    let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    writeln!(script, "exec {}", words.join(" "))?;
    Ok(script)
}

/// As one word of a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_guest_as_they_are() {
        let environment = [("A".to_owned(), "it's $x".to_owned())];
        let text = script(&environment, &["/a b".to_owned(), "--c=*".to_owned()]).unwrap();
        assert!(text.contains("export A='it'\\''s $x'\n") && text.ends_with("exec '/a b' '--c=*'\n"), "{text}");
    }
}
