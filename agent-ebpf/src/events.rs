//! Events that travel one by one: how many of a kind an owner may send, and the ring they travel in.
//!
//! An event wakes nobody: the agent looks at the ring at each reading. Beyond half of it, a flood wakes the agent, so that it
//! costs as many looks as it takes to keep room for others, and not one an event.

use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

use wattrace_common::{
    events::{Limiter, WINDOW_SHIFT},
    limits::EVENT_RING_BYTES,
    loss::{Program, Reason},
};

use crate::{atomic::step, kernel::EVENT_RATE, loss, maps::EVENTS};

/// `BPF_RB_NO_WAKEUP`
const NO_WAKEUP: u64 = 1;
/// `BPF_RB_FORCE_WAKEUP`
const FORCE_WAKEUP: u64 = 2;
/// `BPF_RB_AVAIL_DATA`
const AVAIL_DATA: u64 = 0;

/// Whether one more event may be sent at `now`, nanoseconds of the monotonic clock; one that may not is counted.
///
/// Without atomics that fetch, which 5.10 does not have, CPUs at the same place may let a few more through.
#[inline(always)]
pub fn may_send(limiter: *mut Limiter, now: u64, cpu: u32, program: Program) -> bool {
    let rate = EVENT_RATE.load();
    if rate == 0 {
        return true;
    }
    let window = now >> WINDOW_SHIFT;
    // SAFETY: words of a map value.
    let taken = unsafe {
        // Never back: another CPU's `now` may be a little older.
        if read_volatile(addr_of!((*limiter).window)) < window {
            write_volatile(addr_of_mut!((*limiter).window), window);
            write_volatile(addr_of_mut!((*limiter).taken), 0);
        }
        let taken = read_volatile(addr_of!((*limiter).taken));
        step(addr_of_mut!((*limiter).taken));
        taken
    };
    if taken < rate {
        return true;
    }
    drop_one(limiter, cpu, program, Reason::Limited);
    false
}

/// Sends an event, or counts it.
#[inline(always)]
pub fn send(bytes: &[u8], limiter: *mut Limiter, cpu: u32, program: Program) {
    let flags = if is_half_full() { FORCE_WAKEUP } else { NO_WAKEUP };
    output(bytes, limiter, cpu, program, flags);
}

/// The same where nobody may be woken: with the lock of a run queue held. Who gets there calls [`nudge`] before.
#[inline(always)]
pub fn send_quietly(bytes: &[u8], limiter: *mut Limiter, cpu: u32, program: Program) {
    output(bytes, limiter, cpu, program, NO_WAKEUP);
}

/// Wakes the agent where the ring is half full, for events that are sent quietly.
#[inline(always)]
pub fn nudge() {
    if is_half_full()
        && let Some(entry) = EVENTS.reserve::<u64>(0)
    {
        // Readers do not see what is discarded.
        entry.discard(FORCE_WAKEUP);
    }
}

#[inline(always)]
fn is_half_full() -> bool {
    EVENTS.query(AVAIL_DATA) > EVENT_RING_BYTES as u64 / 2
}

#[inline(always)]
fn output(bytes: &[u8], limiter: *mut Limiter, cpu: u32, program: Program, flags: u64) {
    if EVENTS.output::<[u8]>(bytes, flags).is_err() {
        drop_one(limiter, cpu, program, Reason::RingFull);
    }
}

#[inline(always)]
fn drop_one(limiter: *mut Limiter, cpu: u32, program: Program, reason: Reason) {
    // SAFETY: a word of a map value.
    unsafe { step(addr_of_mut!((*limiter).dropped)) };
    loss::count(cpu, program, reason);
}
