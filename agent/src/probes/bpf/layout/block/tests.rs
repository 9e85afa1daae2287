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
    fn resolve(self) -> Result<BlockLayout, LayoutCause> {
        let bytes = self.blob().bytes();
        block(&Btf::parse(&bytes).unwrap())
    }

    fn blob(self) -> Blob {
        let mut blob = Blob::new();
        let word = blob.int("unsigned int", 4);
        let long = blob.int("u64", 8);
        self.add_disks(&mut blob, word);
        self.add_owners(&mut blob, word, long);
        let [queue, disk, bio, part] =
            ["request_queue", "gendisk", "bio", "block_device"].map(|name| forward(&mut blob, name));
        let disk = if self.is_new { ("q", queue, 0) } else { ("rq_disk", disk, 8) };
        let members = [
            disk,
            ("cmd_flags", word, 16),
            ("__data_len", word, 20),
            ("bio", bio, 24),
            ("part", part, 32),
            ("start_time_ns", long, 40),
        ];
        self.add(&mut blob, "request", &members);
        self.add_tracepoints(&mut blob, word);
        blob
    }

    fn add(self, blob: &mut Blob, name: &str, members: &[(&str, u32, u32)]) {
        let members: Vec<_> = members.iter().filter(|member| member.0 != self.without).copied().collect();
        blob.record(Kind::Struct, name, 128, &members);
    }

    fn add_disks(self, blob: &mut Blob, word: u32) {
        let disk = forward(blob, "gendisk");
        if self.is_new {
            let part0 = forward(blob, "block_device");
            self.add(blob, "request_queue", &[("disk", disk, 48)]);
            self.add(blob, "gendisk", &[("part0", part0, 56)]);
            self.add(blob, "block_device", &[("bd_dev", word, 12)]);
        } else {
            let device = blob.record(Kind::Struct, "device", 32, &[("devt", word, 8)]);
            let part0 = blob.record(Kind::Struct, "hd_struct", 64, &[("__dev", device, 16)]);
            self.add(blob, "request_queue", &[("required_elevator_features", word, 4)]);
            self.add(blob, "gendisk", &[("part0", part0, 64)]);
        }
        let append = blob.string("REQ_OP_ZONE_APPEND");
        let (name, value) = if self.is_new { ("req_op", 7) } else { ("req_opf", 13) };
        blob.add(Kind::Enum, name, 1, 4, &[append, value]);
    }

    fn add_owners(self, blob: &mut Blob, word: u32, long: u32) {
        let [group, blkcg, cgroup, node, root] =
            ["blkcg_gq", "blkcg", "cgroup", "kernfs_node", "cgroup_root"].map(|name| forward(blob, name));
        self.add(blob, "bio", &[("bi_blkg", group, 72)]);
        self.add(blob, "blkcg_gq", &[("blkcg", blkcg, 40)]);
        let css = blob.record(Kind::Struct, "cgroup_subsys_state", 16, &[("cgroup", cgroup, 8)]);
        self.add(blob, "blkcg", &[("css", css, 0)]);
        self.add(blob, "cgroup", &[("kn", node, 16), ("root", root, 24)]);
        self.add(blob, "kernfs_node", &[("id", long, 32)]);
        self.add(blob, "cgroup_root", &[("hierarchy_id", word, 4)]);
    }

    fn add_tracepoints(self, blob: &mut Blob, word: u32) {
        let (request, queue) = (forward(blob, "request"), forward(blob, "request_queue"));
        let error = if self.is_new { blob.int("u8", 1) } else { blob.add(Kind::Int, "int", 0, 4, &[1 << 24 | 32]) };
        let alone: &[u32] = if self.is_new { &[request] } else { &[queue, request] };
        for (name, arguments) in
            [("block_rq_complete", &[request, error, word][..]), ("block_rq_issue", alone), ("block_rq_requeue", alone)]
        {
            blob.tracepoint(if name == self.without { "elsewhere" } else { name }, arguments);
        }
    }
}

fn forward(blob: &mut Blob, name: &str) -> u32 {
    let target = blob.add(Kind::Fwd, name, 0, VOID, &[]);
    blob.pointer(target)
}

#[test]
fn both_shapes_resolve() {
    let (new, old) = (NEW.resolve().unwrap(), OLD.resolve().unwrap());
    assert_eq!((new.cmd_flags, new.data_len, new.part, new.start_time), (16, 20, 32, 40));
    assert_eq!(new.disk, DiskLayout::OfQueue { queue: 0, disk: 48 });
    assert_eq!(old.disk, DiskLayout::OfRequest { disk: 8 });
    assert_eq!(new.number, NumberLayout::Pointer { part0: 56, dev: 12 });
    assert_eq!(old.number, NumberLayout::Inside { dev: 64 + 16 + 8 });
    assert_eq!((new.zone_append, old.zone_append), (7, 13));
    assert_eq!((new.error, old.error), (ErrorLayout::Status { offline: 16 }, ErrorLayout::Errno));
    assert_eq!((new.request_argument, old.request_argument), (0, 1));
    let owner = new.owner.unwrap();
    assert_eq!((owner.bio, owner.group, owner.blkcg, owner.cgroup), (24, 72, 40, 8));
    assert_eq!(owner, old.owner.unwrap());
}

#[test]
fn what_misses_a_member_of_a_request_counts_nothing() {
    for without in ["cmd_flags", "__data_len", "part", "start_time_ns", "q", "disk", "part0", "bd_dev"] {
        let error = Shape { without, ..NEW }.resolve().unwrap_err().to_string();
        assert!(error.contains(without), "{without}: {error}");
    }
    for without in ["block_rq_complete", "block_rq_issue", "block_rq_requeue"] {
        let error = Shape { without, ..NEW }.resolve().unwrap_err().to_string();
        assert!(error.contains(without), "{error}");
    }
}

#[test]
fn what_misses_the_way_to_a_cgroup_counts_devices() {
    for without in ["bio", "bi_blkg", "blkcg", "css", "kn", "id", "root", "hierarchy_id"] {
        let layout = Shape { without, ..NEW }.resolve().unwrap();
        let error = layout.owner.unwrap_err().to_string();
        assert!(error.contains(without) && error.ends_with("block I/O is counted for no workload"), "{error}");
    }
}
