//! Writes frozen values into the instructions of the built object, before the kernel sees it.
//!
//! The object has a placeholder wherever a program uses such a value, see `wattrace_common::frozen`. Globals were
//! rejected: each use costs the load of an address, a load and an addition where one instruction does it all.

use object::{LittleEndian, Object, ObjectSection, SectionKind, read::elf::ElfFile64};
use wattrace_common::frozen::{CONSTANT, FROZEN, Frozen, OFFSET};

use super::refusal::LoadError;

const INSN: usize = 8;
/// What the loader wants its bytes aligned to.
const ALIGN: usize = 8;

// Operations (`linux/bpf_common.h`, `linux/bpf.h`).
/// `BPF_LD | BPF_DW | BPF_IMM`: an instruction of two places.
const LD_IMM64: u8 = 0x18;
/// `BPF_LDX | BPF_MEM`, of any size.
const LOAD: u8 = 0x61;
const LOAD_MASK: u8 = 0xe7;
/// `BPF_STX | BPF_MEM | BPF_DW`.
const STORE: u8 = 0x7b;
/// `BPF_STX | BPF_ATOMIC | BPF_DW`: its constant says what it does.
const ATOMIC: u8 = 0xdb;
/// `BPF_XCHG`.
const EXCHANGE: u8 = 0xe1;
/// `BPF_ADD | BPF_FETCH`.
const FETCH_ADD: u8 = 0x01;
/// `BPF_ALU64 | BPF_MOV | BPF_K`: its constant is signed.
const MOV64: u8 = 0xb7;
/// `BPF_ALU | BPF_MOV | BPF_K`: the upper half becomes zero.
const MOV32: u8 = 0xb4;

/// Why an object could not be frozen.
#[derive(Debug, thiserror::Error)]
pub(super) enum FreezeError {
    /// It is no ELF object of 64 bits, little-endian.
    #[error("the built object cannot be read: {0}: rebuild it with `cargo xtask ebpf`")]
    Unreadable(#[from] object::Error),
    /// No such value.
    #[error("the built object wants a value that this agent does not know: rebuild it with `cargo xtask ebpf`")]
    Unknown,
    /// A field of the running kernel is too far from the start of its structure.
    #[error("the field {value:?} is at offset {offset} of its structure, and a load reaches only up to {limit}", limit = i16::MAX)]
    TooFar {
        /// Which.
        value: Frozen,
        /// Where.
        offset: u32,
    },
}

impl From<FreezeError> for LoadError {
    fn from(error: FreezeError) -> Self {
        match error {
            FreezeError::TooFar { .. } => Self::Layout(error.to_string()),
            FreezeError::Unreadable(_) | FreezeError::Unknown => Self::Object(error.to_string()),
        }
    }
}

/// An object with its values in place.
#[derive(Debug)]
pub(super) struct Image {
    /// The object starts at `start`.
    buffer: Vec<u8>,
    start: usize,
}

impl Image {
    fn of(object: &[u8]) -> Self {
        let mut buffer: Vec<u8> = Vec::with_capacity(object.len() + ALIGN);
        // The heap's block stays where it is when the vector is moved.
        let start = buffer.as_ptr().align_offset(ALIGN).min(ALIGN);
        buffer.resize(start, 0);
        buffer.extend_from_slice(object);
        Self { buffer, start }
    }

    /// The object, at an address that is a multiple of 8.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn code(&mut self, start: u64, len: u64) -> Option<&mut [[u8; INSN]]> {
        let start = usize::try_from(start).ok()?.checked_add(self.start)?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        Some(self.buffer.get_mut(start..end)?.as_chunks_mut().0)
    }
}

/// Puts values in the place of all placeholders; what is not named is 0.
///
/// # Errors
/// [`FreezeError`], when a value does not fit or the object is another's.
pub(super) fn freeze(object: &[u8], values: &[(Frozen, u32)]) -> Result<Image, FreezeError> {
    let values = Values::new(values);
    let mut frozen = Image::of(object);
    let sections: Vec<_> = {
        let file = ElfFile64::<LittleEndian>::parse(frozen.bytes())?;
        let code = file.sections().filter(|section| section.kind() == SectionKind::Text);
        code.filter_map(|section| section.file_range()).collect()
    };
    for (start, len) in sections {
        values.write(frozen.code(start, len).unwrap_or_default())?;
    }
    Ok(frozen)
}

/// Each value, with its number.
struct Values([Option<(Frozen, u32)>; FROZEN]);

impl Values {
    fn new(values: &[(Frozen, u32)]) -> Self {
        let mut all = [None; FROZEN];
        for value in values {
            if let Some(place) = all.get_mut(value.0 as usize) {
                *place = Some(*value);
            }
        }
        Self(all)
    }

    fn write(&self, code: &mut [[u8; INSN]]) -> Result<(), FreezeError> {
        let mut places = code.iter_mut();
        while let Some(insn) = places.next() {
            match insn[0] {
                LD_IMM64 => {
                    let high = places.next();
                    self.constant(insn)?;
                    high.map_or(Ok(false), |high| self.constant(high))?;
                }
                MOV64 | MOV32 => self.constant_of_move(insn)?,
                op if op & LOAD_MASK == LOAD => self.offset(insn)?,
                STORE => self.order(insn, EXCHANGE),
                ATOMIC => self.order(insn, FETCH_ADD),
                _ => {}
            }
        }
        Ok(())
    }

    fn constant_of_move(&self, insn: &mut [u8; INSN]) -> Result<(), FreezeError> {
        if self.constant(insn)? {
            insn[0] = MOV32;
        }
        Ok(())
    }

    /// What must stay in its place for other CPUs too: a store, or an addition, becomes an atomic `operation` that nothing passes,
    /// where they would see it in another order.
    fn order(&self, insn: &mut [u8; INSN], operation: u8) {
        let [op, registers, low, high, ..] = *insn;
        if i16::from_le_bytes([low, high]) != OFFSET + Frozen::InOrder as i16 {
            return;
        }
        let is_ordered = matches!(self.0.get(Frozen::InOrder as usize), Some(Some((_, 1))));
        let (op, operation) = if is_ordered { (ATOMIC, operation) } else { (op, 0) };
        *insn = [op, registers, 0, 0, operation, 0, 0, 0];
    }

    /// Replaces a placeholder in the place of the constant; whether there was one.
    fn constant(&self, insn: &mut [u8; INSN]) -> Result<bool, FreezeError> {
        let [.., a, b, c, d] = *insn;
        let Some(number) = number(i64::from(i32::from_le_bytes([a, b, c, d])), i64::from(CONSTANT)) else {
            return Ok(false);
        };
        let value = self.0.get(number).ok_or(FreezeError::Unknown)?.map_or(0, |(_, value)| value);
        let [head @ .., _, _, _, _] = *insn;
        let ([op, registers, low, high], [a, b, c, d]) = (head, value.to_le_bytes());
        *insn = [op, registers, low, high, a, b, c, d];
        Ok(true)
    }

    /// Replaces a placeholder in the place of the offset.
    fn offset(&self, insn: &mut [u8; INSN]) -> Result<(), FreezeError> {
        let [op, registers, low, high, rest @ ..] = *insn;
        let Some(number) = number(i64::from(i16::from_le_bytes([low, high])), i64::from(OFFSET)) else {
            return Ok(());
        };
        let offset = match *self.0.get(number).ok_or(FreezeError::Unknown)? {
            None => 0,
            Some((value, offset)) => i16::try_from(offset).map_err(|_| FreezeError::TooFar { value, offset })?,
        };
        let ([low, high], [a, b, c, d]) = (offset.to_le_bytes(), rest);
        *insn = [op, registers, low, high, a, b, c, d];
        Ok(())
    }
}

/// The number of the value that a placeholder stands for. Placeholders of values that are not there are some, too.
fn number(word: i64, first: i64) -> Option<usize> {
    const RANGE: std::ops::Range<i64> = 0..0x100;
    let number = word.checked_sub(first).filter(|number| RANGE.contains(number))?;
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests;
