//! Threads that sleep while a CPU goes offline and comes back.

use std::{fs, time::Duration};

use wattrace_common::threads::State;

use super::truth::watch;
use crate::support::{Cgroup, cpus, live};

/// A CPU, offline until this is dropped.
struct Offline(String);

impl Offline {
    fn new(file: &str) -> Option<Self> {
        fs::write(file, "0").is_ok().then(|| Self(file.to_owned()))
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        drop(fs::write(&self.0, "1"));
    }
}

#[test]
fn threads_sleep_on_while_a_cpu_goes_offline_and_comes_back() {
    live!();
    if std::env::var_os("WATTRACE_VM").is_none() {
        println!(
            "SKIPPED: CPUs are taken offline only in a virtual machine of the tests: `cargo xtask vm live hotplug`"
        );
        return;
    }
    let last = cpus() - 1;
    let file = format!("/sys/devices/system/cpu/cpu{last}/online");
    if last == 0 || !fs::exists(&file).unwrap() {
        println!("SKIPPED: no CPU can be taken offline");
        return;
    }
    for how in [&["stay"][..], &[&format!("pin={last}"), "stay"]] {
        let cgroup = Cgroup::new();
        let watched = watch(&cgroup, &["sleeps", "1", "1500", "20", "20"], how, |probe, _| {
            let before = probe.read();
            let Some(offline) = Offline::new(&file) else { panic!("{file} is refused") };
            std::thread::sleep(Duration::from_millis(300));
            let now = probe.read().of(&cgroup, &before);
            assert_eq!(now.threads(State::Sleeping), 1, "offline: {now:?}");
            drop(offline);
            std::thread::sleep(Duration::from_millis(200));
            let now = probe.read().of(&cgroup, &before);
            assert_eq!(now.threads(State::Sleeping), 1, "back: {now:?}");
        });
        assert_eq!(watched.figures.now, [0, 0, 1, 0, 0]);
        watched.assert_is_as_the_scheduler_says();
    }
}
