//! The rows in which connections are counted: which one an owner has.

use core::ptr::addr_of_mut;

use wattrace_common::{
    loss::{Program, Reason},
    owner::OwnerKey,
    tcp::{FAILURES, Failure, Phase, RoleSums, TcpRow, TcpSums},
    threads::wait_bucket,
};

use crate::{
    atomic::{step, step32},
    block::bounded,
    histograms::minus,
    loss,
    maps::{TCP_EMPTY, TCP_FREE_ROWS, TCP_MORE_WORK, TCP_ROW, TCP_WORK},
    rows::{self, NO_ROW},
};

const ONLY_NEW: u64 = 1;

#[inline(always)]
pub fn role_of(sums: *mut TcpSums, role: u32) -> *mut RoleSums {
    // SAFETY: inside the sums, which are a map value.
    unsafe { addr_of_mut!((*sums).roles).cast::<RoleSums>().add(bounded::<1>(role as usize)) }
}

#[inline(always)]
pub fn count_failure(of_role: *mut RoleSums, phase: Phase, error: u32) {
    let at = bounded::<7>(Failure::of_errno(error) as usize);
    if at < FAILURES.len() {
        // SAFETY: inside the sums.
        unsafe {
            let of_phase = addr_of_mut!((*of_role).failures).cast::<u64>().add(phase as usize * FAILURES.len());
            step(of_phase.add(at));
        }
    }
}

#[inline(always)]
pub fn trip_bucket(nanos: u64) -> usize {
    wait_bucket(nanos, minus)
}

/// Counts in one of `N` histograms of `M` buckets that lie one behind the other.
///
/// # Safety
/// They are of a map value.
#[inline(always)]
pub unsafe fn count_at<const N: usize, const M: usize>(histograms: *mut u32, of: u32, bucket: usize) {
    let at = bounded::<511>(bounded::<1>(of as usize) * M + bucket);
    if at < N * M {
        // SAFETY: inside them.
        unsafe { step32(histograms.add(at)) };
    }
}

/// The sums of an owner, and its row where it has one.
#[inline(always)]
pub fn work_of(cpu: u32, owner: OwnerKey) -> (Option<*mut TcpSums>, Option<*mut TcpRow>) {
    let row = match rows::find(&TCP_ROW, owner.0) {
        NO_ROW => claim_connections(cpu, owner.0),
        row => row,
    };
    if let Some(row) = TCP_WORK.get_ptr_mut(row) {
        // SAFETY: a map value.
        return (Some(unsafe { addr_of_mut!((*row).sums) }), Some(row));
    }
    (TCP_MORE_WORK.get_ptr_mut(owner.0), None)
}

/// The row of an owner that is new; [`NO_ROW`] where none is left and its sums are in the other map, and nobody's where there is no
/// room for more sums either.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn claim_connections(cpu: u32, owner: u64) -> u32 {
    if TCP_MORE_WORK.get_ptr_mut(owner).is_some() {
        return NO_ROW;
    }
    let row = rows::claim(&TCP_ROW, &TCP_FREE_ROWS, owner, |row| {
        if let Some(work) = TCP_WORK.get_ptr_mut(row) {
            // SAFETY: this program's own row now.
            unsafe { addr_of_mut!((*work).sums.owner).write_volatile(owner) };
        }
    });
    if row == NO_ROW { claim_sums(cpu, owner) } else { row }
}

#[inline(always)]
fn claim_sums(cpu: u32, owner: u64) -> u32 {
    loss::count(cpu, Program::TcpState, Reason::NoHistograms);
    let Some(empty) = TCP_EMPTY.get_ptr(0) else { return 0 };
    // SAFETY: a map value, which nobody writes.
    if TCP_MORE_WORK.insert(owner, unsafe { &*empty }, ONLY_NEW).is_ok() || TCP_MORE_WORK.get_ptr_mut(owner).is_some() {
        return NO_ROW;
    }
    loss::count(cpu, Program::TcpState, Reason::Full);
    // The first of the rows that are never given away.
    0
}
