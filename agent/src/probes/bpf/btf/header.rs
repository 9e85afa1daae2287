//! The header and the sections it names.

use super::BtfError;
use super::raw::{elements, word};

/// Bytes of the header of the first version; later kernels append to it.
const HEADER: u32 = 24;
/// Bytes of the header that names a layout section (Linux 7.1).
const HEADER_WITH_LAYOUT: u32 = 32;
/// Bytes per kind in the layout section.
const LAYOUT: usize = 4;

/// The sections, each inside the blob.
pub(super) struct Header<'a> {
    pub(super) types: &'a [u8],
    pub(super) strings: &'a [u8],
    pub(super) layout: Layout<'a>,
}

/// Sizes of kinds as the blob itself describes them; empty for most kernels.
#[derive(Clone, Copy)]
pub(super) struct Layout<'a>(&'a [u8]);

impl<'a> Header<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let short = BtfError::Short { len: bytes.len() };
        let field = |at: usize| word(bytes, at).ok_or(short.clone());
        check_preamble(field(0)?)?;
        let header = field(4)?;
        if header < HEADER {
            return Err(section_error("header", 0, header, bytes));
        }
        let body = section(bytes, "header", 0, header).map(|_| u64::from(header))?;
        let part = |name, at: usize| section(bytes, name, body + u64::from(field(at)?), field(at + 4)?);
        let layout = if header >= HEADER_WITH_LAYOUT { part("layout section", 24)? } else { &[] };
        Ok(Self { types: part("type section", 8)?, strings: part("string section", 16)?, layout: Layout(layout) })
    }
}

impl Layout<'_> {
    /// Bytes behind the record of a kind with `count` elements; `None` if the blob does not say.
    pub(super) fn tail(self, kind: u8, count: u32) -> Option<usize> {
        let at = usize::from(kind) * LAYOUT;
        let [once, each, _, _] = *self.0.get(at..at + LAYOUT)? else { return None };
        Some(elements(count, each).saturating_add(usize::from(once)))
    }
}

/// Magic (16 bits), version (8) and flags (8, none defined).
fn check_preamble(preamble: u32) -> Result<(), BtfError> {
    let [first, second, version, _flags] = preamble.to_le_bytes();
    match u16::from_le_bytes([first, second]) {
        0xeb9f => {}
        0x9feb => return Err(BtfError::BigEndian),
        found => return Err(BtfError::Magic { found }),
    }
    if version == 1 { Ok(()) } else { Err(BtfError::Version { found: version }) }
}

fn section<'a>(bytes: &'a [u8], name: &'static str, start: u64, len: u32) -> Result<&'a [u8], BtfError> {
    let range = usize::try_from(start).ok().zip(usize::try_from(start + u64::from(len)).ok());
    let part = range.and_then(|(from, to)| bytes.get(from..to));
    part.ok_or_else(|| section_error(name, start, len, bytes))
}

fn section_error(section: &'static str, start: u64, len: u32, bytes: &[u8]) -> BtfError {
    BtfError::Section { section, start, len, blob: bytes.len() }
}
