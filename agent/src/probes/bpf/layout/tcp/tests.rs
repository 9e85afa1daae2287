//! Kernels of both shapes, and what follows when something is not as it should be.

use super::{
    super::super::btf::{
        Btf, Kind,
        tests::{Blob, VOID},
    },
    *,
};

/// What a kernel has of what differs.
#[derive(Clone, Copy)]
struct Shape {
    is_new: bool,
    /// A member that is not there.
    without: &'static str,
}

const NEW: Shape = Shape { is_new: true, without: "" };
const OLD: Shape = Shape { is_new: false, without: "" };

impl Shape {
    fn resolve(self) -> Result<TcpLayout, LayoutCause> {
        let bytes = self.blob().bytes();
        tcp(&Btf::parse(&bytes).unwrap())
    }

    fn add(self, blob: &mut Blob, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        let members: Vec<_> = members.iter().filter(|member| member.0 != self.without).copied().collect();
        blob.record(Kind::Struct, name, size, &members)
    }

    fn blob(self) -> Blob {
        let mut blob = Blob::new();
        let [half, word, long] = [("u16", 2), ("u32", 4), ("u64", 8)].map(|(name, size)| blob.int(name, size));
        let [net, cgroup, node, root] =
            ["net", "cgroup", "kernfs_node", "cgroup_root"].map(|name| forward(&mut blob, name));
        let address = blob.record(Kind::Struct, "in6_addr", 16, &[("first", long, 0), ("rest", long, 8)]);
        let holder = blob.record(Kind::Struct, "possible_net_t", 8, &[("net", net, 0)]);
        let common = [
            ("skc_daddr", word, 0),
            ("skc_rcv_saddr", word, 4),
            ("skc_dport", half, 12),
            ("skc_family", half, 16),
            ("skc_net", holder, 48),
            ("skc_v6_daddr", address, 56),
            ("skc_v6_rcv_saddr", address, 72),
            ("skc_flags", long, 96),
        ];
        let common = self.add(&mut blob, "sock_common", 136, &common);
        let data = if self.is_new { ("cgroup", cgroup, 0) } else { ("val", long, 0) };
        let data = self.add(&mut blob, "sock_cgroup_data", 8, &[data]);
        let sock = [
            ("__sk_common", common, 0),
            ("sk_protocol", half, 200),
            ("sk_err", word, 204),
            ("sk_cgrp_data", data, 208),
        ];
        let sock = self.add(&mut blob, "sock", 216, &sock);
        let inet = self.add(&mut blob, "inet_sock", 240, &[("sk", sock, 0), ("inet_sport", half, 220)]);
        let connection = blob.record(Kind::Struct, "inet_connection_sock", 300, &[("icsk_inet", inet, 0)]);
        let tcp = [
            ("inet_conn", connection, 0),
            ("bytes_sent", long, 304),
            ("bytes_retrans", long, 312),
            ("bytes_received", long, 320),
            ("total_retrans", word, 328),
            ("srtt_us", word, 332),
        ];
        self.add(&mut blob, "tcp_sock", 400, &tcp);
        let ns = self.add(&mut blob, "ns_common", 24, &[("inum", word, 16)]);
        self.add(&mut blob, "net", 64, &[("ns", ns, 32)]);
        self.add(&mut blob, "cgroup", 32, &[("kn", node, 16), ("root", root, 24)]);
        self.add(&mut blob, "kernfs_node", 40, &[("id", long, 32)]);
        self.add(&mut blob, "cgroup_root", 8, &[("hierarchy_id", word, 4)]);
        let (pointer, state) = (forward(&mut blob, "sock"), blob.add(Kind::Int, "int", 0, 4, &[1 << 24 | 32]));
        let name = "inet_sock_set_state";
        blob.tracepoint(if name == self.without { "elsewhere" } else { name }, &[pointer, state, state]);
        blob
    }
}

fn forward(blob: &mut Blob, name: &str) -> u32 {
    let target = blob.add(Kind::Fwd, name, 0, VOID, &[]);
    blob.pointer(target)
}

#[test]
fn both_shapes_resolve() {
    let (new, old) = (NEW.resolve().unwrap(), OLD.resolve().unwrap());
    assert_eq!((new.protocol, new.family, new.error, new.flags, new.done), (200, 16, 204, 96, 2));
    assert_eq!(new.addresses, AddressLayout { peer: 0, peer_port: 12, local: 4, v6: Some((56, 72)) });
    let carried =
        CarriedLayout { port: 220, sent: 304, sent_again: 312, received: 320, retransmits: 328, round_trip: 332 };
    assert_eq!((new.carried, new.network), (carried, Some((48, 48))));
    let (new, old) = (new.owner.unwrap(), old.owner.unwrap());
    assert_eq!((new.cgroup, new.is_tagged), (208, false));
    assert_eq!(old, SockOwnerLayout { is_tagged: true, ..new });
}

#[test]
fn what_misses_a_member_of_a_socket_counts_nothing() {
    for without in ["sk_protocol", "skc_family", "sk_err", "skc_daddr", "bytes_sent", "bytes_retrans", "srtt_us"] {
        let error = Shape { without, ..NEW }.resolve().unwrap_err().to_string();
        assert!(error.contains(without), "{without}: {error}");
    }
    let error = Shape { without: "inet_sock_set_state", ..NEW }.resolve().unwrap_err().to_string();
    assert!(error.contains("inet_sock_set_state"), "{error}");
}

#[test]
fn what_misses_the_way_to_a_cgroup_counts_for_no_workload() {
    for without in ["sk_cgrp_data", "cgroup", "kn", "id", "root", "hierarchy_id"] {
        let error = Shape { without, ..NEW }.resolve().unwrap().owner.unwrap_err().to_string();
        assert!(error.contains(without) && error.ends_with("connections are counted for no workload"), "{error}");
    }
}

#[test]
fn without_ipv6_or_network_namespaces_the_rest_is_counted() {
    assert_eq!(Shape { without: "skc_v6_daddr", ..NEW }.resolve().unwrap().addresses.v6, None);
    assert_eq!(Shape { without: "skc_net", ..NEW }.resolve().unwrap().network, None);
}
