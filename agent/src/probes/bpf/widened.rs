//! Counts of histograms since they began: in the kernel they have half a word, and wrap.

/// One of the two numbers in a word, by its index among all.
#[expect(clippy::cast_possible_truncation, reason = "the half that is asked for")]
pub(super) const fn half(word: u64, index: usize) -> u32 {
    (if index.is_multiple_of(2) { word } else { word >> 32 }) as u32
}

/// What was read of a row's buckets last, and what they have counted since the row was taken.
#[derive(Debug, Default)]
pub(super) struct Widened {
    raw: Vec<u32>,
    counts: Vec<u64>,
}

impl Widened {
    /// Takes what the buckets hold now; all of it counts the first time.
    pub(super) fn take(&mut self, raw: Vec<u32>) -> &[u64] {
        self.raw.resize(raw.len(), 0);
        self.counts.resize(raw.len(), 0);
        for ((count, before), now) in self.counts.iter_mut().zip(&self.raw).zip(&raw) {
            *count += u64::from(now.wrapping_sub(*before));
        }
        self.raw = raw;
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_on_where_half_a_word_wraps() {
        let mut widened = Widened::default();
        assert_eq!(widened.take(vec![u32::MAX - 1, 3]), [u64::from(u32::MAX) - 1, 3]);
        assert_eq!(widened.take(vec![1, 3]), [u64::from(u32::MAX) + 2, 3]);
    }

    #[test]
    fn both_halves_of_a_word_are_told() {
        assert_eq!([half(0x2_0000_0001, 0), half(0x2_0000_0001, 1)], [1, 2]);
    }
}
