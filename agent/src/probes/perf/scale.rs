//! The scale of a perf event, `2.3283064365386962890625e-10` joules for each count, as an exact fraction.
//!
//! The kernel writes 2^-32 in full. A 64-bit float holds 53 bits, a counter of joules has more after a month: its steps
//! would no longer add up. An integer fraction loses less than one microjoule over the whole life of a counter.

use crate::units::Microjoules;

/// Digits of a mantissa, and powers of ten, beyond which nothing is taken: 10^38 fits into 128 bits.
const DIGITS: usize = 38;

/// Microjoules for each count, in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    numerator: u64,
    denominator: u128,
}

impl Scale {
    /// From a decimal number of joules, as `events/*.scale` holds it; `None` for text that is none, for zero, and for a
    /// number that no exact fraction within 64 and 128 bits is.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.trim().split_once(['e', 'E']).unwrap_or((text.trim(), "0"));
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole, part].concat();
        if digits.is_empty() || digits.len() > DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let shift = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(part.len()).ok()?)?.checked_add(6)?;
        let (over, under) = if shift < 0 { (0, shift.unsigned_abs()) } else { (shift.unsigned_abs(), 0) };
        let numerator = digits.parse::<u128>().ok()?.checked_mul(10u128.checked_pow(over)?)?;
        let denominator = 10u128.checked_pow(under)?;
        let divisor = gcd(numerator, denominator);
        let numerator = u64::try_from(numerator / divisor).ok().filter(|numerator| *numerator > 0)?;
        Some(Self { numerator, denominator: denominator / divisor })
    }

    /// Energy of so many counts since the counter began, rounded down; `None` beyond 64 bits.
    pub(super) fn energy(self, counts: u64) -> Option<Microjoules> {
        let energy = u128::from(counts) * u128::from(self.numerator) / self.denominator;
        u64::try_from(energy).ok().map(Microjoules)
    }
}

/// Euclid's; `b` is not 0.
const fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KERNEL: &str = "2.3283064365386962890625e-10\n";

    #[test]
    fn the_kernels_scale_is_exact() {
        let scale = Scale::parse(KERNEL).expect("a number");
        assert_eq!(scale, Scale { numerator: 15_625, denominator: 1 << 26 });
        assert_eq!(scale.energy(1 << 32), Some(Microjoules(1_000_000)));
        assert_eq!(scale.energy((1 << 32) - 1), Some(Microjoules(999_999)));
        assert_eq!(scale.energy(u64::MAX), Some(Microjoules(4_294_967_295_999_999)));
    }

    #[test]
    fn other_numbers_are_taken_if_they_are_numbers() {
        let of = |text, counts| Scale::parse(text).and_then(|scale| scale.energy(counts));
        for (text, counts, microjoules) in
            [("1", 3, 3_000_000), ("0.5", 3, 1_500_000), ("1e-6", 7, 7), ("1.0E-7", 19, 1), (".25e+1", 2, 5_000_000)]
        {
            assert_eq!(of(text, counts), Some(Microjoules(microjoules)), "{text}");
        }
        assert_eq!(of("1000000", u64::MAX), None, "beyond 64 bits");
        for text in ["", ".", "e-3", "-1", "+1", "nan", "0", "0.0e-3", "1e", "1e99", "1e-99", "1.2.3", "0x10", "1 2"] {
            assert_eq!(Scale::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn steps_add_up_to_the_whole(steps in proptest::collection::vec(0..1_u64 << 40, 1..60)) {
            let scale = Scale::parse(KERNEL).expect("a number");
            let energy = |counts| scale.energy(counts).expect("64 bits").0;
            let (mut counts, mut sum) = (0, 0);
            for step in steps {
                sum += energy(counts + step) - energy(counts);
                counts += step;
            }
            prop_assert_eq!(sum, energy(counts));
            let exact = u128::from(counts) * 1_000_000;
            prop_assert!(u128::from(sum) << 32 <= exact && exact < (u128::from(sum) + 1) << 32);
        }

        #[test]
        fn no_text_panics(text in "\\PC*", counts: u64) {
            let _energy = Scale::parse(&text).and_then(|scale| scale.energy(counts));
        }
    }
}
