//! A load of processes in a cgroup, and what it says of each.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use crate::support::Cgroup;

/// A child, as `wait4` told it.
#[derive(Clone, Debug)]
pub struct Ended {
    pub pid: u32,
    pub status: u32,
    pub cpu: Duration,
    pub name: String,
}

/// It waits for its start, and when it is done, until it may end.
pub struct Lives {
    pub child: Child,
    out: BufReader<ChildStdout>,
    into: Option<ChildStdin>,
    /// What it ran before it came into the cgroup: at least and at most.
    pub before: [Duration; 2],
}

impl Lives {
    pub fn new(cgroup: &Cgroup, what: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lives"));
        command.arg(format!("in={}", cgroup.path.display())).args(what);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let into = child.stdin.take();
        let mut lives = Self { child, out, into, before: [Duration::ZERO; 2] };
        let line = lives.line();
        let (least, most) = line.strip_prefix("ready ").unwrap().split_once(' ').unwrap();
        lives.before = [least, most].map(|nanos| Duration::from_nanos(nanos.parse().unwrap()));
        lives
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn go(&mut self) {
        self.into.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// What it says until it is done.
    pub fn ended(&mut self) -> Vec<Ended> {
        let lines = std::iter::from_fn(|| Some(self.line()).filter(|line| line != "done"));
        lines.map(|line| parse(&line)).collect()
    }

    /// It ends, and is waited for.
    pub fn end(mut self) -> u32 {
        drop(self.into.take());
        assert!(self.child.wait().unwrap().success());
        self.child.id()
    }
}

fn parse(line: &str) -> Ended {
    let words: Vec<&str> = line.split(' ').collect();
    let [pid, status, micros, name] = words.as_slice() else { panic!("the load ended: {line:?}") };
    Ended {
        pid: pid.parse().unwrap(),
        status: status.parse::<i32>().unwrap().cast_unsigned(),
        cpu: Duration::from_micros(micros.parse().unwrap()),
        name: (*name).to_owned(),
    }
}

impl Drop for Lives {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
