//! scratch
use crate::support::live;
use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};
use wattrace::{
    probes::bpf::{self, Machine, Me, layout::Layouts},
    units::Nanos,
};

fn mono() -> Nanos {
    wattrace::clock::monotonic()
}

#[test]
fn scratch() {
    live!();
    let layouts = Layouts::load(Path::new("/sys/kernel/btf/vmlinux")).unwrap();
    let machine = Machine {
        btf: "/sys/kernel/btf/vmlinux".into(),
        possible: 2,
        online: vec![0, 1],
        root_cgroup: 1,
        locked_down: false,
        time_runs: true,
        follows_threads: true,
        siblings: BTreeMap::new(),
        me: Me { cgroup: None, tgid: Some(std::process::id()) },
    };
    let mut p = bpf::load(&layouts, &machine).map_err(|e| e.to_string()).unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "sleep 0.5; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 1"])
        .spawn()
        .unwrap();
    let pid = child.id();
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(700));
        let r = p.times.read(mono, |_| true, |_| Nanos(u64::MAX));
        let t = p.threads.as_mut().unwrap().read(&p.times, mono, |_| Nanos(u64::MAX));
        for r in r.times.iter() {
            if let wattrace_common::sched::Work::Process { tgid, .. } = r.key.decode() {
                if tgid == pid {
                    println!("cpu{} on {:?} {:?}", r.cpu, r.time, r.key);
                }
            }
        }
        let mut obs = 0;
        for t in &t {
            obs += t.now.iter().sum::<u64>() + t.running;
            if let wattrace_common::sched::Work::Process { tgid, .. } = t.key.decode() {
                if tgid == pid {
                    println!(
                        "{:?} now {:?} run {} v {} i {} hist {:?}",
                        t.states,
                        t.now,
                        t.running,
                        t.voluntary,
                        t.involuntary,
                        t.durations.as_ref().map(|d| (
                            d.wait.sum,
                            d.wait.counts.iter().sum::<u64>(),
                            d.off.iter().map(|o| (o.sum, o.counts.iter().sum::<u64>())).collect::<Vec<_>>()
                        ))
                    );
                }
            }
        }
        println!("keys {} observed {obs} loadavg {}", t.len(), std::fs::read_to_string("/proc/loadavg").unwrap());
        println!("{}", std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default());
        println!("{:?}", p.times.losses().into_iter().filter(|l| l.count > 0).collect::<Vec<_>>());
    }
    let _ = child.wait();
}
