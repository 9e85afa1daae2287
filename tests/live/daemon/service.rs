//! The service manager's side: signs of life, and streams that nobody reads.

use std::{
    io::{BufRead, BufReader},
    os::unix::net::UnixDatagram,
    process::Stdio,
    time::Duration,
};

use super::agent::{Agent, Place, path, wait_for_the_host};
use crate::support::live;

#[test]
fn signs_of_life_come_from_within_an_interval() {
    live!();
    wait_for_the_host();
    let place = Place::new();
    place.configure("[agent]\ninterval = \"1h\"\n");
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let program = place.command(&[]);
    // The watchdog is for the process that its variable names.
    let mut shell = std::process::Command::new("/bin/sh");
    shell.env_clear().args(["-c", "WATCHDOG_PID=$$ exec \"$0\" \"$@\""]).arg(program.get_program());
    shell.args(program.get_args()).env("NOTIFY_SOCKET", path(&socket)).env("WATCHDOG_USEC", "2000000");
    let agent = Agent::of(shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let next = || {
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).expect("a message of the agent");
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    };
    assert_eq!(next(), "READY=1");
    for _ in 0..4 {
        assert_eq!(next(), "WATCHDOG=1");
    }
    assert!(!place.state_file().exists(), "the first interval has not ended");
    agent.stop();
    let rest: Vec<String> = std::iter::from_fn(|| Some(next())).take_while(|said| said != "STOPPING=1").collect();
    assert!(rest.iter().all(|said| said == "WATCHDOG=1"), "{rest:?}");
}

#[test]
fn a_log_that_nobody_reads_ends_no_measurement() {
    live!();
    wait_for_the_host();
    let place = Place::new();
    let mut command = place.command(&["--top"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop((child.stderr.take(), child.stdout.take()));
    let mut agent = Agent::unheard(child);
    place.until_saved(3);
    assert!(agent.is_running());
    agent.stop();
}

#[test]
fn a_table_of_each_interval_closes() {
    live!();
    wait_for_the_host();
    let place = Place::new();
    let mut child = place.command(&["--top", "--rows", "3"]).stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let agent = Agent::of(child);
    let mut tables = 0;
    for line in out.lines().map_while(Result::ok) {
        println!("{line}");
        let spans = line.contains(" CPUs, ");
        tables += usize::from(spans);
        assert!(!line.starts_with("books") || line.ends_with("(closed)"), "{line}");
        if spans && tables > 1 {
            // Of the interval alone, not of all of them together.
            assert!(line.starts_with("1.") || line.starts_with("0.9"), "{line}");
        }
        if tables == 3 {
            break;
        }
    }
    assert_eq!(tables, 3);
    agent.stop();
}
