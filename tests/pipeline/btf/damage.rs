//! Damaged blobs: nothing panics and every search ends, whatever the bytes say.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use wattrace::probes::bpf::btf::Btf;
use wattrace::probes::bpf::layout::resolve;

use super::{extracts, first_error};

/// One damage.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    /// A word, most of them with a meaning: ids, lengths, infos.
    Word(Index, u32),
    Cut(Index),
    /// A section of this or another kernel over some place.
    Splice(Index, Index, Index, usize),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    let words = prop_oneof![
        select(vec![0, 1, 2, 3, 12, 24, 32, 0x7f, 0xff, 0xffff, 0xff_ffff, 0x7fff_ffff, u32::MAX]),
        0..400_u32,
        (0..20_u32, 0..2_u32, 0..300_u32).prop_map(|(kind, flag, count)| flag << 31 | kind << 24 | count),
        any::<u32>(),
    ];
    prop_oneof![
        4 => (any::<Index>(), 1..=u8::MAX).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        8 => (any::<Index>(), words).prop_map(|(at, word)| Damage::Word(at, word)),
        1 => any::<Index>().prop_map(Damage::Cut),
        2 => (any::<Index>(), any::<Index>(), any::<Index>(), 1..600_usize)
            .prop_map(|(kernel, from, to, len)| Damage::Splice(kernel, from, to, len)),
        1 => (any::<Index>(), 1..64_usize).prop_map(|(at, len)| Damage::Remove(at, len)),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..64)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
    ]
}

fn apply(damage: &Damage, bytes: &mut Vec<u8>, kernels: &[(String, Vec<u8>)]) {
    let len = bytes.len();
    if len == 0 {
        return;
    }
    match damage {
        Damage::Flip(at, bits) => bytes[at.index(len)] ^= bits,
        Damage::Word(at, word) => {
            // Types are aligned to words.
            let at = at.index(len) & !3;
            bytes.iter_mut().skip(at).zip(word.to_le_bytes()).for_each(|(byte, new)| *byte = new);
        }
        Damage::Cut(at) => bytes.truncate(at.index(len)),
        Damage::Splice(kernel, from, to, count) => {
            let (_, other) = kernel.get(kernels);
            let source = other.iter().skip(from.index(other.len()) & !3).take(*count);
            bytes.iter_mut().skip(to.index(len) & !3).zip(source).for_each(|(byte, new)| *byte = *new);
        }
        Damage::Remove(at, count) => drop(bytes.drain(at.index(len)..len.min(at.index(len) + count))),
        Damage::Insert(at, new) => drop(bytes.splice(at.index(len)..at.index(len), new.iter().copied())),
    }
}

/// Asks a blob everything there is to ask.
fn ask(bytes: &[u8]) {
    let Ok(btf) = Btf::parse(bytes) else { return };
    let layouts = resolve(&btf);
    let _message = first_error(&layouts).map(ToString::to_string);
    for id in 0..=btf.len() {
        let Some(ty) = btf.get(id) else { continue };
        let _name = btf.name(ty.name);
        for member in ty.members() {
            let _name = btf.name(member.name);
        }
        let _rest = (ty.params().count(), ty.array(), ty.int());
    }
    // A member that is not there makes the search visit all of a struct; each search passes over all types.
    for id in (1..=btf.len()).step_by(usize::try_from(btf.len() / 4 + 1).unwrap()) {
        let name = btf.get(id).and_then(|ty| btf.name(ty.name)).unwrap_or_default();
        let _member = btf.member(name, "a.b");
        let _args = btf.tracepoint_args(name);
    }
}

#[test]
fn the_fuzzers_corpus_is_read_to_an_end() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/btf");
    let inputs: Vec<_> = fs::read_dir(corpus).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(inputs.iter().any(|bytes| Btf::parse(bytes).is_ok_and(|btf| resolve(&btf).sched.is_ok())));
    for bytes in &inputs {
        ask(bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_makes_the_reader_panic(kernel in any::<Index>(), damages in prop::collection::vec(damage(), 1..24)) {
        let kernels = kernels();
        let mut bytes = kernel.get(kernels).1.clone();
        for damage in &damages {
            apply(damage, &mut bytes, kernels);
        }
        ask(&bytes);
    }

    #[test]
    fn types_that_refer_to_others_at_random_are_searched_to_an_end(
        kernel in any::<Index>(),
        words in prop::collection::vec((any::<Index>(), any::<Index>(), 0..3_usize), 1..200),
    ) {
        let mut bytes = kernel.get(kernels()).1.clone();
        let count = Btf::parse(&bytes).unwrap().len();
        retarget(&mut bytes, &words, count);
        prop_assert_eq!(Btf::parse(&bytes).map(|btf| btf.len()), Ok(count));
        ask(&bytes);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        ask(&bytes);
        let mut framed = [0x9f, 0xeb, 1, 0, 24, 0, 0, 0].to_vec();
        framed.extend(bytes);
        ask(&framed);
    }
}

fn kernels() -> &'static [(String, Vec<u8>)] {
    static KERNELS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(extracts);
    &KERNELS
}

/// Makes types refer to others at random: cycles, nesting and members of any kind, while the blob stays whole.
fn retarget(bytes: &mut [u8], words: &[(Index, Index, usize)], count: u32) {
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let end = 24 + word(bytes, 12) as usize;
    for (at, target, what) in words {
        // A word below the count that is no info (those have a kind in the top byte) may be an id, a name or a size.
        let at = 24 + (at.index(end - 24) & !3);
        let old = word(bytes, at);
        if old <= count && (24..end).contains(&at) {
            let new = if *what == 0 { 0 } else { u32::try_from(target.index(count as usize)).unwrap() };
            bytes[at..at + 4].copy_from_slice(&new.to_le_bytes());
        }
    }
}
