//! Buckets of exponential histograms of durations: bucket `i` holds `2^(i/8) < v ≤ 2^((i+1)/8)`, `v` in seconds.
#![expect(clippy::inline_always, reason = "the kernel side has no calls to spare")]

/// Scale of [`index`]: eight buckets per doubling. Lower scales are the same index shifted right.
pub const SCALE: i32 = 3;

/// Where buckets end within an octave of nanoseconds: `10^9 · 2^(k/8)`, shifted until the highest bit is set, whole,
/// in ascending order.
const BOUNDS: [u64; 8] = [
    0x81ff_a7a9_549c_a6e3,
    0x8dc3_b896_0164_a7d9,
    0x9a98_6705_4d51_2391,
    0xa896_5f74_bf06_5071,
    0xb7d8_8a12_d0dd_9ea0,
    0xc87c_3e7d_03cd_bec3,
    0xdaa1_7c2c_d195_55db,
    0xee6b_2800_0000_0000,
];

/// Index of the bucket of a duration in nanoseconds; exact for every one above 0.
#[inline(always)]
pub fn index(nanos: u64) -> i32 {
    let (octave, mantissa) = parts(nanos, u64::wrapping_sub);
    let below: i64 = BOUNDS.iter().map(|bound| above(mantissa, *bound)).sum();
    #[expect(clippy::cast_possible_truncation, reason = "at most 33 octaves")]
    let index = (((octave - 30) << SCALE) + below) as i32;
    index
}

/// [`index`] at scale 2, with half the comparisons.
#[inline(always)]
pub fn index_2(nanos: u64, minus: impl Minus) -> i64 {
    let (octave, mantissa) = parts(nanos, minus);
    let [_, a, _, b, _, c, _, d] = BOUNDS;
    ((octave - 30) << 2) + above(mantissa, a) + above(mantissa, b) + above(mantissa, c) + above(mantissa, d)
}

/// [`index`] at scale 1, with a quarter of them.
#[inline(always)]
pub fn index_1(nanos: u64, minus: impl Minus) -> i64 {
    let (octave, mantissa) = parts(nanos, minus);
    let [_, _, _, a, _, _, _, b] = BOUNDS;
    ((octave - 30) << 1) + above(mantissa, a) + above(mantissa, b)
}

// Durations are as good as random to a CPU that guesses where a branch goes, and each wrong guess costs it as much as all that
// follows: so there is none.

/// A difference that wraps. The kernel side hides it from its compiler, which makes a branch of each sign that it takes for a
/// comparison: the instruction set has no other way to choose.
pub trait Minus: Fn(u64, u64) -> u64 + Copy {}
impl<T: Fn(u64, u64) -> u64 + Copy> Minus for T {}

/// 1 if a mantissa is above a bound, both with the highest bit set.
#[inline(always)]
fn above(mantissa: u64, bound: u64) -> i64 {
    sign(bound.wrapping_sub(mantissa)).cast_signed()
}

/// 1 for what would be negative, were it signed.
#[inline(always)]
const fn sign(value: u64) -> u64 {
    value >> 63
}

/// All ones above a limit, else 0; both with the highest bit clear.
#[inline(always)]
pub(crate) fn beyond(value: u64, limit: u64, minus: impl Minus) -> u64 {
    sign(minus(limit, value)).wrapping_neg()
}

/// Place of the highest bit, and the number shifted until that is the first one.
#[inline(always)]
fn parts(nanos: u64, minus: impl Minus) -> (i64, u64) {
    let nanos = capped(nanos);
    let octave = log2(nanos, minus);
    (octave.cast_signed(), nanos << (63 - octave))
}

/// No duration has the highest bit: what would be negative is as good as endless.
#[inline(always)]
pub(crate) const fn capped(nanos: u64) -> u64 {
    nanos & (u64::MAX >> 1)
}

/// As the integer's own, which the kernel's instruction set lacks. 0 of 0.
#[inline(always)]
fn log2(value: u64, minus: impl Minus) -> u64 {
    /// Of 0 to 15, four bits each.
    const OF_NIBBLE: u64 = 0x3333_3333_2222_1100;
    let (rest, a) = narrow(value, 32, 5, minus);
    let (rest, b) = narrow(rest, 16, 4, minus);
    let (rest, c) = narrow(rest, 8, 3, minus);
    let (rest, d) = narrow(rest, 4, 2, minus);
    a + b + c + d + ((OF_NIBBLE >> (rest << 2)) & 0xf)
}

/// What is left of a number when its upper half is taken where there is one, and by how many bits that is shifted: 2^`log`.
#[inline(always)]
fn narrow(value: u64, bits: u32, log: u32, minus: impl Minus) -> (u64, u64) {
    let shift = sign(minus((1 << bits) - 1_u64, value)) << log;
    (value >> shift, shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bit_is_found() {
        for shift in 0..63 {
            for value in [1_u64 << shift, (1 << shift) | 1, (u64::MAX >> 1) >> shift] {
                let expected = value.checked_ilog2().unwrap_or(0);
                assert_eq!(log2(value, u64::wrapping_sub), u64::from(expected), "{value:#x}");
            }
        }
    }

    #[test]
    fn lower_scales_are_the_same_index_shifted() {
        for shift in 0..63 {
            for step in 0..64_u64 {
                let nanos = (1 << shift) + ((step << shift) >> 6);
                assert_eq!(
                    (index_2(nanos, u64::wrapping_sub), index_1(nanos, u64::wrapping_sub)),
                    (i64::from(index(nanos) >> 1), i64::from(index(nanos) >> 2)),
                    "{nanos}"
                );
            }
        }
    }

    #[test]
    fn known_durations_are_in_their_buckets() {
        for (nanos, expected) in
            [(1, -240), (1_000, -160), (1_000_000, -80), (1_000_000_000, -1), (1_000_000_001, 0), (60_000_000_000, 47)]
        {
            assert_eq!(index(nanos), expected, "{nanos} ns");
        }
    }

    /// `v ≤ 2^(n/8)` s where `v^8 ≤ 2^n`, in whole numbers: 10^9 = 2^9 · 5^9.
    #[test]
    fn buckets_end_where_whole_numbers_say() {
        // Milliseconds keep v^8 within 128 bits.
        for millis in [1_u128, 2, 3, 7, 917, 1_000, 1_024, 1_090, 1_091, 1_189, 1_414, 1_415, 2_000, 2_001, 8_000] {
            let at = index(u64::try_from(millis).unwrap() * 1_000_000);
            let below = |end: i32| {
                let (left, right) = (millis.pow(8), 1_000_u128.pow(8));
                if end >= 0 { left <= right << end } else { left << -end <= right }
            };
            assert!(below(at + 1) && !below(at), "{millis} ms: {at}");
        }
    }

    #[test]
    fn it_never_falls() {
        let mut last = index(1);
        for shift in 0..60 {
            for step in 0..16_u64 {
                let nanos = (1 << shift) + ((step << shift) >> 4);
                assert!(index(nanos) >= last, "{nanos}");
                last = index(nanos);
            }
        }
        assert!(index(u64::MAX) >= last);
    }
}
