//! A part of a snapshot that is sent as one request, and how it is cut again when a receiver finds it too
//! large or refuses something in it.

use bytes::Bytes;

/// An `ExportMetricsServiceRequest` as protobuf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The message: one `ResourceMetrics` after the other.
    pub bytes: Bytes,
    /// Data points in it.
    pub points: u64,
    /// The `ResourceMetrics` within `bytes`, in their order, without gaps.
    pub resources: Vec<Span>,
}

/// One entity's `ResourceMetrics` within a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index of the entity in the snapshot.
    pub entity: usize,
    /// Bytes, tag and length included.
    pub len: usize,
    /// Data points.
    pub points: u64,
}

impl Chunk {
    /// Two chunks that together hold the same, each a valid request, about equally large; nothing when there
    /// is only one entity. The bytes are shared, not copied.
    pub fn split(&self) -> Option<(Self, Self)> {
        let last = self.resources.len().checked_sub(1).filter(|last| *last > 0)?;
        let mut ends = self.resources.iter().scan(0, |end, span| {
            *end += span.len;
            Some(*end)
        });
        let is_over = |end: usize| end.saturating_mul(2) >= self.bytes.len();
        // The resource that reaches the middle goes to the first half, unless nothing would be left.
        let cut = ends.position(is_over).map_or(last, |middle| (middle + 1).min(last));
        let (first, second) = self.resources.split_at_checked(cut)?;
        let at: usize = first.iter().map(|span| span.len).sum();
        let bytes = self.bytes.get(..at).map(|_| (self.bytes.slice(..at), self.bytes.slice(at..)))?;
        Some((Self::of(bytes.0, first.to_vec()), Self::of(bytes.1, second.to_vec())))
    }

    /// Both in one request, this one first.
    pub fn join(self, other: &Self) -> Self {
        let bytes = [self.bytes, other.bytes.clone()].concat();
        let resources = self.resources.into_iter().chain(other.resources.iter().copied());
        Self::of(bytes.into(), resources.collect())
    }

    /// A chunk of encoded resources.
    pub fn of(bytes: Bytes, resources: Vec<Span>) -> Self {
        Self { bytes, points: resources.iter().map(|span| span.points).sum(), resources }
    }
}

#[cfg(test)]
pub(super) mod tests {
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
    pub(in crate::outputs::otlp) fn named(resources: &[(&str, u64)]) -> Chunk {
        let mut bytes = Vec::new();
        let mut spans = Vec::new();
        for (entity, (name, points)) in resources.iter().enumerate() {
            let resource = resource(name, *points);
            spans.push(Span { entity, len: resource.len(), points: *points });
            bytes.extend(resource);
        }
        Chunk::of(bytes.into(), spans)
    }

    #[test]
    fn halves_of_requests_are_requests_and_joined_they_are_the_whole() {
        let whole = named(&[("a", 1), ("b", 2), ("c", 3)]);
        let (left, right) = whole.split().unwrap();
        assert_eq!(left.points + right.points, 6);
        assert_eq!(left.join(&right), whole);
    }

    fn chunk(lens: &[usize]) -> Chunk {
        let mut bytes = Vec::new();
        let mut resources = Vec::new();
        for (entity, len) in lens.iter().enumerate() {
            bytes.resize(bytes.len() + len, u8::try_from(entity).unwrap());
            resources.push(Span { entity, len: *len, points: 1 << entity });
        }
        Chunk::of(bytes.into(), resources)
    }

    fn halves(lens: &[usize]) -> Option<(usize, usize)> {
        chunk(lens).split().map(|(first, second)| (first.resources.len(), second.resources.len()))
    }

    #[test]
    fn the_cut_is_near_the_middle_and_leaves_two() {
        assert_eq!(halves(&[]), None);
        assert_eq!(halves(&[5]), None);
        assert_eq!(halves(&[5, 5]), Some((1, 1)));
        assert_eq!(halves(&[1, 9]), Some((1, 1)));
        assert_eq!(halves(&[9, 1]), Some((1, 1)));
        assert_eq!(halves(&[9, 1, 1]), Some((1, 2)));
        assert_eq!(halves(&[1, 1, 9]), Some((2, 1)));
        assert_eq!(halves(&[4, 4, 4, 4]), Some((2, 2)));
    }

    #[test]
    fn halves_hold_their_own_bytes_and_points() {
        let (first, second) = chunk(&[2, 2, 3]).split().unwrap();
        assert_eq!((&first.bytes[..], first.points), (&[0, 0, 1, 1][..], 3));
        assert_eq!((&second.bytes[..], second.points, second.resources[0].entity), (&[2, 2, 2][..], 4, 2));
    }
}
