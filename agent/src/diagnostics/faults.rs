//! Faults that come again: said once, then counted. Pure, without a clock; who says them is elsewhere.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

/// Different texts of one fault that are said before it ends: a text with a changing number in it must not flood.
pub const MOST_TEXTS: usize = 8;

/// What to do about a fault that was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// Say its text: it is the first, or another than before.
    Text,
    /// It was said, or enough was: it is counted.
    Nothing,
}

/// All faults by name: which last, and how often each happened.
#[derive(Clone, Debug, Default)]
pub struct Faults(BTreeMap<Cow<'static, str>, Fault>);

#[derive(Clone, Debug, Default)]
struct Fault {
    /// Since the beginning.
    count: u64,
    /// Since it was last over.
    lasting: u64,
    /// Hashes of what was said meanwhile: texts may be long, and there may be many faults.
    said: BTreeSet<u64>,
}

impl Faults {
    /// The fault `name` happened, and `text` tells what.
    #[must_use = "a fault that nobody says is lost"]
    pub fn raise(&mut self, name: impl Into<Cow<'static, str>>, text: &str) -> Say {
        let fault = self.0.entry(name.into()).or_default();
        fault.count = fault.count.saturating_add(1);
        fault.lasting = fault.lasting.saturating_add(1);
        let is_new = fault.said.len() < MOST_TEXTS && fault.said.insert(hash(text));
        if is_new { Say::Text } else { Say::Nothing }
    }

    /// What `name` is about works: how often it did not since it last did, or `None` if it worked all along.
    #[must_use = "who was told of a fault wants to know that it is over"]
    pub fn clear(&mut self, name: &str) -> Option<u64> {
        let fault = self.0.get_mut(name).filter(|fault| fault.lasting > 0)?;
        fault.said.clear();
        Some(std::mem::take(&mut fault.lasting))
    }

    /// How often a fault happened since the beginning.
    pub fn count(&self, name: &str) -> u64 {
        self.0.get(name).map_or(0, |fault| fault.count)
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_said_once_and_its_repeats_are_counted() {
        let mut faults = Faults::default();
        assert_eq!(faults.raise("disk", "the disk is full"), Say::Text);
        assert_eq!(faults.raise("disk", "the disk is full"), Say::Nothing);
        assert_eq!(faults.raise("disk", "the disk is full"), Say::Nothing);
        assert_eq!((faults.count("disk"), faults.count("export")), (3, 0));
    }

    #[test]
    fn another_text_of_the_same_fault_is_said_too() {
        let mut faults = Faults::default();
        assert_eq!(faults.raise("disk", "full"), Say::Text);
        assert_eq!(faults.raise("disk", "read-only"), Say::Text);
        assert_eq!(faults.raise("disk", "full"), Say::Nothing);
    }

    #[test]
    fn texts_without_end_are_said_up_to_a_bound() {
        let mut faults = Faults::default();
        let said = (0..100).filter(|at| faults.raise("export", &format!("try {at}")) == Say::Text).count();
        assert_eq!(said, MOST_TEXTS);
        assert_eq!(faults.count("export"), 100);
    }

    #[test]
    fn recovery_says_how_often_and_a_new_fault_is_said_again() {
        let mut faults = Faults::default();
        assert_eq!(faults.clear("disk"), None);
        for _ in 0..3 {
            let _said = faults.raise("disk", "full");
        }
        assert_eq!(faults.clear("disk"), Some(3));
        assert_eq!(faults.clear("disk"), None);
        assert_eq!(faults.raise("disk", "full"), Say::Text);
        assert_eq!(faults.clear("disk"), Some(1));
        assert_eq!(faults.count("disk"), 4);
    }

    #[test]
    fn faults_do_not_know_of_each_other() {
        let mut faults = Faults::default();
        assert_eq!(faults.raise("disk", "full"), Say::Text);
        assert_eq!(faults.raise("export", "full"), Say::Text);
        assert_eq!(faults.clear("disk"), Some(1));
        assert_eq!(faults.raise("export", "full"), Say::Nothing);
        assert_eq!((faults.count("disk"), faults.count("export")), (1, 2));
    }
}
