//! Types as they stand in the blob: a record of twelve bytes and what its kind puts behind it.

/// Bytes of the record that every type begins with.
pub(super) const RECORD: usize = 12;

/// Kind of a type, numbered as in the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the format")]
pub enum Kind {
    Int = 1,
    Ptr = 2,
    Array = 3,
    Struct = 4,
    Union = 5,
    Enum = 6,
    Fwd = 7,
    Typedef = 8,
    Volatile = 9,
    Const = 10,
    Restrict = 11,
    Func = 12,
    FuncProto = 13,
    Var = 14,
    Datasec = 15,
    Float = 16,
    DeclTag = 17,
    TypeTag = 18,
    Enum64 = 19,
}

impl Kind {
    /// The kind of a number; `None` for those added after this reader.
    pub fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Int,
            2 => Self::Ptr,
            3 => Self::Array,
            4 => Self::Struct,
            5 => Self::Union,
            6 => Self::Enum,
            7 => Self::Fwd,
            8 => Self::Typedef,
            9 => Self::Volatile,
            10 => Self::Const,
            11 => Self::Restrict,
            12 => Self::Func,
            13 => Self::FuncProto,
            14 => Self::Var,
            15 => Self::Datasec,
            16 => Self::Float,
            17 => Self::DeclTag,
            18 => Self::TypeTag,
            19 => Self::Enum64,
            _ => return None,
        })
    }

    /// Bytes behind the record of a type with `count` elements.
    pub(super) fn tail(self, count: u32) -> usize {
        match self {
            Self::Int | Self::Var | Self::DeclTag => 4,
            Self::Array => 12,
            Self::Struct | Self::Union | Self::Datasec | Self::Enum64 => elements(count, 12),
            Self::Enum | Self::FuncProto => elements(count, 8),
            _ => 0,
        }
    }

    /// Whether the type is only another name or a qualifier of the type it refers to.
    pub fn is_alias(self) -> bool {
        matches!(self, Self::Typedef | Self::Volatile | Self::Const | Self::Restrict | Self::TypeTag)
    }
}

/// The record, decoded.
pub(super) struct TypeHead {
    pub(super) name: u32,
    pub(super) kind: u8,
    pub(super) flag: bool,
    pub(super) count: u32,
    pub(super) value: u32,
}

impl TypeHead {
    /// The header of Linux 7.2 gives the count 24 bits and the kind 7; before, the added bits were zero.
    pub(super) fn read(records: &[u8], at: usize) -> Option<Self> {
        let info = word(records, at.checked_add(4)?)?;
        let [.., top] = info.to_le_bytes();
        Some(Self {
            name: word(records, at)?,
            kind: top & 0x7f,
            flag: top & 0x80 != 0,
            count: info & 0x00ff_ffff,
            value: word(records, at.checked_add(8)?)?,
        })
    }
}

/// One type.
#[derive(Clone, Copy, Debug)]
pub struct Type<'a> {
    /// Offset of the name in the string section; 0 is anonymous.
    pub name: u32,
    /// Kind; `None` for one this reader does not know.
    pub kind: Option<Kind>,
    /// The kind flag: for structs and unions "members may be bit fields", for `Fwd` "is a union".
    pub flag: bool,
    /// Size in bytes, or the id of the type referred to, by kind.
    pub value: u32,
    /// What the kind puts behind the record.
    pub tail: &'a [u8],
}

/// A member of a struct or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawMember {
    /// Offset of the name in the string section; 0 is anonymous.
    pub name: u32,
    /// Id of its type.
    pub type_id: u32,
    /// Offset in bits from the start of the struct.
    pub bit_offset: u32,
    /// Width of a bit field, bits; 0 for other members.
    pub bit_width: u32,
}

impl<'a> Type<'a> {
    /// Members of a struct or union; empty for other kinds.
    pub fn members(self) -> impl Iterator<Item = RawMember> + use<'a> {
        let tail = if matches!(self.kind, Some(Kind::Struct | Kind::Union)) { self.tail } else { &[] };
        tail.chunks_exact(12).filter_map(move |chunk| {
            let place = word(chunk, 8)?;
            let (bit_offset, bit_width) = if self.flag { (place & 0x00ff_ffff, place >> 24) } else { (place, 0) };
            Some(RawMember { name: word(chunk, 0)?, type_id: word(chunk, 4)?, bit_offset, bit_width })
        })
    }

    /// Types of a function prototype's parameters, in order; empty for other kinds.
    pub fn params(self) -> impl Iterator<Item = u32> + use<'a> {
        let tail = if self.kind == Some(Kind::FuncProto) { self.tail } else { &[] };
        tail.chunks_exact(8).filter_map(|chunk| word(chunk, 4))
    }

    /// Names and values of an enumeration of 32 bits; empty for other kinds.
    pub fn enumerators(self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        let tail = if self.kind == Some(Kind::Enum) { self.tail } else { &[] };
        tail.chunks_exact(8).filter_map(|chunk| Some((word(chunk, 0)?, word(chunk, 4)?)))
    }

    /// Type of an array's elements and their number.
    pub fn array(self) -> Option<(u32, u32)> {
        if self.kind != Some(Kind::Array) {
            return None;
        }
        Some((word(self.tail, 0)?, word(self.tail, 8)?))
    }

    /// How an integer is encoded.
    pub fn int(self) -> Option<IntEncoding> {
        if self.kind != Some(Kind::Int) {
            return None;
        }
        let [bits, offset, _, flags] = word(self.tail, 0)?.to_le_bytes();
        let whole = offset == 0 && u32::from(bits) == self.value.saturating_mul(8);
        Some(IntEncoding { signed: flags & 1 != 0, is_bool: flags & 4 != 0, whole })
    }
}

/// Encoding of an integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntEncoding {
    /// Signed.
    pub signed: bool,
    /// A boolean.
    pub is_bool: bool,
    /// It fills its bytes; the old way to write a bit field is an integer that does not.
    pub whole: bool,
}

/// Bytes of so many elements; saturates, and no blob is that long.
pub(super) fn elements(count: u32, each: u8) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(usize::from(each))
}

/// Little-endian word at an offset.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}
