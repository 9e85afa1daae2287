//! Other ids of the same shape, so that no rule can know the vectors' own.

use std::collections::BTreeMap;

use super::proc_path;

/// Replaces ids by fresh ones of the same shape: the same id by the same one wherever it stands.
pub(super) struct Fresh {
    state: u64,
    known: BTreeMap<String, String>,
}

impl Fresh {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed, known: BTreeMap::new() }
    }

    /// The generator `SplitMix64`.
    fn next(&mut self, below: u32) -> u32 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(below)).unwrap()
    }

    /// The numbers of hierarchies are no ids.
    pub(super) fn rename_column(&mut self, column: usize, text: &str) -> String {
        if column != 1 {
            return if column == 0 || column == 2 || column == 3 { text.to_owned() } else { self.rename(text) };
        }
        let lines = text.split("\\n").map(|line| {
            let path = proc_path(line).expect("a line of a proc file");
            line[..line.len() - path.len()].to_owned() + &self.rename(path)
        });
        lines.collect::<Vec<_>>().join("\\n")
    }

    fn rename(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let word_end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let taken = if rest.starts_with("\\x") {
                4
            } else if rest.strip_prefix("pod").is_some_and(|id| id.starts_with(|c: char| c.is_ascii_hexdigit())) {
                3
            } else if let Some(groups) = uuid_at(rest) {
                groups
            } else {
                word_end.max(1)
            };
            let (word, tail) = rest.split_at(taken);
            out += &self.word(word);
            rest = tail;
        }
        out
    }

    fn word(&mut self, word: &str) -> String {
        if uuid_at(word).is_some() {
            return word.split_inclusive(['-', '_']).map(|group| self.fresh(group)).collect();
        }
        let is_number = word.bytes().all(|b| b.is_ascii_digit());
        let is_id = word.len() >= 16 && word.bytes().any(|b| b.is_ascii_digit());
        if is_number || is_id { self.fresh(word) } else { word.to_owned() }
    }

    fn fresh(&mut self, word: &str) -> String {
        let key = word.trim_end_matches(['-', '_']);
        let dash = &word[key.len()..];
        if let Some(known) = self.known.get(key) {
            return known.clone() + dash;
        }
        let is_number = key.bytes().all(|b| b.is_ascii_digit());
        let digits = if is_number { 10 } else { 16 };
        let fresh: String = key
            .char_indices()
            .map(|(i, c)| match (c, i) {
                // A number's first digit: zero stays, others stay others.
                ('1'..='9', 0) if is_number => char::from_digit(1 + self.next(9), 10).unwrap(),
                ('0'..='9' | 'a'..='f', _) => char::from_digit(self.next(digits), 16).unwrap(),
                _ => c,
            })
            .collect();
        self.known.insert(key.to_owned(), fresh.clone());
        fresh + dash
    }
}

/// Bytes of the UUID or Garden handle with which `text` begins.
fn uuid_at(text: &str) -> Option<usize> {
    ['-', '_'].into_iter().find_map(|dash| {
        let end = text.find(|c: char| !c.is_ascii_hexdigit() && c != dash).unwrap_or(text.len());
        let lengths: Vec<usize> = text[..end].split(dash).map(str::len).collect();
        matches!(lengths[..], [8, 4, 4, 4, 12 | 4]).then_some(end)
    })
}

#[test]
fn renaming_keeps_shapes_and_repeats_itself() {
    let mut fresh = Fresh::new(7);
    let renamed = fresh.rename("/user-1000.slice/eb93da3f_4853_4918_aec3_5d6bcd672d88/x\\x2d17\\x2dy");
    assert_ne!(renamed, "/user-1000.slice/eb93da3f_4853_4918_aec3_5d6bcd672d88/x\\x2d17\\x2dy");
    assert_eq!(renamed.len(), "/user-1000.slice/eb93da3f_4853_4918_aec3_5d6bcd672d88/x\\x2d17\\x2dy".len());
    assert!(renamed.starts_with("/user-") && renamed.ends_with("\\x2dy") && renamed.contains("x\\x2d"));
    let dashes = fresh.rename("eb93da3f-4853-4918-aec3-5d6bcd672d88");
    assert!(renamed.contains(&dashes.replace('-', "_")));
}
