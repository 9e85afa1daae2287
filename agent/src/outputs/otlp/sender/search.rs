//! Finds the Resource for which a whole request is refused, by halves. Pure.
//!
//! A half that is taken has arrived and is not sent again; halves of which nothing is known wait and are sent together
//! once the culprit is out. One culprit among a thousand costs eleven requests.

use super::Chunk;

/// More requests are not spent on one chunk.
const BUDGET: u32 = 16;

enum Asked {
    Half(Chunk, Chunk),
    Rest(Chunk),
}

pub(super) struct Search {
    /// Holds at least one culprit.
    suspect: Option<Chunk>,
    /// May hold more.
    unknown: Option<Chunk>,
    asked: Option<Asked>,
    budget: u32,
    found: u64,
    unsearched: u64,
}

impl Search {
    /// Starts with a chunk that was refused.
    pub(super) fn new(chunk: Chunk) -> Self {
        Self { suspect: Some(chunk), unknown: None, asked: None, budget: BUDGET, found: 0, unsearched: 0 }
    }

    /// What to send next; nothing when the search is over.
    pub(super) fn probe(&mut self) -> Option<Chunk> {
        if let Some(suspect) = self.suspect.take() {
            match suspect.split() {
                None => self.found = self.found.saturating_add(suspect.points),
                Some(_) if self.budget == 0 => self.unsearched = self.unsearched.saturating_add(suspect.points),
                Some((half, other)) => return Some(self.ask(half.clone(), Asked::Half(half, other))),
            }
        }
        let rest = self.unknown.take()?;
        if self.budget == 0 {
            self.unsearched = self.unsearched.saturating_add(rest.points);
            return None;
        }
        Some(self.ask(rest.clone(), Asked::Rest(rest)))
    }

    fn ask(&mut self, probe: Chunk, asked: Asked) -> Chunk {
        self.budget = self.budget.saturating_sub(1);
        self.asked = Some(asked);
        probe
    }

    /// The last probe arrived.
    pub(super) fn taken(&mut self) {
        if let Some(Asked::Half(_, other)) = self.asked.take() {
            self.suspect = Some(other);
        }
    }

    /// The last probe was refused.
    pub(super) fn refused(&mut self) {
        match self.asked.take() {
            Some(Asked::Half(half, other)) => {
                self.suspect = Some(half);
                self.unknown = Some(match self.unknown.take() {
                    Some(unknown) => other.join(&unknown),
                    None => other,
                });
            }
            Some(Asked::Rest(rest)) => self.suspect = Some(rest),
            None => {}
        }
    }

    /// Points of the culprits.
    pub(super) fn found(&self) -> u64 {
        self.found
    }

    /// Points that were not sent because the requests ran out.
    pub(super) fn unsearched(&self) -> u64 {
        self.unsearched
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::otlp::chunk::tests::named as chunk;

    /// Searches among `count` Resources of one point; those at `bad` are refused. Points that arrived, and requests.
    fn search(count: usize, bad: &[usize]) -> (u64, u32, Search) {
        let names: Vec<_> = (0..count).map(|index| if bad.contains(&index) { "bad" } else { "ok" }).collect();
        let mut search = Search::new(chunk(&names.iter().map(|name| (*name, 1)).collect::<Vec<_>>()));
        let (mut arrived, mut requests) = (0, 0);
        while let Some(probe) = search.probe() {
            requests += 1;
            if probe.bytes.windows(3).any(|window| window == b"bad") {
                search.refused();
            } else {
                arrived += probe.points;
                search.taken();
            }
        }
        (arrived, requests, search)
    }

    #[test]
    fn one_culprit_is_found_wherever_it_is() {
        for count in [1, 2, 3, 7, 64, 1500] {
            for bad in [0, count / 3, count / 2, count - 1] {
                let (arrived, requests, search) = search(count, &[bad]);
                assert_eq!((arrived, search.found()), (count as u64 - 1, 1), "{bad} of {count}");
                assert!(requests <= 12, "{requests} for {bad} of {count}");
            }
        }
    }

    #[test]
    fn several_culprits_are_found_within_the_budget() {
        let (arrived, _, search) = search(16, &[3, 12]);
        assert_eq!((arrived, search.found(), search.unsearched()), (14, 2, 0));
    }

    #[test]
    fn the_budget_holds_and_what_is_left_is_counted() {
        let all: Vec<_> = (0..300).collect();
        let (arrived, requests, search) = search(300, &all);
        assert_eq!((arrived, requests), (0, BUDGET));
        assert_eq!(search.found() + search.unsearched(), 300);
    }
}
