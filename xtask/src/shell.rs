//! Running other programs and telling what is done. The only file here that starts a process, reads
//! the time or waits; every command is printed before it runs.

use std::{
    ffi::OsStr,
    fmt::Display,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};

/// The workspace this xtask was built from.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Says what happens next.
pub fn say(line: impl Display) {
    println!("xtask: {line}");
}

/// Says how far a long work is, beside what it prints.
pub fn progress(line: impl Display) {
    eprintln!("xtask: {line}");
}

/// Maps a verb's outcome to the exit code: 1 with one sentence on an error.
pub fn exit_code(outcome: Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

/// A command that has not run yet, in the workspace's root.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    #[expect(clippy::disallowed_methods, reason = "xtask drives cargo and the system's tools; the agent does not")]
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The cargo that runs this xtask.
pub fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The command as one would type it, without its environment.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    command.get_args().fold(program, |line, arg| line + " " + &arg.to_string_lossy())
}

/// Says and runs a command; an error when it cannot start or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let succeeded = succeeds(command)?;
    ensure!(succeeded, "`{}` failed", shown(command));
    Ok(())
}

/// Says and runs a command; whether it succeeded.
pub fn succeeds(command: &mut Command) -> Result<bool> {
    say(format_args!("run `{}`", shown(command)));
    let status = command.status().with_context(|| format!("cannot start `{}`", shown(command)))?;
    Ok(status.success())
}

/// Says a command and lets it take the place of this process; returns only when it cannot start.
pub fn replace(command: &mut Command) -> Result<ExitCode> {
    say(format_args!("run `{}`", shown(command)));
    Err(command.exec()).with_context(|| format!("cannot start `{}`", shown(command)))
}

/// Runs a command silently; whether it started and succeeded.
pub fn quietly(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What a command prints on its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        bail!("`{}` failed", shown(command));
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no UTF-8", shown(command)))
}

/// Says and runs a command, shows its standard output while it comes and keeps it. Also whether it succeeded.
pub fn tee(command: &mut Command) -> Result<(bool, String)> {
    say(format_args!("run `{}`", shown(command)));
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start `{}`", shown(command)))?;
    let mut kept = String::new();
    let mut reader = BufReader::new(child.stdout.take().context("a piped child has no standard output")?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        kept.push_str(&text);
        line.clear();
    }
    Ok((child.wait()?.success(), kept))
}

/// A silent program in the background; ended when dropped.
pub struct Background(Child);

impl Background {
    /// Starts it.
    pub fn start(command: &mut Command) -> Result<Self> {
        let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        silent.spawn().map(Self).with_context(|| format!("cannot start `{}`", shown(command)))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // One that has ended already is what was wanted.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A program in the background that does what it is told, line by line; ended when dropped.
pub struct Told {
    name: String,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _process: Background,
}

impl Told {
    /// Starts it.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = shown(command);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Background(piped.spawn().with_context(|| format!("cannot start `{name}`"))?);
        let orders = process.0.stdin.take().context("a piped child has no standard input")?;
        let answers = BufReader::new(process.0.stdout.take().context("a piped child has no standard output")?);
        Ok(Self { name, orders, answers, _process: process })
    }

    /// Gives it a line.
    pub fn tell(&mut self, order: &str) -> Result<()> {
        writeln!(self.orders, "{order}").with_context(|| format!("`{}` takes no orders", self.name))
    }

    /// The next line that it says.
    pub fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        let length = self.answers.read_line(&mut line).with_context(|| format!("reading what `{}` says", self.name))?;
        ensure!(length > 0, "`{}` ended by itself", self.name);
        Ok(line.trim_end().to_owned())
    }
}

/// Says and runs a command; `read` takes its standard output while it comes. The command is over when `read` has
/// returned, or when `is_late` says so of the time since its start; it is ended if it goes on.
pub fn watched<T: Send>(
    command: &mut Command,
    is_late: impl Fn(Duration) -> bool,
    read: impl FnOnce(BufReader<ChildStdout>) -> T + Send,
) -> Result<T> {
    say(format_args!("run `{}`", shown(command)));
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = Background(piped.spawn().with_context(|| format!("cannot start `{}`", shown(command)))?);
    let output = BufReader::new(child.0.stdout.take().context("a piped child has no standard output")?);
    #[expect(clippy::disallowed_methods, reason = "a deadline of a program of others")]
    let start = Instant::now();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read(output));
        while !reader.is_finished() {
            if is_late(start.elapsed()) {
                break;
            }
            pause(Duration::from_millis(100));
        }
        // Its output ends with it, and so does the reader.
        drop(child);
        reader.join().map_err(|_| anyhow!("nobody reads what `{}` says", shown(command)))
    })
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from))
}

/// Where cargo puts the agent's program, in profile folder `debug` or `release`.
pub fn program(profile: &str) -> PathBuf {
    built(profile, "wattrace")
}

/// Where cargo puts a program of the workspace.
pub fn built(profile: &str, name: &str) -> PathBuf {
    target().join(profile).join(name)
}

/// Where a program of that name is: in `PATH`, or where Debian keeps administrators' programs.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Whether a program of that name is in `PATH` or where Debian keeps administrators' programs.
pub fn has_program(name: &str) -> bool {
    find_program(name).is_some()
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    status_field("Uid:").and_then(|uids| uids.split_whitespace().nth(1).map(|uid| uid == "0")).unwrap_or(false)
}

/// A field of `/proc/self/status`.
pub fn status_field(name: &str) -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
}

/// Runs `work` and tells how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    #[expect(clippy::disallowed_methods, reason = "wall time of a build step is shown, nothing is computed from it")]
    let start = Instant::now();
    let value = work();
    (value, start.elapsed())
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "a machine that settles shows no condition to wait for")]
pub fn pause(span: Duration) {
    std::thread::sleep(span);
}
