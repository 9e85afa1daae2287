//! Which types above may be seen as the bytes the kernel wrote.

use crate::{
    block::{DeviceRow, WorkRow},
    cost::CpuCost,
    moves::CpuMoves,
    process::ProcessRow,
    sched::{CpuSlot, OverflowValue, TimeSet},
    tcp::TcpRow,
    threads::{Histograms, OffSet, ThreadSlot},
};

/// Plain old data: any bytes of its size are a valid value.
///
/// # Safety
/// The type is `repr(C)` and built of integers and arrays of them alone.
#[expect(unsafe_code, reason = "the promise cannot be checked by the compiler")]
pub unsafe trait Pod: Copy + 'static {}

macro_rules! pod {
    ($($name:ty),*) => { $(
        // SAFETY: `repr(C)` integers, see the type.
        #[expect(unsafe_code, reason = "fulfils the promise of `Pod`")]
        unsafe impl Pod for $name {}
    )* };
}
pod!(
    u64,
    CpuCost,
    CpuMoves,
    CpuSlot,
    TimeSet,
    OverflowValue,
    ThreadSlot,
    Histograms,
    OffSet,
    WorkRow,
    DeviceRow,
    TcpRow,
    ProcessRow
);
