use proptest::prelude::*;

use super::*;

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("small");
    assert!(length < 0x80, "one byte of length");
    [&[number << 3 | 2, length], content].concat()
}

/// A Resource with `points` points in one sum and a name to tell it by.
fn resource(name: &str, points: u64) -> Vec<u8> {
    let data: Vec<u8> = (0..points).flat_map(|_| field(1, b"")).collect();
    let metric = [field(1, b"m"), field(7, &data)].concat();
    let scope = field(2, &metric);
    field(1, &[field(1, name.as_bytes()), field(2, &scope)].concat())
}

/// A chunk of Resources, each with a name and a number of points.
pub(in crate::outputs::otlp) fn chunk(resources: &[(&str, u64)]) -> Chunk {
    let mut chunk = Chunk::default();
    let mut bytes = Vec::new();
    for (name, points) in resources {
        let start = bytes.len();
        bytes.extend(resource(name, *points));
        chunk.parts.push(start..bytes.len());
        chunk.points += points;
    }
    chunk.bytes = bytes.into();
    chunk
}

#[test]
fn halves_are_requests_of_their_own() {
    let (left, right) = chunk(&[("a", 1), ("b", 2), ("c", 3)]).split().unwrap();
    assert_eq!(left, chunk(&[("a", 1)]));
    assert_eq!(right, chunk(&[("b", 2), ("c", 3)]));
}

#[test]
fn one_resource_is_not_cut() {
    assert_eq!(chunk(&[("a", 5)]).split(), None);
    assert_eq!(Chunk::default().split(), None);
}

#[test]
fn joining_moves_the_parts() {
    let joined = chunk(&[("a", 1)]).join(&chunk(&[("b", 2), ("c", 0)]));
    assert_eq!(joined, chunk(&[("a", 1), ("b", 2), ("c", 0)]));
}

#[test]
fn a_wrong_range_costs_its_part_alone() {
    let mut broken = chunk(&[("a", 1), ("b", 2)]);
    broken.parts[1].end += 1;
    let (left, right) = broken.split().unwrap();
    assert_eq!((left.points, right.points, right.bytes.len()), (1, 2, 0));
}

proptest! {
    #[test]
    fn splitting_loses_nothing(points in prop::collection::vec(0_u64..9, 2..40)) {
        let resources: Vec<_> = points.iter().map(|points| ("r", *points)).collect();
        let whole = chunk(&resources);
        let (left, right) = whole.split().unwrap();
        prop_assert_eq!(count(&whole.bytes), whole.points);
        prop_assert_eq!(count(&left.bytes), left.points);
        prop_assert_eq!(count(&right.bytes), right.points);
        prop_assert_eq!(left.join(&right), whole);
    }
}
