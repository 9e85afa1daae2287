//! Parsers for what the kernel says of block devices.

use super::{ParseError, digits, text};
use crate::samples::{DeviceNumber, disk::load::DeviceCounts};

/// A device number, `8:0`.
pub fn device_number(bytes: &[u8]) -> Result<DeviceNumber, ParseError> {
    const EXPECTED: &str = "`MAJOR:MINOR`";
    let number = |text: &str| digits(text).and_then(|number| u32::try_from(number).ok());
    let parts = text(bytes, EXPECTED)?.trim_end().split_once(':');
    let parts = parts.and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    let (major, minor) = parts.ok_or_else(|| ParseError::new(EXPECTED, bytes))?;
    Ok(DeviceNumber { major, minor })
}

/// The counters of `/sys/block/*/stat`, in the order of the kernel's `Documentation/block/stat.rst`: 11 numbers, from 4.18 on
/// 15, from 5.5 on 17, later maybe more. Which device it is, another file says.
pub fn device_counts(bytes: &[u8]) -> Result<DeviceCounts, ParseError> {
    const EXPECTED: &str = "11 or more numbers";
    /// Requests that ended: reads, writes, discards, flushes.
    const COMPLETED: [usize; 4] = [0, 4, 11, 15];
    const BUSY: usize = 9;
    const QUEUED: usize = 10;
    let malformed = || ParseError::new(EXPECTED, bytes);
    let numbers: Option<Vec<u64>> = text(bytes, EXPECTED)?.split_ascii_whitespace().map(digits).collect();
    let numbers = numbers.ok_or_else(malformed)?;
    // Of 32 bits on every kernel that is supported; should one print more, the lower half goes on the same way.
    let lower = |number: &u64| u32::try_from(number & u64::from(u32::MAX)).ok();
    let millis = |at: usize| numbers.get(at).and_then(lower).ok_or_else(malformed);
    let (busy, queued) = (millis(BUSY)?, millis(QUEUED)?);
    let completed = COMPLETED.iter().filter_map(|at| numbers.get(*at)).fold(0_u64, |sum, n| sum.saturating_add(*n));
    Ok(DeviceCounts { completed, busy, queued, sequence: None })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_device_number_is_two_numbers() {
        assert_eq!(device_number(b"259:12\n"), Ok(DeviceNumber { major: 259, minor: 12 }));
        for bad in [&b""[..], b"8", b"8:", b":0", b"8:0:1", b"-8:0", b"8:4294967296", b"8 :0", b"\xff:1"] {
            assert!(device_number(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn counters_of_old_and_new_kernels_are_read() {
        let counts = |completed, busy, queued| Ok(DeviceCounts { completed, busy, queued, sequence: None });
        for (text, expected) in [
            (
                "       1        0        8       40        2        0       16       50        0       77       90\n",
                counts(3, 77, 90),
            ),
            ("1 0 8 40 2 0 16 50 0 77 90 4 0 32 5\n", counts(7, 77, 90)),
            ("1 0 8 40 2 0 16 50 0 77 90 4 0 32 5 8 6\n", counts(15, 77, 90)),
            ("1 0 8 40 2 0 16 50 0 77 90 4 0 32 5 8 6 9 9\n", counts(15, 77, 90)),
            ("0 0 0 0 0 0 0 0 0 4294967295 4294967297\n", counts(0, u32::MAX, 1)),
        ] {
            assert_eq!(device_counts(text.as_bytes()), expected, "{text}");
        }
        for bad in ["", "1 2 3 4 5 6 7 8 9 10", "1 2 3 4 5 6 7 8 9 10 x", "1 2 3 4 5 6 7 8 9 10 -1"] {
            assert!(device_counts(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop((device_number(&bytes), device_counts(&bytes)));
        }
    }
}
