//! Where the program finds whose a TCP connection is, what it carried and how it ended.

use super::{
    super::btf::{Arg, Btf},
    Effect, HierarchyLayout, LayoutCause, LayoutError, Want, hierarchy, offsets,
};

/// Offsets in bytes for `inet_sock_set_state`, and what else differs between kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpLayout {
    /// `sock.sk_protocol`, 2 bytes.
    pub protocol: u32,
    /// `sock.skc_family`, 2 bytes.
    pub family: u32,
    /// `sock.sk_err`, 4 bytes.
    pub error: u32,
    /// `sock.skc_flags`, 8 bytes.
    pub flags: u32,
    /// Bit of them: the other side sends no more.
    pub done: u32,
    /// Both sides.
    pub addresses: AddressLayout,
    /// What it carried.
    pub carried: CarriedLayout,
    /// `sock.skc_net.net` and `net.ns.inum`, 4 bytes: its network namespace; `None`: there is but one.
    pub network: Option<(u32, u32)>,
    /// The way to its cgroup.
    pub owner: Result<SockOwnerLayout, LayoutError>,
}

/// Offsets in bytes of addresses and ports in `sock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressLayout {
    /// `skc_daddr`, 4 bytes.
    pub peer: u32,
    /// `skc_dport`, 2 bytes.
    pub peer_port: u32,
    /// `skc_rcv_saddr`, 4 bytes.
    pub local: u32,
    /// `skc_v6_daddr` and `skc_v6_rcv_saddr`, 16 bytes each; `None` without IPv6.
    pub v6: Option<(u32, u32)>,
}

/// Offsets in bytes in `tcp_sock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarriedLayout {
    /// `inet_sport`, 2 bytes.
    pub port: u32,
    /// `bytes_sent`, 8 bytes: with what was sent again.
    pub sent: u32,
    /// `bytes_retrans`, 8 bytes.
    pub sent_again: u32,
    /// `bytes_received`, 8 bytes: the end counts as one.
    pub received: u32,
    /// `total_retrans`, 4 bytes.
    pub retransmits: u32,
    /// `srtt_us`, 4 bytes: eighths of microseconds.
    pub round_trip: u32,
}

/// Offsets in bytes from a socket to its cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SockOwnerLayout {
    /// `sock.sk_cgrp_data`, a pointer to `cgroup`.
    pub cgroup: u32,
    /// Whether flags are mixed into the pointer (before 5.16).
    pub is_tagged: bool,
    /// `cgroup.kn`, pointer to `kernfs_node`.
    pub cgroup_kn: u32,
    /// `kernfs_node.id`, 8 bytes.
    pub kernfs_id: u32,
    /// Which hierarchy the cgroup is of.
    pub hierarchy: HierarchyLayout,
}

pub(super) fn tcp(btf: &Btf<'_>) -> Result<TcpLayout, LayoutCause> {
    const NAME: &str = "inet_sock_set_state";
    const STATE: Arg<'_> = Arg::Int { size: 4, signed: true };
    if !matches!(btf.tracepoint_args(NAME)?.as_slice(), [Arg::Pointer("sock"), STATE, STATE, ..]) {
        return Err(LayoutCause::Arguments { name: NAME, expected: "a pointer to sock and two states first" });
    }
    let [protocol, family, error, flags] = offsets(
        btf,
        "sock",
        [
            ("sk_protocol", Want::Bytes(2)),
            ("__sk_common.skc_family", Want::Bytes(2)),
            ("sk_err", Want::Bytes(4)),
            ("__sk_common.skc_flags", Want::Bytes(8)),
        ],
    )?;
    Ok(TcpLayout {
        protocol,
        family,
        error,
        flags,
        done: done(btf),
        addresses: addresses(btf)?,
        carried: carried(btf)?,
        network: network(btf),
        owner: owner(btf).map_err(|cause| LayoutError { effect: Effect::NoSockOwner, cause }),
    })
}

/// The second of the flags since they are numbered.
fn done(btf: &Btf<'_>) -> u32 {
    const SECOND: u32 = 1;
    1_u32.checked_shl(btf.enumerator("sock_flags", "SOCK_DONE").unwrap_or(SECOND)).unwrap_or(0)
}

fn addresses(btf: &Btf<'_>) -> Result<AddressLayout, LayoutCause> {
    let [peer, peer_port, local] = offsets(
        btf,
        "sock",
        [
            ("__sk_common.skc_daddr", Want::Bytes(4)),
            ("__sk_common.skc_dport", Want::Bytes(2)),
            ("__sk_common.skc_rcv_saddr", Want::Bytes(4)),
        ],
    )?;
    let v6 = [("__sk_common.skc_v6_daddr", Want::Bytes(16)), ("__sk_common.skc_v6_rcv_saddr", Want::Bytes(16))];
    let v6 = offsets(btf, "sock", v6).ok().map(|[peer, local]| (peer, local));
    Ok(AddressLayout { peer, peer_port, local, v6 })
}

fn carried(btf: &Btf<'_>) -> Result<CarriedLayout, LayoutCause> {
    let [port, sent, sent_again, received, retransmits, round_trip] = offsets(
        btf,
        "tcp_sock",
        [
            ("inet_conn.icsk_inet.inet_sport", Want::Bytes(2)),
            ("bytes_sent", Want::Bytes(8)),
            ("bytes_retrans", Want::Bytes(8)),
            ("bytes_received", Want::Bytes(8)),
            ("total_retrans", Want::Bytes(4)),
            ("srtt_us", Want::Bytes(4)),
        ],
    )?;
    Ok(CarriedLayout { port, sent, sent_again, received, retransmits, round_trip })
}

fn network(btf: &Btf<'_>) -> Option<(u32, u32)> {
    let [net] = offsets(btf, "sock", [("__sk_common.skc_net.net", Want::Pointer("net"))]).ok()?;
    let [number] = offsets(btf, "net", [("ns.inum", Want::Bytes(4))]).ok()?;
    Some((net, number))
}

fn owner(btf: &Btf<'_>) -> Result<SockOwnerLayout, LayoutCause> {
    let pointer = || offsets(btf, "sock", [("sk_cgrp_data.cgroup", Want::Pointer("cgroup"))]);
    let word = || offsets(btf, "sock", [("sk_cgrp_data.val", Want::Bytes(8))]);
    // The newer way is the one to miss.
    let (cgroup, is_tagged) = match pointer() {
        Ok([cgroup]) => (cgroup, false),
        Err(error) => (word().map_err(|_| error)?[0], true),
    };
    let [cgroup_kn] = offsets(btf, "cgroup", [("kn", Want::Pointer("kernfs_node"))])?;
    let [kernfs_id] = offsets(btf, "kernfs_node", [("id", Want::Bytes(8))])?;
    Ok(SockOwnerLayout { cgroup, is_tagged, cgroup_kn, kernfs_id, hierarchy: hierarchy(btf)? })
}

#[cfg(test)]
mod tests;
