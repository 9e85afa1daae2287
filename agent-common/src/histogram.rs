//! Buckets of exponential histograms of durations: bucket `i` holds `2^(i/8) < v ≤ 2^((i+1)/8)`, `v` in seconds.

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
    let (octave, mantissa) = parts(nanos);
    let [a, b, c, d, e, f, g, h] = BOUNDS.map(|bound| i32::from(mantissa > bound));
    ((octave - 30) << SCALE) + a + b + c + d + e + f + g + h
}

/// [`index`] at scale 2, with half the comparisons.
#[inline(always)]
pub fn index_2(nanos: u64) -> i32 {
    let (octave, mantissa) = parts(nanos);
    let [_, a, _, b, _, c, _, d] = BOUNDS;
    let above = |bound| i32::from(mantissa > bound);
    ((octave - 30) << 2) + above(a) + above(b) + above(c) + above(d)
}

/// [`index`] at scale 1, with a quarter of them.
#[inline(always)]
pub fn index_1(nanos: u64) -> i32 {
    let (octave, mantissa) = parts(nanos);
    let [_, _, _, a, _, _, _, b] = BOUNDS;
    let above = |bound| i32::from(mantissa > bound);
    ((octave - 30) << 1) + above(a) + above(b)
}

/// Place of the highest bit, and the number shifted until that is the first one.
#[inline(always)]
fn parts(nanos: u64) -> (i32, u64) {
    let octave = log2(nanos);
    #[expect(clippy::cast_possible_wrap, reason = "at most 63")]
    (octave as i32, nanos << (63 - octave))
}

/// As the integer's own, which the kernel's instruction set lacks: the compiler would count bits in thirty instructions. 0 of 0.
#[inline(always)]
fn log2(value: u64) -> u32 {
    /// Of 0 to 15, four bits each.
    const OF_NIBBLE: u64 = 0x3333_3333_2222_1100;
    let (mut rest, mut log) = (value, 0);
    for bits in [32, 16, 8, 4] {
        if rest >> bits != 0 {
            rest >>= bits;
            log += bits;
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "four bits")]
    let nibble = ((OF_NIBBLE >> (rest << 2)) & 0xf) as u32;
    log + nibble
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bit_is_found() {
        for shift in 0..64 {
            for value in [1 << shift, (1 << shift) | 1, u64::MAX >> shift] {
                assert_eq!(log2(value), value.ilog2(), "{value:#x}");
            }
        }
    }

    #[test]
    fn lower_scales_are_the_same_index_shifted() {
        for shift in 0..63 {
            for step in 0..64_u64 {
                let nanos = (1 << shift) + ((step << shift) >> 6);
                assert_eq!((index_2(nanos), index_1(nanos)), (index(nanos) >> 1, index(nanos) >> 2), "{nanos}");
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
