//! Pressure stall information: `/proc/pressure/*` and `*.pressure` of cgroups.

use super::{ParseError, digits, text};
use crate::{samples::pressure::Stalled, units::Nanos};

/// The totals since boot, or since the cgroup was made. The line `full` is missing from `cpu` before Linux 5.13. Averages
/// and lines of other names are passed over; a file without `some` and its total is malformed.
pub fn totals(bytes: &[u8]) -> Result<Stalled, ParseError> {
    const EXPECTED: &str = "a line \"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\"";
    let text = text(bytes, EXPECTED)?;
    let total = |kind: &str| {
        let mut words = text.lines().map(str::split_ascii_whitespace);
        let mut line = words.find_map(|mut words| (words.next() == Some(kind)).then_some(words))?;
        Some(line.find_map(|word| word.strip_prefix("total=")).and_then(micros))
    };
    let malformed = || ParseError::new(EXPECTED, bytes);
    let some = total("some").flatten().ok_or_else(malformed)?;
    let full = total("full").map(|total| total.ok_or_else(malformed)).transpose()?;
    Ok(Stalled { some, full })
}

fn micros(text: &str) -> Option<Nanos> {
    Some(Nanos(digits(text)?.saturating_mul(1_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &str =
        "some avg10=1.25 avg60=0.00 avg300=0.00 total=7000123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=12\n";

    #[test]
    fn totals_are_in_microseconds() {
        let both = Stalled { some: Nanos(7_000_123_000), full: Some(Nanos(12_000)) };
        assert_eq!(totals(BOTH.as_bytes()), Ok(both));
        let (first, second) = BOTH.split_once('\n').unwrap();
        assert_eq!(totals(first.as_bytes()), Ok(Stalled { full: None, ..both }), "before Linux 5.13");
        assert_eq!(totals(format!("{second}{first}\n").as_bytes()), Ok(both), "in any order");
        let more = format!("{BOTH}most avg10=0.00 total=x\n").replace("avg60", "avg600");
        assert_eq!(totals(more.as_bytes()), Ok(both), "what is not known is passed over");
        let huge = "some total=18446744073709551615";
        assert_eq!(totals(huge.as_bytes()), Ok(Stalled { some: Nanos(u64::MAX), full: None }));
    }

    #[test]
    fn what_is_malformed_is_said() {
        let cut = &BOTH[..40];
        for text in ["", "\n", "full avg10=0.00 total=1", "some", "some total=", "some total=-1", "some total=1x", cut]
        {
            assert!(totals(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(totals(b"some total=1\nfull total=\n").is_err(), "half of it");
        assert!(totals(b"some total=1 \xff").is_err(), "no text");
    }
}
