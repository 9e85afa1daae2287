//! Reader of the kernel's own type information (BTF), as in `/sys/kernel/btf/vmlinux`.
//!
//! It answers two questions: where a member of a struct lies ([`Btf::members`]) and which arguments a
//! tracepoint passes ([`Btf::tracepoint_args`]). It reads the base blob of a 64-bit little-endian
//! kernel; split BTF of modules, relocations and `.BTF.ext` are no concern of it.
//!
//! The blob is borrowed and indexed once, four bytes per type. Whatever the bytes say, nothing
//! panics, no chain of types is followed without bound, and each lookup has a budget of steps.
//!
//! Format: `include/uapi/linux/btf.h` and `Documentation/bpf/btf.rst` of Linux.

mod error;
mod header;
mod lookup;
mod raw;
#[cfg(test)]
pub(super) mod tests;
mod tracepoint;

pub use error::{BtfError, LookupError};
pub use lookup::Member;
pub use raw::{IntEncoding, Kind, RawMember, Type};
pub use tracepoint::Arg;

use header::{Header, Layout};
use raw::{RECORD, TypeHead};

/// Longest name read, with its NUL: the kernel's longest symbols have 512 bytes.
const NAME: usize = 512;

/// A parsed BTF blob. Type ids count from 1; 0 is `void`.
#[derive(Clone, Debug)]
pub struct Btf<'a> {
    records: &'a [u8],
    strings: &'a [u8],
    /// Where type `id` starts in `records`, at index `id - 1`.
    starts: Vec<u32>,
}

impl<'a> Btf<'a> {
    /// Checks header, sections and the bounds of every type, and indexes the types.
    ///
    /// Kinds that this reader does not know are stepped over if the blob describes their size (kernels
    /// since 7.1 can); otherwise nothing behind them can be found, and that is an error.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let header = Header::read(bytes)?;
        let strings = header.strings;
        if strings.first() != Some(&0) || strings.last() != Some(&0) {
            return Err(BtfError::Strings);
        }
        let starts = index(header.types, strings.len(), header.layout)?;
        Ok(Self { records: header.types, strings, starts })
    }

    /// Number of types, `void` not counted: the highest type id.
    pub fn len(&self) -> u32 {
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is no type at all.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The type of an id; `None` for `void` (0) and for ids that do not exist.
    pub fn get(&self, id: u32) -> Option<Type<'a>> {
        let start = *self.starts.get(usize::try_from(id.checked_sub(1)?).ok()?)?;
        let at = usize::try_from(start).ok()?;
        let head = TypeHead::read(self.records, at)?;
        let from = at.checked_add(RECORD)?;
        let tail = match Kind::of(head.kind) {
            Some(kind) => self.records.get(from..from.checked_add(kind.tail(head.count))?)?,
            None => &[],
        };
        Some(Type { name: head.name, kind: Kind::of(head.kind), flag: head.flag, value: head.value, tail })
    }

    /// The name at an offset of the string section; `None` if it lies outside, is not UTF-8 or is longer
    /// than any kernel's. Anonymous types and members have the empty name.
    pub fn name(&self, offset: u32) -> Option<&'a str> {
        let rest = self.strings.get(usize::try_from(offset).ok()?..)?;
        let rest = rest.get(..NAME).unwrap_or(rest);
        let end = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(rest.get(..end)?).ok()
    }

    /// Whether the name at an offset is this one. Costs no more than the length of `name`.
    pub fn is_named(&self, offset: u32, name: &str) -> bool {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.strings.get(offset..));
        rest.and_then(|rest| rest.strip_prefix(name.as_bytes())).is_some_and(|rest| rest.first() == Some(&0))
    }

    /// The value that an enumeration of 32 bits gives a name; `None`: no such enumeration has it.
    pub fn enumerator(&self, name: &str, value: &str) -> Option<u32> {
        let mut all = self.named(Kind::Enum, name).flat_map(|(_, found)| found.enumerators());
        all.find(|(name, _)| self.is_named(*name, value)).map(|(_, number)| number)
    }

    /// All types of a kind and name, in order of id. BTF can hold several.
    pub fn named<'b>(&'b self, kind: Kind, name: &'b str) -> impl Iterator<Item = (u32, Type<'a>)> + 'b {
        (1..=self.len()).zip(&self.starts).filter_map(move |(id, start)| {
            let head = TypeHead::read(self.records, usize::try_from(*start).ok()?)?;
            let wanted = Kind::of(head.kind) == Some(kind) && self.is_named(head.name, name);
            if wanted { Some((id, self.get(id)?)) } else { None }
        })
    }
}

/// Start of every type in the type section, each checked to lie inside it.
fn index(records: &[u8], strings: usize, layout: Layout<'_>) -> Result<Vec<u32>, BtfError> {
    // A kernel needs 20 to 30 bytes per type; a third of the blob is the most it can become.
    let mut starts = Vec::with_capacity(records.len() / 24);
    let mut at = 0;
    while at < records.len() {
        let id = u32::try_from(starts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let head = TypeHead::read(records, at).ok_or(BtfError::Truncated { id })?;
        let tail = match Kind::of(head.kind) {
            Some(kind) => kind.tail(head.count),
            None => layout.tail(head.kind, head.count).ok_or(BtfError::UnknownKind { id, kind: head.kind })?,
        };
        let next = at.checked_add(RECORD).and_then(|from| from.checked_add(tail));
        let next = next.filter(|next| *next <= records.len()).ok_or(BtfError::Truncated { id })?;
        if usize::try_from(head.name).map_or(true, |name| name >= strings) {
            return Err(BtfError::Name { id, offset: head.name });
        }
        starts.push(u32::try_from(at).map_err(|_| BtfError::Truncated { id })?);
        at = next;
    }
    Ok(starts)
}
