//! Reads protobuf as far as this output needs it: fields at one level of a message that someone else made. Pure.
//!
//! Never fails: a message that breaks off or makes no sense ends there.

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// An integer or a boolean.
    Varint(u64),
    /// A string, bytes or a message within.
    Bytes(&'a [u8]),
    /// Four or eight bytes, which nothing here reads.
    Fixed,
}

/// The fields of a message, in order: number and value.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// Reads `message`.
pub(super) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(count).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        (key >> 3 != 0).then_some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        field
    }
}

/// The messages, strings or bytes in field `number`.
pub(super) fn all(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).filter_map(move |field| match field {
        (found, Value::Bytes(bytes)) if found == number => Some(bytes),
        _ => None,
    })
}

/// The integer in field `number`; the last one counts, as protobuf wants it.
pub(super) fn integer(message: &[u8], number: u64) -> Option<u64> {
    let found = fields(message).filter_map(|field| match field {
        (found, Value::Varint(value)) if found == number => Some(value),
        _ => None,
    });
    found.last()
}

/// Whether `message` reads to its end.
pub(super) fn sound(message: &[u8]) -> bool {
    let mut reader = fields(message);
    while !reader.rest.is_empty() {
        if reader.field().is_none() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_wire_type_are_read() {
        let message =
            [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4, 0x08, 0x02];
        let read: Vec<_> = fields(&message).collect();
        let expected = [
            (1, Value::Varint(150)),
            (2, Value::Bytes(b"hi")),
            (3, Value::Fixed),
            (4, Value::Fixed),
            (1, Value::Varint(2)),
        ];
        assert_eq!(read, expected);
        assert_eq!(integer(&message, 1), Some(2), "the last one counts");
        assert_eq!(all(&message, 2).collect::<Vec<_>>(), [b"hi"]);
        assert!(sound(&message));
    }

    #[test]
    fn a_broken_message_ends_and_is_not_sound() {
        for broken in [
            &b"\x08"[..],                                            // no value
            b"\x12\x05hi",                                           // shorter than it says
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",         // longer than memory
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", // a number without end
            b"\x0b",                                                 // a group
            b"\x00\x01",                                             // field 0
            b"<html>",
        ] {
            assert_eq!(fields(broken).count(), 0, "{broken:?}");
            assert!(!sound(broken), "{broken:?}");
        }
        assert!(sound(b""));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _read = fields(&bytes).count();
            let _sound = sound(&bytes);
        }
    }
}
