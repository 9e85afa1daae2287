//! A core with two threads on each of two sockets: two spinners share a core, or have one each and a socket's price each.

use wattrace_tests::simulator::Parameter;

use super::smt::{Spinner, USUAL_GAIN, assert_siblings, judge, spinner};
use crate::{record::Record, thresholds::STEADY, world::World};

/// Threads of the core of socket 1.
const SIBLINGS: [usize; 2] = [2, 3];
/// One of socket 0; its other thread is everything else's.
const ELSEWHERE: usize = 1;

const TOGETHER: [Spinner; 2] = [spinner("one thread", SIBLINGS[0], "4"), spinner("the other", SIBLINGS[1], "4")];
const APART: [Spinner; 2] = [spinner("one socket", SIBLINGS[0], "4"), spinner("the other socket", ELSEWHERE, "4")];

#[test]
fn two_spinners_on_the_core_of_a_socket() {
    run("two_spinners_on_the_core_of_a_socket", "Sockets of one core: two spinners on its two threads", &TOGETHER);
}

#[test]
fn two_spinners_on_the_cores_of_two_sockets() {
    run("two_spinners_on_the_cores_of_two_sockets", "Sockets of one core: two spinners on different ones", &APART);
}

fn run(name: &'static str, title: &str, spinners: &[Spinner]) {
    let Some(world) = World::new() else { return };
    assert_siblings(SIBLINGS);
    world.simulator.set(Parameter::SmtPerMille(USUAL_GAIN)).unwrap();
    judge(world, Record::new(name, &format!("{title}; a second thread adds 0.15")), spinners, Some(STEADY));
}
