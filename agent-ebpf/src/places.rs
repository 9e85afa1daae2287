//! Places of threads that are switched out, by thread id: one of two of a set, else in the map beside them.

use core::ptr::{addr_of_mut, read_volatile, write_volatile};

use wattrace_common::{limits::OFF_SETS, threads::OffThread};

use crate::maps::{MORE_OFF, OFF_THREADS};

/// The place of a thread, if it has one.
#[inline(always)]
pub fn find(pid: u32) -> Option<*mut OffThread> {
    let set = OFF_THREADS.get_ptr_mut(pid & (OFF_SETS - 1))?;
    for way in 0..2 {
        // SAFETY: inside the set.
        let off = unsafe { addr_of_mut!((*set).ways).cast::<OffThread>().add(way) };
        // SAFETY: likewise.
        if unsafe { read_volatile(addr_of_mut!((*off).pid)) } == pid {
            return Some(off);
        }
    }
    MORE_OFF.get_ptr_mut(pid)
}

/// The place of a thread, claimed where it has none; `None`: there is no room.
#[inline(always)]
pub fn place_of(pid: u32) -> Option<*mut OffThread> {
    if let Some(off) = find(pid) {
        return Some(off);
    }
    claim(pid)
}

#[inline(never)]
fn claim(pid: u32) -> Option<*mut OffThread> {
    let set = OFF_THREADS.get_ptr_mut(pid & (OFF_SETS - 1))?;
    for way in 0..2 {
        // SAFETY: inside the set.
        let off = unsafe { addr_of_mut!((*set).ways).cast::<OffThread>().add(way) };
        // SAFETY: likewise.
        unsafe {
            if read_volatile(addr_of_mut!((*off).pid)) == 0 {
                write_volatile(addr_of_mut!((*off).state), 0);
                write_volatile(addr_of_mut!((*off).pid), pid);
                return Some(off);
            }
        }
    }
    let fresh = OffThread { pid, state: 0, since: 0, key: 0, delay: 0 };
    MORE_OFF.insert(pid, fresh, 0).ok()?;
    MORE_OFF.get_ptr_mut(pid)
}

/// A thread is dead: its place is free.
#[inline(never)]
pub fn forget(pid: u32) {
    let Some(set) = OFF_THREADS.get_ptr_mut(pid & (OFF_SETS - 1)) else { return };
    for way in 0..2 {
        // SAFETY: inside the set.
        let off = unsafe { addr_of_mut!((*set).ways).cast::<OffThread>().add(way) };
        // SAFETY: likewise.
        unsafe {
            if read_volatile(addr_of_mut!((*off).pid)) == pid {
                write_volatile(addr_of_mut!((*off).state), 0);
                write_volatile(addr_of_mut!((*off).pid), 0);
                return;
            }
        }
    }
    let _ = MORE_OFF.remove(pid);
}
