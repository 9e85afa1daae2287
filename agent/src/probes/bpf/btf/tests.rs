//! The reader against blobs built by hand; kernels' own are read by the golden tests.
#![expect(clippy::cast_possible_truncation, reason = "blobs of a few hundred bytes")]

use super::*;

/// A blob in the making.
#[derive(Clone)]
pub(crate) struct Blob {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
}

pub(crate) const VOID: u32 = 0;

impl Blob {
    pub(crate) fn new() -> Self {
        Self { types: Vec::new(), strings: vec![0], count: 0 }
    }

    pub(crate) fn string(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let offset = self.strings.len() as u32;
        self.strings.extend_from_slice(name.as_bytes());
        self.strings.push(0);
        offset
    }

    /// Adds a type and returns its id.
    pub(crate) fn add(&mut self, kind: Kind, name: &str, count: u32, value: u32, tail: &[u32]) -> u32 {
        self.add_raw(kind as u32, name, count, value, tail)
    }

    fn add_raw(&mut self, kind_and_flag: u32, name: &str, count: u32, value: u32, tail: &[u32]) -> u32 {
        let name = self.string(name);
        for word in [name, kind_and_flag << 24 | count, value].iter().chain(tail) {
            self.types.extend_from_slice(&word.to_le_bytes());
        }
        self.count += 1;
        self.count
    }

    pub(crate) fn int(&mut self, name: &str, size: u32) -> u32 {
        self.add(Kind::Int, name, 0, size, &[size * 8])
    }

    pub(crate) fn bool(&mut self) -> u32 {
        self.add(Kind::Int, "_Bool", 0, 1, &[4 << 24 | 8])
    }

    pub(crate) fn pointer(&mut self, target: u32) -> u32 {
        self.add(Kind::Ptr, "", 0, target, &[])
    }

    pub(crate) fn array(&mut self, element: u32, count: u32) -> u32 {
        self.add(Kind::Array, "", 0, 0, &[element, element, count])
    }

    /// A struct or union of members (name, type, offset in bytes).
    pub(crate) fn record(&mut self, kind: Kind, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        let mut tail = Vec::new();
        for (member, type_id, offset) in members {
            tail.extend([self.string(member), *type_id, offset * 8]);
        }
        self.add(kind, name, members.len() as u32, size, &tail)
    }

    /// A tracepoint with these argument types.
    pub(crate) fn tracepoint(&mut self, name: &str, args: &[u32]) {
        let data = self.pointer(VOID);
        let tail: Vec<u32> = [data].iter().chain(args).flat_map(|id| [0, *id]).collect();
        let proto = self.add(Kind::FuncProto, "", args.len() as u32 + 1, VOID, &tail);
        let pointer = self.pointer(proto);
        self.add(Kind::Typedef, &format!("btf_trace_{name}"), 0, pointer, &[]);
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.with_layout(&[])
    }

    fn with_layout(&self, layout: &[u8]) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let header = [0x0001_eb9f, 32, 0, types, types, strings, types + strings, layout.len() as u32];
        let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend_from_slice(&self.types);
        bytes.extend_from_slice(&self.strings);
        bytes.extend_from_slice(layout);
        bytes
    }
}

fn no_member(path: &str) -> LookupError {
    LookupError::NoMember { name: "s".into(), path: path.into() }
}

fn limit(name: &str) -> LookupError {
    LookupError::Limit { name: name.into() }
}

/// Looks one member of struct `s` up.
fn member(blob: &Blob, path: &str) -> Result<(u32, u32, Option<String>), LookupError> {
    let bytes = blob.bytes();
    let btf = Btf::parse(&bytes).unwrap();
    btf.member("s", path).map(|member| (member.offset, member.size, member.pointee.map(str::to_owned)))
}

#[test]
fn every_kind_is_stepped_over_by_its_own_size() {
    let mut blob = Blob::new();
    let int = blob.int("int", 4);
    blob.pointer(int);
    blob.array(int, 3);
    blob.record(Kind::Struct, "a", 4, &[("x", int, 0)]);
    blob.record(Kind::Union, "b", 4, &[("x", int, 0), ("y", int, 0)]);
    blob.add(Kind::Enum, "e", 2, 4, &[0, 1, 0, 2]);
    for kind in [Kind::Fwd, Kind::Typedef, Kind::Volatile, Kind::Const, Kind::Restrict, Kind::Float, Kind::TypeTag] {
        blob.add(kind, "t", 0, int, &[]);
    }
    let proto = blob.add(Kind::FuncProto, "", 2, int, &[0, int, 0, int]);
    // The count of a function is its linkage: nothing follows.
    blob.add(Kind::Func, "f", 2, proto, &[]);
    blob.add(Kind::Var, "v", 0, int, &[1]);
    blob.add(Kind::Datasec, "d", 2, 8, &[1, 0, 4, 1, 4, 4]);
    blob.add(Kind::DeclTag, "tag", 0, int, &[u32::MAX]);
    blob.add(Kind::Enum64, "e64", 2, 8, &[0, 1, 0, 0, 2, 0]);
    blob.record(Kind::Struct, "s", 8, &[("last", int, 4)]);
    let kinds: Vec<u8> =
        (1..=20).map(|id| Btf::parse(&blob.bytes()).unwrap().get(id).unwrap().kind.unwrap() as u8).collect();
    assert_eq!(kinds, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 18, 13, 12, 14, 15, 17, 19, 4]);
    assert_eq!(member(&blob, "last"), Ok((4, 4, None)));
}

#[test]
fn members_are_found_through_nesting_aliases_and_arrays() {
    let mut blob = Blob::new();
    let int = blob.int("int", 4);
    let word = blob.int("long", 8);
    let typedef = blob.add(Kind::Typedef, "pid_t", 0, int, &[]);
    let constant = blob.add(Kind::Const, "", 0, typedef, &[]);
    let rows = blob.array(constant, 3);
    let matrix = blob.array(rows, 5);
    let inner = blob.record(Kind::Union, "", 8, &[("deep", word, 0), ("low", int, 4)]);
    let middle = blob.record(Kind::Struct, "", 16, &[("", inner, 8)]);
    let named = blob.record(Kind::Struct, "entity", 16, &[("skip", word, 0), ("queue", int, 8)]);
    let forward = blob.add(Kind::Fwd, "elsewhere", 0, 0, &[]);
    let tagged = blob.add(Kind::TypeTag, "rcu", 0, forward, &[]);
    let pointer = blob.pointer(tagged);
    let volatile = blob.add(Kind::Volatile, "", 0, pointer, &[]);
    blob.record(
        Kind::Struct,
        "s",
        128,
        &[("", middle, 16), ("se", named, 32), ("matrix", matrix, 48), ("to", volatile, 112), ("c", constant, 120)],
    );
    for (path, offset, size, pointee) in [
        ("deep", 24, 8, None),
        ("low", 28, 4, None),
        ("se", 32, 16, None),
        ("se.queue", 40, 4, None),
        ("matrix", 48, 60, None),
        ("to", 112, 8, Some("elsewhere".to_owned())),
        ("c", 120, 4, None),
    ] {
        assert_eq!(member(&blob, path), Ok((offset, size, pointee)), "{path}");
    }
    for path in ["queue", "se.gone", "se.queue.x", "to.x", "", ".", "se.", ".se", "matri", "matrixx"] {
        assert_eq!(member(&blob, path), Err(no_member(path)), "{path}");
    }
}

#[test]
fn bit_fields_of_both_kinds_and_types_without_size_are_refused() {
    let mut blob = Blob::new();
    let int = blob.int("int", 4);
    let narrow = blob.add(Kind::Int, "int", 0, 4, &[3]);
    let forward = blob.add(Kind::Fwd, "elsewhere", 0, 0, &[]);
    let names = ["field", "plain", "narrow", "shifted", "void", "forward"].map(|name| blob.string(name));
    let [field, plain, narrow_name, shifted, void, forward_name] = names;
    let tail = [
        [field, int, 1 << 24 | 32],
        [plain, int, 64],
        [narrow_name, narrow, 96],
        [shifted, int, 129],
        [void, VOID, 160],
        [forward_name, forward, 160],
    ];
    blob.add_raw(0x80 | Kind::Struct as u32, "s", 6, 32, tail.as_flattened());
    let refused = |path: &str, what| Err(LookupError::Unreadable { name: "s".into(), path: path.into(), what });
    assert_eq!(member(&blob, "plain"), Ok((8, 4, None)));
    for path in ["field", "narrow", "shifted"] {
        assert_eq!(member(&blob, path), refused(path, "a bit field"), "{path}");
    }
    for path in ["void", "forward"] {
        assert_eq!(member(&blob, path), refused(path, "of a type without size"), "{path}");
    }
}

#[test]
fn a_member_outside_its_struct_is_refused() {
    let mut blob = Blob::new();
    let int = blob.int("int", 4);
    let huge = blob.array(int, u32::MAX);
    blob.record(Kind::Struct, "s", 8, &[("in", int, 4), ("out", int, 5), ("huge", huge, 0)]);
    assert_eq!(member(&blob, "in"), Ok((4, 4, None)));
    assert_eq!(member(&blob, "out"), Err(LookupError::Outside { name: "s".into(), path: "out".into() }));
    assert!(matches!(member(&blob, "huge"), Err(LookupError::Unreadable { .. })));
}

#[test]
fn cycles_and_depth_and_breadth_end_at_a_limit() {
    let mut cycle = Blob::new();
    cycle.add(Kind::Typedef, "loop", 0, 2, &[]);
    cycle.add(Kind::Const, "", 0, 1, &[]);
    cycle.record(Kind::Struct, "s", 8, &[("x", 1, 0)]);
    assert_eq!(member(&cycle, "x"), Err(limit("s")));

    let mut arrays = Blob::new();
    arrays.array(1, 1);
    arrays.record(Kind::Struct, "s", 8, &[("x", 1, 0)]);
    assert_eq!(member(&arrays, "x"), Err(limit("s")));

    let mut own = Blob::new();
    own.record(Kind::Struct, "s", 8, &[("", 1, 0)]);
    assert_eq!(member(&own, "x"), Err(limit("s")));

    // Ten levels of 32 anonymous members each would be 32^10 visits.
    let mut broad = Blob::new();
    let mut inner = broad.int("int", 4);
    for level in 0..10 {
        inner = broad.record(Kind::Struct, if level == 9 { "s" } else { "" }, 8, &[("", inner, 0); 32]);
    }
    assert_eq!(member(&broad, "x"), Err(limit("s")));
}

#[test]
fn a_reference_to_no_type_is_named() {
    let mut blob = Blob::new();
    blob.record(Kind::Struct, "s", 8, &[("x", 99, 0)]);
    assert_eq!(member(&blob, "x"), Err(LookupError::BadId { name: "s".into(), id: 99 }));
}

#[test]
fn all_members_come_from_one_of_two_types_of_a_name() {
    let mut blob = Blob::new();
    let int = blob.int("int", 4);
    blob.record(Kind::Struct, "s", 8, &[("a", int, 0)]);
    blob.record(Kind::Struct, "s", 16, &[("a", int, 8), ("b", int, 12)]);
    blob.record(Kind::Struct, "s", 16, &[("b", int, 0), ("c", int, 4)]);
    let bytes = blob.bytes();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.members("s", ["a", "b"]).unwrap().map(|member| member.offset), [8, 12]);
    assert_eq!(btf.members("s", ["a", "b", "c"]), Err(no_member("c")));
    assert_eq!(btf.member("s", "a"), Err(LookupError::Ambiguous { name: "s".into() }));
    assert_eq!(btf.member("t", "a"), Err(LookupError::NoStruct { name: "t".into() }));
}

#[test]
fn tracepoint_arguments_are_told_by_type() {
    let mut blob = Blob::new();
    let [int, char, bool] = [blob.int("unsigned int", 4), blob.int("char", 1), blob.bool()];
    let signed = blob.add(Kind::Int, "long", 0, 8, &[1 << 24 | 64]);
    let task = blob.record(Kind::Struct, "task", 8, &[]);
    let constant = blob.add(Kind::Const, "", 0, char, &[]);
    let size = blob.add(Kind::Enum, "e", 0, 4, &[]);
    let pointers = [task, constant, int, VOID].map(|target| blob.pointer(target));
    let args = [&pointers[..], &[int, signed, bool, size, task]].concat();
    blob.tracepoint("t", &args);
    blob.add(Kind::Typedef, "btf_trace_no", 0, int, &[]);
    let bytes = blob.bytes();
    let btf = Btf::parse(&bytes).unwrap();
    let expected = [
        Arg::Pointer("task"),
        Arg::Text,
        Arg::OtherPointer,
        Arg::OtherPointer,
        Arg::Int { size: 4, signed: false },
        Arg::Int { size: 8, signed: true },
        Arg::Bool,
        Arg::Enum { size: 4 },
        Arg::Other,
    ];
    assert_eq!(btf.tracepoint_args("t").unwrap(), expected);
    assert_eq!(btf.tracepoint_args("no"), Err(LookupError::NotTracepoint { name: "no".into() }));
    assert_eq!(btf.tracepoint_args("gone"), Err(LookupError::NoTracepoint { name: "gone".into() }));
}

#[test]
fn a_prototype_without_the_data_pointer_is_no_tracepoint() {
    let mut blob = Blob::new();
    let int = blob.int("int", 4);
    let pointer = blob.pointer(int);
    for (name, first) in [("value", int), ("typed", pointer)] {
        let proto = blob.add(Kind::FuncProto, "", 2, VOID, &[0, first, 0, int]);
        let to = blob.pointer(proto);
        blob.add(Kind::Typedef, &format!("btf_trace_{name}"), 0, to, &[]);
    }
    let bytes = blob.bytes();
    let btf = Btf::parse(&bytes).unwrap();
    for name in ["value", "typed"] {
        assert_eq!(btf.tracepoint_args(name), Err(LookupError::NotTracepoint { name: name.into() }));
    }
}

#[test]
fn an_unknown_kind_is_stepped_over_only_if_its_size_is_described() {
    let mut blob = Blob::new();
    let int = blob.int("int", 4);
    blob.add_raw(40, "new", 2, 0, &[7, 1, 2, 3, 4]);
    blob.record(Kind::Struct, "s", 8, &[("x", int, 4)]);
    assert_eq!(Btf::parse(&blob.bytes()).unwrap_err(), BtfError::UnknownKind { id: 2, kind: 40 });
    let mut layout = vec![0; 40 * 4];
    layout.extend([4, 8, 0, 0]);
    let bytes = blob.with_layout(&layout);
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.member("s", "x").map(|member| member.offset), Ok(4));
    assert_eq!(btf.get(2).unwrap().kind, None);
}

#[test]
fn damaged_headers_and_sections_are_told_apart() {
    let mut blob = Blob::new();
    blob.int("int", 4);
    let good = blob.bytes();
    let patched = |at: usize, bytes: &[u8]| {
        let mut blob = good.clone();
        blob[at..at + bytes.len()].copy_from_slice(bytes);
        Btf::parse(&blob).unwrap_err()
    };
    assert!(Btf::parse(&good).is_ok());
    assert_eq!(patched(0, &[0xeb, 0x9f]), BtfError::BigEndian);
    assert_eq!(patched(0, &[0x7f, b'E']), BtfError::Magic { found: 0x457f });
    assert_eq!(patched(2, &[2]), BtfError::Version { found: 2 });
    let section = |section, start, len| BtfError::Section { section, start, len, blob: good.len() };
    assert_eq!(patched(4, &[23]), section("header", 0, 23));
    assert_eq!(patched(4, &[0xff; 4]), section("header", 0, u32::MAX));
    assert_eq!(patched(8, &[0xff; 8]), section("type section", 32 + u64::from(u32::MAX), u32::MAX));
    assert_eq!(patched(20, &[200]), section("string section", 48, 200));
    assert_eq!(patched(28, &[200]), section("layout section", 53, 200));
    assert_eq!(patched(20, &[0]), BtfError::Strings);
    assert_eq!(patched(good.len() - 1, b"x"), BtfError::Strings);
    assert_eq!(patched(32, &[5]), BtfError::Name { id: 1, offset: 5 });
    assert_eq!(patched(12, &[15]), BtfError::Truncated { id: 1 });
    assert_eq!(patched(12, &[11]), BtfError::Truncated { id: 1 });
    // The count of a struct that cannot be inside.
    assert_eq!(patched(36, &[0xff, 0xff, 0xff, 4]), BtfError::Truncated { id: 1 });
    for len in 0..good.len() {
        assert!(Btf::parse(&good[..len]).is_err(), "{len}");
    }
}

#[test]
fn an_empty_blob_has_no_types() {
    let bytes = Blob::new().bytes();
    let btf = Btf::parse(&bytes).unwrap();
    assert!(btf.is_empty());
    assert!(btf.get(0).is_none() && btf.get(1).is_none() && btf.get(u32::MAX).is_none());
    assert_eq!(btf.name(0), Some(""));
    assert_eq!(btf.name(1), None);
}
