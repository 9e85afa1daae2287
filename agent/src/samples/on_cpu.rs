//! Time on a CPU, and how much of it was shared with the other thread of the core.

use std::{
    collections::BTreeMap,
    iter::Sum,
    ops::{Add, AddAssign},
};

use crate::units::Nanos;

/// Time on one or more CPUs. Of a total since a start, or of an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnCpu {
    /// All of it.
    pub time: Nanos,
    /// Of it, while the other thread of the CPU's core was busy, too; 0 where that is not known.
    pub shared: Nanos,
}

impl OnCpu {
    /// What is shared is a part of the time: what is claimed beyond it is left out.
    pub fn new(time: Nanos, shared: Nanos) -> Self {
        Self { time, shared: shared.min(time) }
    }

    /// Time of which it is not known whether it was shared.
    pub const fn alone(time: Nanos) -> Self {
        Self { time, shared: Nanos(0) }
    }

    /// What is left when `other` is taken away, neither of the two below zero.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self::new(self.time.saturating_sub(other.time), self.shared.saturating_sub(other.shared))
    }

    /// The growth of a total, which is kept at what was booked of it. A total seen for the first time grew from 0 when
    /// `from_zero`, else it starts here.
    ///
    /// Shared time that a total shows before the time it is a part of (open slices are estimates) waits for that: in no
    /// interval is more shared than there is.
    pub(super) fn advance<K: Ord>(totals: &mut BTreeMap<K, Self>, key: K, total: Self, from_zero: bool) -> Self {
        let start = if from_zero { Self::default() } else { total };
        let booked = totals.entry(key).or_insert(start);
        let delta = Self::new(total.time.saturating_sub(booked.time), total.shared.saturating_sub(booked.shared));
        *booked += delta;
        delta
    }
}

impl Add for OnCpu {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { time: self.time + other.time, shared: self.shared + other.shared }
    }
}

impl AddAssign for OnCpu {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for OnCpu {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_cpu(time: u64, shared: u64) -> OnCpu {
        OnCpu { time: Nanos(time), shared: Nanos(shared) }
    }

    #[test]
    fn shared_is_a_part_of_the_time() {
        assert_eq!(OnCpu::new(Nanos(5), Nanos(9)), on_cpu(5, 5));
        assert_eq!(on_cpu(10, 8).saturating_sub(on_cpu(7, 1)), on_cpu(3, 3));
        assert_eq!(on_cpu(1, 1).saturating_sub(on_cpu(7, 0)), on_cpu(0, 0));
        assert_eq!([on_cpu(1, 0), on_cpu(u64::MAX, 3)].into_iter().sum::<OnCpu>(), on_cpu(u64::MAX, 3));
    }

    /// What a row is about, the totals seen, what each of them books.
    type Row<'a> = (&'a str, &'a [(u64, u64)], &'a [(u64, u64)]);

    #[test]
    fn totals_grow_together() {
        let rows: [Row<'_>; 5] = [
            ("both grow", &[(10, 4), (30, 9)], &[(0, 0), (20, 5)]),
            (
                "the time falls, and catches up",
                &[(10, 0), (30, 5), (20, 9), (40, 9)],
                &[(0, 0), (20, 5), (0, 0), (10, 4)],
            ),
            ("the shared time falls", &[(10, 4), (30, 3), (50, 6)], &[(0, 0), (20, 0), (20, 2)]),
            ("more shared than time waits", &[(10, 0), (12, 9), (20, 9)], &[(0, 0), (2, 2), (8, 7)]),
            ("nonsense", &[(0, 0), (1, u64::MAX), (3, 0)], &[(0, 0), (1, 1), (2, 0)]),
        ];
        for (name, totals, expected) in rows {
            let mut kept = BTreeMap::new();
            let booked: Vec<_> = totals
                .iter()
                .map(|(time, shared)| OnCpu::advance(&mut kept, (), on_cpu(*time, *shared), false))
                .collect();
            let expected: Vec<_> = expected.iter().map(|(time, shared)| on_cpu(*time, *shared)).collect();
            assert_eq!(booked, expected, "{name}");
        }
    }

    #[test]
    fn what_shows_up_later_counts_from_zero() {
        assert_eq!(OnCpu::advance(&mut BTreeMap::new(), (), on_cpu(7, 3), true), on_cpu(7, 3));
    }
}
