//! Protobuf primitives: varints, length-delimited fields, and lengths that are known only afterwards.
//! What the fields mean is known elsewhere.
//!
//! Source of the format: <https://protobuf.dev/programming-guides/encoding/>.

/// Tag of a field that holds bytes, a string or a message; field numbers below 16 fit one byte.
pub(super) const fn delimited(field: u8) -> u8 {
    field << 3 | 2
}

/// Tag of a field of eight bytes.
pub(super) const fn fixed64(field: u8) -> u8 {
    field << 3 | 1
}

/// Tag of a varint field.
pub(super) const fn varint(field: u8) -> u8 {
    field << 3
}

/// Bytes of the shortest varint of `value`.
pub(super) const fn varint_len(value: u64) -> usize {
    // 7 bits a byte, and zero takes one byte too.
    ((70 - (value | 1).leading_zeros()) / 7) as usize
}

/// Bytes of a field of `len` bytes, with its tag and length.
pub(super) const fn delimited_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// Appends the shortest varint.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

/// Appends the opening of a field of `len` bytes.
pub(super) fn put_opening(out: &mut Vec<u8>, tag: u8, len: usize) {
    out.push(tag);
    put_varint(out, len as u64);
}

/// Appends a whole field of bytes.
pub(super) fn put_delimited(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    put_opening(out, tag, content.len());
    out.extend_from_slice(content);
}

/// Appends a field of eight bytes.
pub(super) fn put_fixed64(out: &mut Vec<u8>, tag: u8, value: u64) {
    let mut field = [tag; 9];
    field[1..].copy_from_slice(&value.to_le_bytes());
    out.extend_from_slice(&field);
}

/// Small whole numbers for small negative ones.
pub(super) const fn zigzag(value: i32) -> u64 {
    ((value << 1) ^ (value >> 31)).cast_unsigned() as u64
}

/// A message under construction whose length is not known yet.
#[must_use]
#[derive(Clone, Copy)]
pub(super) struct Open {
    /// Where its content starts.
    content: usize,
    /// Bytes kept free before it for the length.
    width: usize,
}

/// Opens a message and keeps `width` bytes for its length.
pub(super) fn open(out: &mut Vec<u8>, tag: u8, width: usize) -> Open {
    out.push(tag);
    out.resize(out.len() + width, 0);
    Open { content: out.len(), width }
}

/// Closes a message: its length goes into the bytes kept free, padded when it needs fewer (longer
/// varints than needed are legal), the content moved when it needs more.
pub(super) fn close(out: &mut Vec<u8>, open: Open) {
    let len = out.len().saturating_sub(open.content);
    let missing = varint_len(len as u64).saturating_sub(open.width);
    if missing > 0 {
        let end = out.len();
        out.resize(end + missing, 0);
        out.copy_within(open.content..end, open.content + missing);
    }
    let start = open.content - open.width;
    let mut rest = len as u64;
    let mut places = out.iter_mut().skip(start).take(open.width + missing).peekable();
    while let Some(place) = places.next() {
        *place = low_bits(rest) | if places.peek().is_some() { 0x80 } else { 0 };
        rest >>= 7;
    }
}

const fn low_bits(value: u64) -> u8 {
    (value & 0x7f) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::encoding;

    use super::*;

    proptest! {
        #[test]
        fn varints_are_the_shortest(value in any::<u64>(), shift in 0..64_u32) {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            put_varint(&mut ours, value >> shift);
            encoding::encode_varint(value >> shift, &mut theirs);
            prop_assert_eq!(ours.len(), varint_len(value >> shift));
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn lengths_find_their_place_in_any_width(len in 0..70_000_usize, width in 1..5_usize, before in 0..9_usize) {
            let mut out = vec![7; before];
            let outer = open(&mut out, delimited(1), width);
            let inner = open(&mut out, delimited(2), width);
            out.extend((0..len).map(|at| low_bits(at as u64)));
            close(&mut out, inner);
            close(&mut out, outer);
            let mut rest = out.get(before..).unwrap();
            for tag in [delimited(1), delimited(2)] {
                prop_assert_eq!(rest[0], tag);
                rest = &rest[1..];
                let told = encoding::decode_varint(&mut rest).unwrap();
                prop_assert_eq!(told, rest.len() as u64);
            }
            prop_assert!(rest.iter().enumerate().all(|(at, byte)| *byte == low_bits(at as u64)));
            prop_assert_eq!(rest.len(), len);
        }

        #[test]
        fn signs_fold(value in any::<i32>()) {
            let mut theirs = Vec::new();
            encoding::sint32::encode(1, &value, &mut theirs);
            let mut ours = vec![varint(1)];
            put_varint(&mut ours, zigzag(value));
            prop_assert_eq!(ours, theirs);
        }
    }
}
