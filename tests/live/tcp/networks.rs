//! Network namespaces of a test's own, and a link between two of them that takes its time.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

/// A network namespace of this test's own, whose loopback is up.
pub struct Namespace(pub String);

impl Namespace {
    pub fn new(of: &str) -> Self {
        let namespace = Self(format!("wattrace-{}-{of}", std::process::id()));
        ip(&["netns", "add", &namespace.0]);
        namespace.run(&["link", "set", "lo", "up"]);
        namespace
    }

    /// One of this name where many connections may have ended lately. Where the kernel keeps no more of them it answers the other
    /// side's last word by a reset, which is a failure.
    pub fn roomy(of: &str) -> Self {
        let namespace = Self::new(of);
        namespace.set("ipv4/tcp_max_tw_buckets", 1_000_000);
        namespace
    }

    /// Writes a value of `/proc/sys/net`.
    pub fn set(&self, name: &str, value: u32) {
        self.said(&["sh", "-c", &format!("echo {value} > /proc/sys/net/{name}")]);
    }

    /// What a program says that runs in it.
    fn said(&self, program: &[&str]) -> String {
        let mut command = Command::new("nsenter");
        let done = command.arg(format!("--net=/run/netns/{}", self.0)).args(program).output().unwrap();
        assert!(done.status.success(), "{program:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// What the kernel tells of the one connection that is established in it.
    pub fn connection(&self) -> Told {
        let said = self.said(&["ss", "-tinOH", "state", "established"]);
        assert_eq!(said.lines().count(), 1, "{said}");
        Told(said)
    }

    /// Segments that its sockets sent again, as the kernel counts them.
    pub fn retransmits(&self) -> u64 {
        self.count("snmp", "Tcp:", "RetransSegs")
    }

    /// A count of the kernel's own, by its file in `/proc/net`, its group and its name.
    pub fn count(&self, file: &str, group: &str, name: &str) -> u64 {
        let said = self.said(&["cat", &format!("/proc/net/{file}")]);
        let mut lines = said.lines().filter_map(|line| line.strip_prefix(group));
        let (names, figures) = (lines.next().unwrap(), lines.next().unwrap());
        let at = names.split_whitespace().position(|found| found == name).unwrap();
        figures.split_whitespace().nth(at).unwrap().parse().unwrap()
    }

    /// What `ip` does in it.
    pub fn run(&self, args: &[&str]) {
        ip(&[&["-n", self.0.as_str()], args].concat());
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "del", &self.0]).status());
    }
}

pub fn ip(args: &[&str]) {
    let status = Command::new("ip").args(args).status().unwrap();
    assert!(status.success(), "ip {args:?}: {status}");
}

/// What `ss` says of a connection, which it has from its `tcp_info`.
#[derive(Debug)]
pub struct Told(String);

impl Told {
    /// What stands behind a name, up to a blank or a slash.
    fn figure(&self, name: &str) -> Option<&str> {
        self.0.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix(':'))
    }

    /// Whether all was acknowledged that this side sent.
    pub fn is_quiet(&self) -> bool {
        self.figure("unacked").is_none() && self.figure("notsent").is_none()
    }

    /// The smoothed round trip, in whole microseconds.
    pub fn rtt(&self) -> Duration {
        let millis: f64 = self.figure("rtt").unwrap().split('/').next().unwrap().parse().unwrap();
        Duration::from_secs_f64(millis / 1e3)
    }

    /// Segments that were sent again, in all.
    pub fn retransmits(&self) -> u64 {
        self.figure("retrans").map_or(0, |figures| figures.split('/').nth(1).unwrap().parse().unwrap())
    }
}

/// A client's namespace and a server's, and a link between them.
pub struct Link {
    pub client: Namespace,
    pub server: Namespace,
    relay: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Link {
    /// Where the server is.
    pub const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));

    /// Each packet takes so long. Those with data from the client that have these numbers, from 1 on, are lost, and where it says
    /// `answer`, the server's first. `None`, and says why, where the kernel has no TUN devices.
    pub fn new(of: &str, delay: Duration, lost: &[&str]) -> Option<Self> {
        if !has_tun() {
            return None;
        }
        let (client, server) = (Namespace::new(&format!("{of}-client")), Namespace::new(&format!("{of}-server")));
        let mut command = Command::new(env!("CARGO_BIN_EXE_relay"));
        command.args([&client.0, &server.0, &delay.as_micros().to_string()]).args(lost);
        let mut relay = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (orders, answers) = (relay.stdin.take().unwrap(), BufReader::new(relay.stdout.take().unwrap()));
        let mut link = Self { client, server, relay, orders, answers };
        assert_eq!(link.line(), "ready\n");
        for (end, own, other) in [(&link.client, "10.77.0.1", "10.77.0.2"), (&link.server, "10.77.0.2", "10.77.0.1")] {
            end.run(&["address", "add", own, "peer", other, "dev", "link"]);
            end.run(&["link", "set", "dev", "link", "up"]);
        }
        Some(link)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line
    }

    /// Packets from the client that were lost, and those that carried again what others had carried.
    pub fn losses(&mut self) -> (u64, u64) {
        writeln!(self.orders, "tell").unwrap();
        let line = self.line();
        let (dropped, again) = line.trim().split_once(' ').unwrap();
        (dropped.parse().unwrap(), again.parse().unwrap())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(self.relay.kill());
        drop(self.relay.wait());
    }
}

/// Whether there are TUN devices; says why not.
pub fn has_tun() -> bool {
    let opened = File::options().read(true).write(true).open("/dev/net/tun");
    if let Err(error) = &opened {
        println!("SKIPPED: this kernel has no TUN devices: {error}");
    }
    opened.is_ok()
}
