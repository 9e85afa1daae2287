//! Exact division: the parts of a whole number add up to it.

/// Shares `total` out by `weights`: floor of the exact share, then one more to the largest remainders
/// (ties: the earlier one) until nothing is left. `Σ parts = total` for any input with a weight above 0.
///
/// Returns `None` when all weights are 0: there is nobody to give it to.
pub fn split(total: u64, weights: &[u64]) -> Option<Vec<u64>> {
    let whole: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    if whole == 0 {
        return None;
    }
    let products = weights.iter().map(|weight| u128::from(total) * u128::from(*weight));
    let (mut parts, remainders): (Vec<u64>, Vec<u128>) =
        products.map(|product| (narrow(product / whole), product % whole)).unzip();
    let given: u128 = parts.iter().map(|part| u128::from(*part)).sum();
    let left = usize::try_from(u128::from(total) - given).unwrap_or(usize::MAX);
    let mut order: Vec<usize> = (0..parts.len()).collect();
    let rank = |at: &usize| (std::cmp::Reverse(remainders.get(*at).copied().unwrap_or(0)), *at);
    if left > 0 && left < order.len() {
        order.select_nth_unstable_by_key(left - 1, rank);
    }
    for at in order.into_iter().take(left) {
        if let Some(part) = parts.get_mut(at) {
            *part += 1;
        }
    }
    Some(parts)
}

/// A share of a 64-bit total is at most that total.
fn narrow(share: u128) -> u64 {
    u64::try_from(share).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn remainders_go_to_the_largest_and_ties_to_the_earlier() {
        assert_eq!(split(10, &[1, 1, 1]), Some(vec![4, 3, 3]));
        assert_eq!(split(10, &[1, 2, 4]), Some(vec![1, 3, 6]));
        assert_eq!(split(1, &[0, 1]), Some(vec![0, 1]));
        assert_eq!(split(5, &[0, 0]), None);
        assert_eq!(split(5, &[]), None);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let parts = split(u64::MAX, &vec![u64::MAX; 10_000]).unwrap();
        assert_eq!(parts.iter().map(|part| u128::from(*part)).sum::<u128>(), u128::from(u64::MAX));
    }

    fn weights() -> impl Strategy<Value = Vec<u64>> {
        let weight = prop_oneof![3 => any::<u64>(), 2 => 0..1_000u64, 1 => Just(0), 1 => Just(u64::MAX)];
        let size = prop_oneof![9 => 0..200usize, 1 => 9_000..=10_000usize];
        size.prop_flat_map(move |size| prop::collection::vec(weight.clone(), size))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn parts_add_up_and_are_within_one_of_their_share(total: u64, weights in weights()) {
            let whole: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
            let Some(parts) = split(total, &weights) else {
                prop_assert_eq!(whole, 0);
                return Ok(());
            };
            prop_assert_eq!(parts.iter().map(|part| u128::from(*part)).sum::<u128>(), u128::from(total));
            for (part, weight) in parts.iter().zip(&weights) {
                let floor = u128::from(total) * u128::from(*weight) / whole;
                prop_assert!((floor..=floor + 1).contains(&u128::from(*part)));
                prop_assert!(*weight > 0 || *part == 0);
            }
        }
    }
}
