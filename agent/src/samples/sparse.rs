//! Counts of which most are 0, at rest: how many there are, and those that are not 0 by place.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// More than any histogram has: a file that claims more is damaged.
const MOST: usize = 1_024;

#[derive(Serialize, Deserialize)]
struct Sparse {
    len: usize,
    filled: Vec<(usize, u64)>,
}

pub(super) fn serialize<S: Serializer>(counts: &[u64], to: S) -> Result<S::Ok, S::Error> {
    let filled = counts.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect();
    Sparse { len: counts.len(), filled }.serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u64>, D::Error> {
    let Sparse { len, filled } = Sparse::deserialize(from)?;
    if len > MOST {
        return Err(D::Error::custom("a histogram of so many buckets"));
    }
    let mut counts = vec![0; len];
    for (place, count) in filled {
        *counts.get_mut(place).ok_or_else(|| D::Error::custom("a bucket behind the last"))? = count;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use crate::{samples::Durations, units::Nanos};

    #[test]
    fn only_what_is_filled_is_written() {
        for (counts, expected) in [
            (vec![], r#"{"sum":7,"counts":{"len":0,"filled":[]}}"#),
            (
                vec![0, 0, 5, 0, u64::MAX, 0],
                r#"{"sum":7,"counts":{"len":6,"filled":[[2,5],[4,18446744073709551615]]}}"#,
            ),
        ] {
            let durations = Durations { sum: Nanos(7), counts };
            assert_eq!(serde_json::to_string(&durations).unwrap(), expected);
            assert_eq!(serde_json::from_str::<Durations>(expected).unwrap(), durations);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for damaged in [r#"{"len":2,"filled":[[2,1]]}"#, r#"{"len":99999999999,"filled":[]}"#] {
            let text = format!(r#"{{"sum":7,"counts":{damaged}}}"#);
            assert!(serde_json::from_str::<Durations>(&text).is_err(), "{damaged}");
        }
    }
}
