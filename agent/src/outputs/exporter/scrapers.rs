//! Which snapshot everyone who reads `/metrics` has. Pure: who was served what, and when, the caller says.

use std::{collections::BTreeMap, net::IpAddr};

use crate::units::Nanos;

/// A scraper seen since counts; and so long one is waited for that never came.
const PATIENCE: Nanos = Nanos::from_secs(600);

/// Addresses that are remembered.
const MOST: usize = 256;

/// Those who were served the whole page, by address.
#[derive(Debug)]
pub(super) struct Scrapers {
    since: Nanos,
    seen: BTreeMap<IpAddr, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    number: u64,
    at: Nanos,
}

impl Scrapers {
    /// Nobody came yet.
    pub(super) const fn new(now: Nanos) -> Self {
        Self { since: now, seen: BTreeMap::new() }
    }

    /// `who` was served all of the snapshot of that number.
    pub(super) fn served(&mut self, who: IpAddr, number: u64, now: Nanos) {
        let seen = self.seen.entry(who.to_canonical()).or_insert(Seen { number, at: now });
        // An answer that took long may be older than the one after it.
        *seen = Seen { number: seen.number.max(number), at: now };
        if self.seen.len() > MOST
            && let Some(oldest) = self.seen.iter().min_by_key(|(_, seen)| seen.at).map(|(who, _)| *who)
        {
            self.seen.remove(&oldest);
        }
    }

    /// The latest snapshot that all who count have; `None`: nobody is waited for.
    ///
    /// Who came within the last ten minutes counts; when nobody did, who came last: a Prometheus that is down will want to
    /// know the rest. One that never came is given ten minutes.
    pub(super) fn acknowledged(&self, now: Nanos) -> Option<u64> {
        let recent = self.seen.values().filter(|seen| now.saturating_sub(seen.at) < PATIENCE);
        let lowest = recent.map(|seen| seen.number).min();
        let latest = || self.seen.values().max_by_key(|seen| (seen.at, seen.number)).map(|seen| seen.number);
        let never = || (now.saturating_sub(self.since) < PATIENCE).then_some(0);
        lowest.or_else(latest).or_else(never)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who was served what at which second; then what holds at further seconds.
    fn check(served: &[(&str, u64, u64)], expected: &[(u64, Option<u64>)]) {
        let mut scrapers = Scrapers::new(Nanos::from_secs(1_000));
        for (who, number, at) in served {
            scrapers.served(who.parse().unwrap(), *number, Nanos::from_secs(*at));
        }
        for (at, number) in expected {
            assert_eq!(scrapers.acknowledged(Nanos::from_secs(*at)), *number, "{served:?} at {at}");
        }
    }

    #[test]
    fn one_that_never_came_is_given_ten_minutes() {
        check(&[], &[(1_000, Some(0)), (1_599, Some(0)), (1_600, None), (9_999, None)]);
    }

    #[test]
    fn what_the_slowest_of_the_last_ten_minutes_has_is_what_all_have() {
        let both = [("10.0.0.1", 5, 2_000), ("10.0.0.2", 9, 2_300)];
        check(&both, &[(2_300, Some(5)), (2_599, Some(5)), (2_600, Some(9))]);
        check(&[both[0], ("10.0.0.1", 7, 2_010), both[1]], &[(2_300, Some(7))]);
    }

    #[test]
    fn who_came_last_counts_however_long_ago() {
        let both = [("10.0.0.1", 5, 2_000), ("10.0.0.2", 9, 2_300)];
        check(&both, &[(2_899, Some(9)), (2_900, Some(9)), (1_000_000, Some(9))]);
        check(&[("10.0.0.1", 5, 2_000)], &[(1_000_000, Some(5))]);
    }

    #[test]
    fn one_who_comes_late_is_waited_for_from_then_on() {
        check(&[("::1", 0, 50_000)], &[(50_001, Some(0))]);
    }

    #[test]
    fn an_address_is_one_scraper_in_both_its_forms_and_what_it_has_does_not_fall() {
        check(&[("10.0.0.1", 5, 2_000), ("::ffff:10.0.0.1", 4, 2_001)], &[(2_002, Some(5))]);
    }

    #[test]
    fn who_was_seen_the_longest_ago_makes_room() {
        let mut scrapers = Scrapers::new(Nanos(0));
        for number in 0..1_000_u32 {
            let at = Nanos::from_millis(u64::from(number));
            scrapers.served(IpAddr::V4(number.into()), u64::from(number), at);
        }
        assert_eq!(scrapers.seen.len(), MOST);
        assert_eq!(scrapers.acknowledged(Nanos::from_secs(1)), Some(1_000 - MOST as u64));
    }
}
