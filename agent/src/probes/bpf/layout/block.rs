//! Where the programs find whose a request of a block device is, what it does and how long it took.

use super::{
    super::btf::{Arg, Btf},
    Effect, HierarchyLayout, LayoutCause, LayoutError, Want, hierarchy, offsets,
};

/// Offsets in bytes for the `block_rq_*` programs, and what else differs between kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockLayout {
    /// `request.cmd_flags`, 4 bytes.
    pub cmd_flags: u32,
    /// `request.__data_len`, 4 bytes.
    pub data_len: u32,
    /// `request.part`, a pointer: whether the kernel accounts for it.
    pub part: u32,
    /// `request.start_time_ns`, 8 bytes.
    pub start_time: u32,
    /// The way to its disk.
    pub disk: DiskLayout,
    /// The number of a disk.
    pub number: NumberLayout,
    /// Number of the operation that writes at a zone's end.
    pub zone_append: u32,
    /// How a completion says that it failed.
    pub error: ErrorLayout,
    /// Which argument of `block_rq_issue` and `block_rq_requeue` is the request.
    pub request_argument: u32,
    /// The way to its cgroup.
    pub owner: Result<OwnerLayout, LayoutError>,
}

/// From a request to its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskLayout {
    /// `request.q` and `request_queue.disk` (5.15 and later).
    OfQueue {
        /// Pointer to `request_queue`.
        queue: u32,
        /// Pointer to `gendisk`.
        disk: u32,
    },
    /// `request.rq_disk`
    OfRequest {
        /// Pointer to `gendisk`.
        disk: u32,
    },
}

/// From a disk to its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberLayout {
    /// `gendisk.part0` and `block_device.bd_dev` (5.11 and later).
    Pointer {
        /// Pointer to `block_device`.
        part0: u32,
        /// 4 bytes.
        dev: u32,
    },
    /// `gendisk.part0.__dev.devt`, 4 bytes.
    Inside {
        /// Where.
        dev: u32,
    },
}

/// How a completion says that it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorLayout {
    /// A negative errno (before 5.16).
    Errno,
    /// A `blk_status_t`.
    Status {
        /// The one that says that the device is gone; those after it follow.
        offline: u32,
    },
}

/// Offsets in bytes from a request to the cgroup that its data are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerLayout {
    /// `request.bio`, pointer to `bio`.
    pub bio: u32,
    /// `bio.bi_blkg`, pointer to `blkcg_gq`.
    pub group: u32,
    /// `blkcg_gq.blkcg`, pointer to `blkcg`.
    pub blkcg: u32,
    /// `blkcg.css.cgroup`, pointer to `cgroup`.
    pub cgroup: u32,
    /// `cgroup.kn`, pointer to `kernfs_node`.
    pub cgroup_kn: u32,
    /// `kernfs_node.id`, 8 bytes.
    pub kernfs_id: u32,
    /// Which hierarchy the cgroup is of.
    pub hierarchy: HierarchyLayout,
}

pub(super) fn block(btf: &Btf<'_>) -> Result<BlockLayout, LayoutCause> {
    let error = error(btf)?;
    let [cmd_flags, data_len, start_time] = offsets(
        btf,
        "request",
        [("cmd_flags", Want::Bytes(4)), ("__data_len", Want::Bytes(4)), ("start_time_ns", Want::Bytes(8))],
    )?;
    // What it points to has changed its name, and is not looked at.
    let [part] = offsets(btf, "request", [("part", Want::Bytes(8))])?;
    Ok(BlockLayout {
        cmd_flags,
        data_len,
        part,
        start_time,
        disk: disk(btf)?,
        number: number(btf)?,
        zone_append: zone_append(btf),
        error,
        request_argument: request_argument(btf)?,
        owner: owner(btf).map_err(|cause| LayoutError { effect: Effect::NoBlockOwner, cause }),
    })
}

/// `block_rq_complete` passes the request, how it ended, and bytes.
fn error(btf: &Btf<'_>) -> Result<ErrorLayout, LayoutCause> {
    const NAME: &str = "block_rq_complete";
    const REQUEST: Arg<'_> = Arg::Pointer("request");
    match btf.tracepoint_args(NAME)?.as_slice() {
        [REQUEST, Arg::Int { size: 4, signed: true }, Arg::Int { size: 4, .. }, ..] => Ok(ErrorLayout::Errno),
        [REQUEST, Arg::Int { size: 1, .. }, Arg::Int { size: 4, .. }, ..] => {
            Ok(ErrorLayout::Status { offline: offline(btf) })
        }
        _ => Err(LayoutCause::Arguments { name: NAME, expected: "a pointer to request, an error and bytes first" }),
    }
}

/// The numbers are in no type. When one before it was dropped (6.10), so was this member of another struct, with the same
/// locking of zones.
fn offline(btf: &Btf<'_>) -> u32 {
    let is_old = btf.member("request_queue", "required_elevator_features").is_ok();
    if is_old { 17 } else { 16 }
}

/// 5.10 passes the queue first.
fn request_argument(btf: &Btf<'_>) -> Result<u32, LayoutCause> {
    let place = |name: &'static str| match btf.tracepoint_args(name)?.as_slice() {
        [Arg::Pointer("request"), ..] => Ok(0),
        [Arg::Pointer("request_queue"), Arg::Pointer("request"), ..] => Ok(1),
        _ => Err(LayoutCause::Arguments { name, expected: "a pointer to request, alone or after its queue" }),
    };
    let (issue, requeue) = (place("block_rq_issue")?, place("block_rq_requeue")?);
    if issue == requeue {
        return Ok(issue);
    }
    Err(LayoutCause::Arguments { name: "block_rq_requeue", expected: "the same as block_rq_issue" })
}

fn disk(btf: &Btf<'_>) -> Result<DiskLayout, LayoutCause> {
    let of_queue = || {
        let [queue] = offsets(btf, "request", [("q", Want::Pointer("request_queue"))])?;
        let [disk] = offsets(btf, "request_queue", [("disk", Want::Pointer("gendisk"))])?;
        Ok(DiskLayout::OfQueue { queue, disk })
    };
    let of_request = || offsets(btf, "request", [("rq_disk", Want::Pointer("gendisk"))]);
    // The newer way is the one to miss.
    of_queue().or_else(|error| of_request().map(|[disk]| DiskLayout::OfRequest { disk }).map_err(|_| error))
}

/// Not `major` and `first_minor` of the disk: where minors are given out one by one, those say nothing on older kernels.
fn number(btf: &Btf<'_>) -> Result<NumberLayout, LayoutCause> {
    let pointer = || {
        let [part0] = offsets(btf, "gendisk", [("part0", Want::Pointer("block_device"))])?;
        let [dev] = offsets(btf, "block_device", [("bd_dev", Want::Bytes(4))])?;
        Ok(NumberLayout::Pointer { part0, dev })
    };
    let inside = || offsets(btf, "gendisk", [("part0.__dev.devt", Want::Bytes(4))]);
    pointer().or_else(|error| inside().map(|[dev]| NumberLayout::Inside { dev }).map_err(|_| error))
}

/// Newest name of the enumeration first. Where it is not told, no device has such an operation.
fn zone_append(btf: &Btf<'_>) -> u32 {
    const NEVER: u32 = 7;
    ["req_op", "req_opf"].iter().find_map(|name| btf.enumerator(name, "REQ_OP_ZONE_APPEND")).unwrap_or(NEVER)
}

fn owner(btf: &Btf<'_>) -> Result<OwnerLayout, LayoutCause> {
    let [bio] = offsets(btf, "request", [("bio", Want::Pointer("bio"))])?;
    let [group] = offsets(btf, "bio", [("bi_blkg", Want::Pointer("blkcg_gq"))])?;
    let [blkcg] = offsets(btf, "blkcg_gq", [("blkcg", Want::Pointer("blkcg"))])?;
    let [cgroup] = offsets(btf, "blkcg", [("css.cgroup", Want::Pointer("cgroup"))])?;
    let [cgroup_kn] = offsets(btf, "cgroup", [("kn", Want::Pointer("kernfs_node"))])?;
    let [kernfs_id] = offsets(btf, "kernfs_node", [("id", Want::Bytes(8))])?;
    Ok(OwnerLayout { bio, group, blkcg, cgroup, cgroup_kn, kernfs_id, hierarchy: hierarchy(btf)? })
}

#[cfg(test)]
mod tests;
