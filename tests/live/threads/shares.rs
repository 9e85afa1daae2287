//! Threads that share one CPU: how long each waits for it, and who gave it up by its own will.

use wattrace_common::threads::State;

use super::{
    probe::{Figures, Probe},
    truth::{Truth, all, asleep, assert_near, watch},
};
use crate::support::{Cgroup, Load, live, until};

const SPINNERS: usize = 3;

#[test]
fn spinners_on_one_cpu_wait_for_it_while_the_others_run() {
    live!();
    let homes: [Cgroup; SPINNERS] = std::array::from_fn(|_| Cgroup::new());
    let mut probe = Probe::start();
    let mut loads = homes.each_ref().map(|home| Load::born_in(home, &["spin", "4"], &["pin=0", "stay"]));
    let before = homes.each_ref().map(|home| (asleep(&mut probe, home), Truth::of(home)));
    loads.iter_mut().for_each(Load::tell);
    // In the middle all of them spin: shares of this window are known.
    until("all spin", || homes.iter().all(|home| all(home, ") R ")));
    std::thread::sleep(std::time::Duration::from_millis(200));
    let from = probe.read();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let to = probe.read();
    for load in &mut loads {
        assert_eq!(load.line(), "done\n");
    }
    let (mut run, mut wait) = (0.0, 0.0);
    for (home, (view, truth)) in homes.iter().zip(&before) {
        let middle = to.of(home, &from);
        (run, wait) = (run + middle.running, wait + middle.state(State::Runnable));
        assert_near("runs or waits", middle.running + middle.state(State::Runnable), middle.wall, 0.01, middle.slack);
        let ours = asleep(&mut probe, home).of(home, view);
        let truth = Truth::of(home).since(*truth);
        assert_is_preempted(&ours, truth);
    }
    // Others want this CPU, too: what they take, the spinners wait for.
    let middle = to.of(&homes[0], &from);
    let others = middle.wall - run;
    println!("of {} s the spinners ran {run} s and waited {wait} s", middle.wall);
    let expected = (SPINNERS - 1) as f64 * middle.wall + others;
    assert_near("waits of all", wait, expected, 0.01, middle.slack * SPINNERS as f64);
    // Fair to 3 %: each has the same weight, and the window is many turns long.
    for home in &homes {
        let share = to.of(home, &from).state(State::Runnable) / middle.wall;
        let fair = wait / SPINNERS as f64 / middle.wall;
        assert_near("share of waits", share, fair, 0.03, 0.0);
    }
}

/// A spinner against the scheduler's account: it is off the CPU only because others run.
fn assert_is_preempted(ours: &Figures, truth: Truth) {
    assert_near("on a CPU", ours.running, truth.run, 0.01, 0.002);
    assert_near("waits", ours.state(State::Runnable), truth.delay, 0.01, 0.002);
    let preempted = ours.off(State::Runnable);
    println!("{} preemptions, {} involuntary, truth {truth:?}", preempted.count(), ours.involuntary);
    assert!(ours.involuntary.abs_diff(truth.involuntary) <= 2 + ours.missed);
    assert!(preempted.count().abs_diff(ours.involuntary) <= 2 + ours.missed);
    // Nearly all of its waits are from being preempted; the rest came after it was woken.
    assert!(preempted.sum <= ours.state(State::Runnable) * 1.001 && preempted.sum >= ours.state(State::Runnable) * 0.9);
    assert_near("sum of waits", ours.wait.sum, truth.delay, 0.01, 0.002);
    let (least, most) = ours.wait.bounds();
    assert!(least <= ours.wait.sum && ours.wait.sum <= most, "{} is not between {least} and {most}", ours.wait.sum);
}

#[test]
fn two_processes_that_wake_each_other_on_one_cpu_switch_as_the_kernel_counts() {
    live!();
    let cgroup = Cgroup::new();
    let watched = watch(&cgroup, &["relay", "20000"], &["pin=0"], |_, _| {});
    watched.assert_switches_are_as_the_kernel_counts();
    // The child was born in the window: it lived for less than all of it.
    let (ours, truth) = (&watched.figures, watched.truth);
    let estimates = 0.002 + 20e-6 * ours.missed as f64;
    assert_near("on a CPU", ours.running, truth.run, 0.01, estimates);
    assert_near("waits for a CPU", ours.state(State::Runnable), truth.delay, 0.03, estimates);
    assert_eq!(ours.threads(State::Sleeping), 2);
    assert!(ours.alive() > ours.wall && ours.alive() <= 2.0 * ours.wall + 2.0 * ours.slack, "{}", ours.alive());
    // Each round is two switches, one of each: by its own will, or because whom it woke up is to run at once.
    assert!(truth.voluntary + truth.involuntary >= 40_000, "the load was no load: {truth:?}");
    let slept = ours.off(State::Sleeping);
    assert!(slept.count().abs_diff(ours.voluntary) <= 4 + ours.missed, "{} sleeps", slept.count());
}

#[test]
fn real_time_and_deadline_threads_are_on_their_cpu_and_wait_as_the_scheduler_says() {
    live!();
    for class in ["class=fifo", "class=deadline"] {
        let cgroup = Cgroup::new();
        let how: &[&str] = if class == "class=fifo" { &["pin=0", class, "stay"] } else { &[class, "stay"] };
        if !is_permitted(class) {
            println!("SKIPPED: {class} is refused here");
            continue;
        }
        println!("{class}");
        // Shorter than the 950 ms after which the kernel throttles real-time tasks; a deadline task is throttled in each period.
        let watched = watch(&cgroup, &["duty", "0.8"], how, |_, _| {});
        if class == "class=deadline" {
            watched.assert_is_as_the_scheduler_says_but_for_throttling();
        } else {
            watched.assert_is_as_the_scheduler_says();
        }
        watched.assert_switches_are_as_the_kernel_counts();
    }
}

fn is_permitted(class: &str) -> bool {
    let words: &[&str] = match class {
        "class=fifo" => &["--fifo", "1", "true"],
        _ => &[
            "--deadline",
            "--sched-runtime",
            "5000000",
            "--sched-deadline",
            "10000000",
            "--sched-period",
            "10000000",
            "0",
            "true",
        ],
    };
    std::process::Command::new("chrt").args(words).status().is_ok_and(|status| status.success())
}
