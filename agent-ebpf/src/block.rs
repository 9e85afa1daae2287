//! `block_rq_complete`: requests of block devices that ended, by owner and by device.
//!
//! Nothing is kept of a request that is under way: how long it took, the kernel's own stamp tells. Only where requests are to be
//! timed from when their driver got them is there a map of those, which `block_rq_issue` fills.
//!
//! Which task runs says nothing: most requests end in an interrupt. The owner is the one that the request's data name.

use core::ptr::addr_of_mut;

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use wattrace_common::{
    block::{
        DEVICE_BUCKETS, DeviceRow, Direction, FAILURES, Failure, Issued, OTHER_DEVICES, PLACES, PlaceSums, TIMED,
        WORK_BUCKETS, WorkRow, WorkSums, buckets, place_of, timed,
    },
    loss::{Program, Reason},
    owner::OwnerKey,
};

use crate::{
    atomic::{raise, step, step32},
    cost::{self, Timer},
    kernel::*,
    loss,
    maps::{
        BLOCK_DEVICE, BLOCK_FREE_ROWS, BLOCK_FREE_SLOTS, BLOCK_ISSUED, BLOCK_MORE_WORK, BLOCK_ROW, BLOCK_SLOT,
        BLOCK_WORK,
    },
    rows::{self, NO_ROW},
};

/// `REQ_OP_MASK`
const OPERATION: u32 = 0xff;
const ONLY_NEW: u64 = 1;

#[btf_tracepoint(function = "block_rq_complete")]
pub fn block_rq_complete(ctx: BtfTracePointContext) -> i32 {
    let (now, cpu) = now_here();
    let timer = Timer::sampled(now);
    cost::count_run(cpu, Program::BlockComplete);
    complete(&ctx, cpu, now);
    timer.stop(cpu, Program::BlockComplete);
    0
}

#[btf_tracepoint(function = "block_rq_issue")]
pub fn block_rq_issue(ctx: BtfTracePointContext) -> i32 {
    let (now, cpu) = now_here();
    let timer = Timer::sampled(now);
    cost::count_run(cpu, Program::BlockIssue);
    let request = request_of(&ctx);
    // A flush, and what is passed through, is not timed: nothing would take it out again.
    if timed(place(request)) < TIMED {
        note_issue(cpu, request, now);
    }
    timer.stop(cpu, Program::BlockIssue);
    0
}

#[btf_tracepoint(function = "block_rq_requeue")]
pub fn block_rq_requeue(ctx: BtfTracePointContext) -> i32 {
    let timer = Timer::each();
    let (_, cpu) = now_here();
    cost::count_run(cpu, Program::BlockRequeue);
    let request = request_of(&ctx);
    if HAVE_ISSUE.load() == 1 {
        // Its driver does not have it any more, and may never get it again.
        take_issue(request);
    }
    if let Some(row) = device_row(cpu, device_of(request)) {
        // SAFETY: a word of a map value.
        unsafe { step(addr_of_mut!((*row).requeues)) };
    }
    timer.stop(cpu, Program::BlockRequeue);
    0
}

#[inline(always)]
fn now_here() -> (u64, u32) {
    // SAFETY: the helpers have no preconditions.
    unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id() as u32) }
}

/// The request of `block_rq_issue` and `block_rq_requeue`: 5.10 passes its queue before it.
#[inline(always)]
fn request_of(ctx: &BtfTracePointContext) -> Kptr {
    Kptr::from_arg(if REQUEST_ARGUMENT.load() == 1 { ctx.arg(1) } else { ctx.arg(0) })
}

#[inline(always)]
fn complete(ctx: &BtfTracePointContext, cpu: u32, now: u64) {
    let request = Kptr::from_arg(ctx.arg(0));
    let (bytes, left) = (ctx.arg::<u64>(2) as u32, request.read::<u32, _>(&REQUEST_DATA_LEN));
    let place = place(request);
    if bytes == 0 && left == 0 && place <= Direction::Write as usize {
        // It ends a second time: it asked for a flush, too. Its data, if any, are counted, and so is the flush.
        return;
    }
    let ended = Ended {
        place,
        bytes: u64::from(bytes),
        // Parts of a request may end before the rest.
        is_final: bytes >= left,
        time: if bytes >= left && timed(place) < TIMED { duration(request, now) } else { None },
    };
    let (sums, row) = work_of(cpu, owner_of(request));
    if let Some(sums) = sums {
        ended.count(sums);
        count_error(sums, ctx.arg::<u64>(1));
    }
    if let Some(time) = ended.time {
        count_time(cpu, device_of(request), timed(place), time, row);
    }
}

/// Place of its figures, by what a request does.
#[inline(always)]
fn place(request: Kptr) -> usize {
    place_of(request.read::<u32, _>(&REQUEST_CMD_FLAGS) & OPERATION, ZONE_APPEND.load() as u32)
}

/// How long a request took that ended; `None`: that is not known.
#[inline(always)]
fn duration(request: Kptr, now: u64) -> Option<u64> {
    let since = if HAVE_ISSUE.load() == 1 {
        take_issue(request)
    } else if request.read::<u64, _>(&REQUEST_PART) != 0 {
        request.read(&REQUEST_START)
    } else {
        // The device is not accounted for, and the stamp is 0, or of an earlier request.
        0
    };
    if since == 0 || since > now { None } else { Some(now - since) }
}

/// Notes when a driver gets a request. Requests lie where they are as long as their queue, and so do these notes: to make and
/// remove one each time would cost as much as all the rest.
#[inline(always)]
fn note_issue(cpu: u32, request: Kptr, now: u64) {
    let key = request.word();
    if let Some(issued) = BLOCK_ISSUED.get_ptr_mut(key) {
        // SAFETY: a map value; who issues a request has it alone.
        return unsafe { addr_of_mut!((*issued).since).write_volatile(now) };
    }
    let issued = Issued { since: now, device: u64::from(device_of(request)) };
    if BLOCK_ISSUED.insert(key, issued, 0).is_err() {
        loss::count(cpu, Program::BlockIssue, Reason::Full);
    }
}

/// Since when a driver has a request, which it gives back; 0: that is not known.
#[inline(always)]
fn take_issue(request: Kptr) -> u64 {
    let Some(issued) = BLOCK_ISSUED.get_ptr_mut(request.word()) else { return 0 };
    // SAFETY: a map value; who ends a request has it alone.
    unsafe {
        let since = addr_of_mut!((*issued).since);
        let was = since.read_volatile();
        since.write_volatile(0);
        was
    }
}

/// A request that ended, or part of one.
struct Ended {
    place: usize,
    bytes: u64,
    is_final: bool,
    time: Option<u64>,
}

impl Ended {
    #[inline(always)]
    fn count(&self, sums: *mut WorkSums) {
        let at = bounded::<7>(self.place);
        if at >= PLACES {
            return;
        }
        // SAFETY: inside the sums, which are a map value.
        unsafe {
            let sums = addr_of_mut!((*sums).places).cast::<PlaceSums>().add(at);
            raise(addr_of_mut!((*sums).bytes), self.bytes);
            if !self.is_final {
                return;
            }
            step(addr_of_mut!((*sums).operations));
            match self.time {
                Some(time) => raise(addr_of_mut!((*sums).time), time),
                None if timed(self.place) < TIMED => step(addr_of_mut!((*sums).unmeasured)),
                None => {}
            }
        }
    }
}

/// The number within a mask. Of registers only: the compiler forgets the bound that it knows, and the kernel does not, and keeps
/// the check that follows.
#[inline(always)]
pub fn bounded<const MASK: i32>(at: usize) -> usize {
    let mut at = at;
    // SAFETY: of registers only.
    unsafe { core::arch::asm!("{0} &= {1}", inout(reg) at, const MASK) };
    at
}

#[inline(always)]
fn count_error(sums: *mut WorkSums, error: u64) {
    let is_errno = ERROR_IS_ERRNO.load() == 1;
    let error = if is_errno { (error as u32).wrapping_neg() } else { error as u32 & 0xff };
    if error == 0 {
        return;
    }
    let failure =
        if is_errno { Failure::of_errno(error) } else { Failure::of_status(error, OFFLINE_STATUS.load() as u32) };
    let at = bounded::<15>(failure as usize);
    if at < FAILURES.len() {
        // SAFETY: inside the sums, which are a map value.
        unsafe { step(addr_of_mut!((*sums).errors).cast::<u64>().add(at)) };
    }
}

/// Counts a duration in the histograms of the device and, where it has one, the owner.
#[inline(always)]
fn count_time(cpu: u32, device: u32, at: usize, time: u64, row: Option<*mut WorkRow>) {
    let (of_work, of_device) = buckets(time);
    if let Some(row) = row {
        let at = bounded::<511>(at * WORK_BUCKETS + of_work);
        if at < TIMED * WORK_BUCKETS {
            // SAFETY: inside the row.
            unsafe { step32(addr_of_mut!((*row).counts).cast::<u32>().add(at)) };
        }
    }
    let Some(row) = device_row(cpu, device) else { return };
    let (at, bucket) = (bounded::<3>(at), bounded::<1023>(at * DEVICE_BUCKETS + of_device));
    if at >= TIMED || bucket >= TIMED * DEVICE_BUCKETS {
        return;
    }
    // SAFETY: inside the row.
    unsafe {
        raise(addr_of_mut!((*row).time).cast::<u64>().add(at), time);
        step32(addr_of_mut!((*row).counts).cast::<u32>().add(bucket));
    }
}

/// Whose a request is: the cgroup of its first data that are still to come.
#[inline(always)]
fn owner_of(request: Kptr) -> OwnerKey {
    if HAVE_BLOCK_OWNER.load() == 0 {
        return OwnerKey::NOBODY;
    }
    // What is read through no pointer is 0.
    let blkg = request.follow(&REQUEST_BIO).follow(&BIO_BLKG);
    let cgroup = blkg.follow(&BLKG_BLKCG).follow(&BLKCG_CGROUP);
    if cgroup.follow(&CGROUP_ROOT).read::<u32, _>(&CGROUP_ROOT_HIERARCHY_ID) != 0 {
        return OwnerKey::V1;
    }
    OwnerKey::cgroup(cgroup_id(cgroup))
}

/// The kernel's number of the disk that a request is for; 0: none, a controller's own for instance.
#[inline(always)]
fn device_of(request: Kptr) -> u32 {
    let disk = if HAVE_QUEUE_DISK.load() == 1 {
        request.follow(&REQUEST_QUEUE).follow(&QUEUE_DISK)
    } else {
        request.follow(&REQUEST_DISK)
    };
    if HAVE_PART0_POINTER.load() == 1 { disk.follow(&DISK_PART0).read(&PART0_DEV) } else { disk.read(&DISK_DEV) }
}

/// The sums of an owner, and its row where it has one.
#[inline(always)]
fn work_of(cpu: u32, owner: OwnerKey) -> (Option<*mut WorkSums>, Option<*mut WorkRow>) {
    let row = match rows::find(&BLOCK_ROW, owner.0) {
        NO_ROW => claim_row(cpu, owner.0),
        row => row,
    };
    if let Some(row) = BLOCK_WORK.get_ptr_mut(row) {
        // SAFETY: a map value.
        return (Some(unsafe { addr_of_mut!((*row).sums) }), Some(row));
    }
    (BLOCK_MORE_WORK.get_ptr_mut(owner.0), None)
}

/// The row of an owner that is new; [`NO_ROW`] where none is left and its sums are in the other map, and nobody's where there is no
/// room for more sums either.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn claim_row(cpu: u32, owner: u64) -> u32 {
    if BLOCK_MORE_WORK.get_ptr_mut(owner).is_some() {
        return NO_ROW;
    }
    let row = rows::claim(&BLOCK_ROW, &BLOCK_FREE_ROWS, owner, |row| {
        if let Some(work) = BLOCK_WORK.get_ptr_mut(row) {
            // SAFETY: this program's own row now.
            unsafe { addr_of_mut!((*work).sums.owner).write_volatile(owner) };
        }
    });
    if row == NO_ROW { claim_sums(cpu, owner) } else { row }
}

#[inline(always)]
fn claim_sums(cpu: u32, owner: u64) -> u32 {
    const NOTHING: WorkSums = WorkSums {
        places: [PlaceSums { operations: 0, bytes: 0, time: 0, unmeasured: 0 }; PLACES],
        errors: [0; FAILURES.len()],
        owner: 0,
        reserved: 0,
    };
    loss::count(cpu, Program::BlockComplete, Reason::NoHistograms);
    let sums = WorkSums { owner, ..NOTHING };
    if BLOCK_MORE_WORK.insert(owner, sums, ONLY_NEW).is_ok() || BLOCK_MORE_WORK.get_ptr_mut(owner).is_some() {
        return NO_ROW;
    }
    loss::count(cpu, Program::BlockComplete, Reason::Full);
    // The first of the rows that are never given away.
    0
}

/// The row of a device, claimed where it has none.
#[inline(always)]
fn device_row(cpu: u32, device: u32) -> Option<*mut DeviceRow> {
    if device == 0 {
        return None;
    }
    // SAFETY: a row is a number that is only ever written once.
    let row = match unsafe { BLOCK_SLOT.get(device) } {
        Some(row) => *row,
        None => claim_device(cpu, device),
    };
    BLOCK_DEVICE.get_ptr_mut(row)
}

/// The row of a device that is new, taken from the stack, or that of the others. That is noted, too: the stack is not asked at
/// each of its requests.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn claim_device(cpu: u32, device: u32) -> u32 {
    let (row, is_own) = match BLOCK_FREE_SLOTS.pop() {
        Ok(Some(row)) => (row, true),
        _ => (OTHER_DEVICES, false),
    };
    if BLOCK_SLOT.insert(device, row, ONLY_NEW).is_ok() {
        if !is_own {
            loss::count(cpu, Program::BlockComplete, Reason::NoDevice);
        } else if let Some(claimed) = BLOCK_DEVICE.get_ptr_mut(row) {
            // SAFETY: this program's own row now.
            unsafe { addr_of_mut!((*claimed).device).write_volatile(u64::from(device) + 1) };
        }
        return row;
    }
    if is_own {
        let _ = BLOCK_FREE_SLOTS.push(row, 0);
    }
    // Another CPU was faster, or no more numbers can be noted.
    // SAFETY: a row is a number that is only ever written once.
    unsafe { BLOCK_SLOT.get(device) }.map_or(OTHER_DEVICES, |row| *row)
}
