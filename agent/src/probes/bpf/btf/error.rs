//! What can be wrong with a blob, and why a question to it has no answer.

/// A blob that is not BTF as this reader knows it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// No room for a header.
    #[error("BTF of {len} bytes is too short for its header: read the whole file again")]
    Short {
        /// Bytes there are.
        len: usize,
    },
    /// Some other file.
    #[error("BTF starts with {found:#06x} instead of 0xeb9f: this is no BTF file")]
    Magic {
        /// First two bytes, read as little-endian.
        found: u16,
    },
    /// Written by a big-endian kernel.
    #[error("BTF is big-endian, and only little-endian kernels are supported")]
    BigEndian,
    /// A format after this one.
    #[error("BTF is of version {found}, and only version 1 is known")]
    Version {
        /// Version in the header.
        found: u8,
    },
    /// A section that is not inside the blob.
    #[error("BTF has its {section} at {start} with {len} bytes, outside the {blob} bytes there are: it is truncated")]
    Section {
        /// "header", "type section", "string section" or "layout section".
        section: &'static str,
        /// Offset in the blob, bytes.
        start: u64,
        /// Length, bytes.
        len: u32,
        /// Length of the blob, bytes.
        blob: usize,
    },
    /// The string section must begin and end with a NUL.
    #[error("BTF has a string section that does not begin and end with NUL: it is damaged")]
    Strings,
    /// The type section ends inside a type.
    #[error("BTF ends inside type {id}: it is truncated or damaged")]
    Truncated {
        /// Type id.
        id: u32,
    },
    /// A kind without known size: what follows cannot be found.
    #[error("BTF type {id} is of kind {kind}, whose size is not known: this kernel needs a newer agent")]
    UnknownKind {
        /// Type id.
        id: u32,
        /// Kind number.
        kind: u8,
    },
    /// A name outside the string section.
    #[error("BTF type {id} has its name at {offset}, outside the string section: it is damaged")]
    Name {
        /// Type id.
        id: u32,
        /// Offset in the string section.
        offset: u32,
    },
}

/// Why a struct's members or a tracepoint's arguments cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No struct of this name.
    #[error("this kernel has no struct {name}")]
    NoStruct {
        /// Name of the struct.
        name: String,
    },
    /// No typedef `btf_trace_<name>`.
    #[error("this kernel has no tracepoint {name}")]
    NoTracepoint {
        /// Name of the tracepoint.
        name: String,
    },
    /// The typedef is not a pointer to a function that takes `void *` first.
    #[error("btf_trace_{name} is not the type of a tracepoint")]
    NotTracepoint {
        /// Name of the tracepoint.
        name: String,
    },
    /// No struct of this name has the member along with the others asked for.
    #[error("struct {name} of this kernel has no member {path}")]
    NoMember {
        /// Name of the struct.
        name: String,
        /// Path of the member.
        path: String,
    },
    /// The member is there but has no byte offset and size.
    #[error("member {path} of struct {name} is {what}, and has no byte offset and size to read by")]
    Unreadable {
        /// Name of the struct.
        name: String,
        /// Path of the member.
        path: String,
        /// "a bit field" or "of a type without size".
        what: &'static str,
    },
    /// The member does not lie inside the struct.
    #[error("member {path} lies outside struct {name}: the BTF is damaged")]
    Outside {
        /// Name of the struct.
        name: String,
        /// Path of the member.
        path: String,
    },
    /// Several types of this name that answer differently.
    #[error("this kernel has several types {name} that differ: which one is meant cannot be told")]
    Ambiguous {
        /// Name of the struct or typedef.
        name: String,
    },
    /// A type refers to an id that does not exist.
    #[error("{name} refers to BTF type {id}, which does not exist: the BTF is damaged")]
    BadId {
        /// Name of the struct or typedef looked up.
        name: String,
        /// Type id.
        id: u32,
    },
    /// A chain of types, nested structs or the whole search is longer than any kernel's.
    #[error("the types behind {name} are nested too deep or are too many: the BTF is damaged")]
    Limit {
        /// Name of the struct or typedef looked up.
        name: String,
    },
}
