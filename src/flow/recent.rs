//! The latest delivered bytes of the streams of one shard, to compare retransmissions with, however they are segmented.
//!
//! One ring holds the deliveries of all streams, so that nothing is allocated in steady state and a silent stream costs
//! nothing. Each record refers to the previous one of its stream. Overwritten records are recognised by their position.

use super::sequence::distance;

/// The ring of one shard.
#[derive(Debug)]
pub struct RecentBytes {
    ring: Box<[u8]>,
    /// Bytes written since the start, padding at the end of the ring included. Starts at `capacity`, so that no record has
    /// position 0.
    end: u64,
    /// `end` modulo `capacity`, kept to avoid a division for each delivery.
    place: usize,
    capacity: usize,
}

/// One delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Position of the previous record of the same stream; 0 for none.
    pub(super) previous: u64,
    /// Sequence number of its first byte.
    pub(super) sequence: u32,
    /// Origin of its packet: see [`lockkeeper_protocols::Stamp`].
    pub(super) origin: u64,
    pub(super) bytes: &'a [u8],
}

impl RecentBytes {
    /// A ring of `capacity` bytes, allocated with the first delivery.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(SMALLEST, LARGEST);
        Self { ring: Box::default(), end: capacity as u64, place: 0, capacity }
    }

    /// Stores a delivery and returns its position. Of a delivery longer than half the ring, only the end is stored.
    pub(super) fn append(&mut self, previous: u64, sequence: u32, origin: u64, bytes: &[u8]) -> u64 {
        // Nearly all deliveries fit after the previous one.
        if bytes.len() <= self.longest()
            && let Some(room) = self.ring.get_mut(self.place..self.place + HEADER + bytes.len())
            && let Some((header, room)) = room.split_first_chunk_mut::<HEADER>()
        {
            *header = written(previous, origin, sequence, bytes.len() as u32);
            room.copy_from_slice(bytes);
            return self.advance(bytes.len());
        }
        self.append_elsewhere(previous, sequence, origin, bytes)
    }

    /// [`RecentBytes::append`] at the start of the ring, for the first delivery, or for a long one.
    #[inline(never)]
    fn append_elsewhere(&mut self, previous: u64, sequence: u32, origin: u64, bytes: &[u8]) -> u64 {
        if self.ring.is_empty() {
            self.allocate();
        }
        let kept = bytes.len().min(self.longest());
        let skipped = bytes.len() - kept;
        if self.place + HEADER + kept > self.capacity {
            self.end += (self.capacity - self.place) as u64;
            self.place = 0;
        }
        if let Some(room) = self.ring.get_mut(self.place..self.place + HEADER + kept)
            && let Some((header, room)) = room.split_first_chunk_mut::<HEADER>()
            && let Some(last) = bytes.get(skipped..)
        {
            *header = written(previous, origin, sequence.wrapping_add(skipped as u32), kept as u32);
            room.copy_from_slice(last);
        }
        self.advance(kept)
    }

    /// Moves `end` and the ring index `place` past a record with `length` bytes; returns the position of the record.
    fn advance(&mut self, length: usize) -> u64 {
        let position = self.end;
        self.end += (HEADER + length) as u64;
        self.place += HEADER + length;
        position
    }

    /// Most bytes of one delivery that are stored.
    fn longest(&self) -> usize {
        self.capacity / 2 - HEADER
    }

    /// Allocates the ring, with the first delivery.
    fn allocate(&mut self) {
        self.ring = vec![0; self.capacity].into();
    }

    /// The record at a position, unless it was overwritten.
    fn get(&self, position: u64) -> Option<Record<'_>> {
        if position == 0 || self.end - position > self.capacity as u64 {
            return None;
        }
        let place = (position % self.capacity as u64) as usize;
        let (header, rest) = self.ring.get(place..)?.split_first_chunk::<HEADER>()?;
        let (record, length) = read(header);
        Some(Record { bytes: rest.get(..length)?, ..record })
    }

    /// The records of the stream whose last one is at `last`, newest first.
    pub(super) fn of_stream(&self, last: u64) -> impl Iterator<Item = Record<'_>> {
        let mut next = last;
        std::iter::from_fn(move || {
            let record = self.get(next)?;
            next = record.previous;
            Some(record)
        })
    }

    /// The known bytes from sequence number `first` up to `end` of the stream whose last record is at `last`.
    pub(super) fn stretch(&self, last: u64, first: u32, end: u32) -> Stretch {
        let length = u32::try_from(distance(end, first)).unwrap_or(0) as usize;
        let mut stretch = Stretch { first, bytes: vec![0; length], known: vec![false; length] };
        for record in self.of_stream(last) {
            stretch.fill(&record);
        }
        stretch
    }
}

/// A range of a stream, of which some bytes may be unknown.
#[derive(Debug)]
pub(super) struct Stretch {
    /// Sequence number of its first byte.
    first: u32,
    bytes: Vec<u8>,
    known: Vec<bool>,
}

impl Stretch {
    /// Copies those bytes of a record that are not known yet. Records come newest first, and the newest counts.
    fn fill(&mut self, record: &Record<'_>) {
        let start = distance(record.sequence, self.first);
        for (offset, byte) in (start..).zip(record.bytes) {
            let place = usize::try_from(offset).ok();
            if let Some(place) = place.filter(|place| self.known.get(*place) == Some(&false)) {
                (self.bytes[place], self.known[place]) = (*byte, true);
            }
        }
    }

    /// The known bytes that end just before offset `at`.
    pub(super) fn before(&self, at: usize) -> &[u8] {
        let run = self.known.get(..at).unwrap_or_default().iter().rev().take_while(|known| **known).count();
        self.bytes.get(at - run..at).unwrap_or_default()
    }

    /// The known bytes that start at offset `at`.
    pub(super) fn starting_at(&self, at: usize) -> &[u8] {
        let run = self.known.get(at..).unwrap_or_default().iter().take_while(|known| **known).count();
        self.bytes.get(at..at + run).unwrap_or_default()
    }

    /// The known bytes around and including the range from `at` to `end`. In two parts if not all of the range is known.
    pub(super) fn around(&self, at: usize, end: usize) -> [&[u8]; 2] {
        let (before, from) = (self.before(at), self.starting_at(at));
        if from.len() >= end - at {
            [self.bytes.get(at - before.len()..at + from.len()).unwrap_or_default(), &[]]
        } else {
            [before, self.starting_at(end)]
        }
    }

    /// Its length, bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Previous record, origin (8 bytes each), sequence number, length (4 each).
const HEADER: usize = 24;
/// Smallest and largest ring, bytes.
const SMALLEST: usize = 1024;
const LARGEST: usize = 1 << 30;

/// Encodes a header.
fn written(previous: u64, origin: u64, sequence: u32, length: u32) -> [u8; HEADER] {
    let [p0, p1, p2, p3, p4, p5, p6, p7] = previous.to_ne_bytes();
    let [o0, o1, o2, o3, o4, o5, o6, o7] = origin.to_ne_bytes();
    let ([s0, s1, s2, s3], [l0, l1, l2, l3]) = (sequence.to_ne_bytes(), length.to_ne_bytes());
    [p0, p1, p2, p3, p4, p5, p6, p7, o0, o1, o2, o3, o4, o5, o6, o7, s0, s1, s2, s3, l0, l1, l2, l3]
}

/// Decodes a header: a record without its bytes, and the number of these.
fn read(header: &[u8; HEADER]) -> (Record<'static>, usize) {
    let &[p0, p1, p2, p3, p4, p5, p6, p7, o0, o1, o2, o3, o4, o5, o6, o7, s0, s1, s2, s3, l0, l1, l2, l3] = header;
    let previous = u64::from_ne_bytes([p0, p1, p2, p3, p4, p5, p6, p7]);
    let origin = u64::from_ne_bytes([o0, o1, o2, o3, o4, o5, o6, o7]);
    let sequence = u32::from_ne_bytes([s0, s1, s2, s3]);
    (Record { previous, sequence, origin, bytes: &[] }, u32::from_ne_bytes([l0, l1, l2, l3]) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stream_has_its_own_records_newest_first() {
        let mut recent = RecentBytes::new(SMALLEST);
        let first = recent.append(0, 100, 7, b"one");
        let other = recent.append(0, 100, 8, b"another");
        let second = recent.append(first, 103, 9, b"two");
        let of = |last| recent.of_stream(last).map(|record| (record.sequence, record.origin, record.bytes)).collect();
        let (own, others): (Vec<_>, Vec<_>) = (of(second), of(other));
        assert_eq!(own, [(103, 9, &b"two"[..]), (100, 7, &b"one"[..])]);
        assert_eq!(others, [(100, 8, &b"another"[..])]);
        assert_eq!(recent.of_stream(0).count(), 0);
    }

    #[test]
    fn overwritten_records_are_no_longer_known() {
        let mut recent = RecentBytes::new(SMALLEST);
        let mut last = 0;
        for number in 0..1_000_u32 {
            last = recent.append(last, number * 10, number.into(), &number.to_be_bytes());
            let known: Vec<_> = recent.of_stream(last).collect();
            assert!(known.len() * (HEADER + 4) <= SMALLEST);
            for (age, record) in (0_u32..).zip(&known) {
                let of = number - age;
                assert_eq!((record.sequence, record.bytes), (of * 10, &of.to_be_bytes()[..]));
            }
            assert!(number < 30 || known.len() >= 30, "nearly all of the ring is used");
        }
    }

    #[test]
    fn of_a_long_delivery_the_end_is_kept() {
        let mut recent = RecentBytes::new(SMALLEST);
        let last = recent.append(0, 0, 0, &[5; 2 * SMALLEST]);
        let record = recent.of_stream(last).next().expect("the end");
        assert_eq!(record.sequence as usize + record.bytes.len(), 2 * SMALLEST);
        assert_eq!(record.bytes.len(), SMALLEST / 2 - HEADER);
    }

    #[test]
    fn a_stretch_has_all_known_bytes() {
        let mut recent = RecentBytes::new(SMALLEST);
        let first = recent.append(0, u32::MAX - 1, 0, b"ab");
        let last = recent.append(first, 4, 0, b"ef");
        let stretch = recent.stretch(last, u32::MAX - 1, 8);
        assert_eq!(stretch.len(), 10);
        assert_eq!((stretch.before(2), stretch.before(6), stretch.before(8)), (&b"ab"[..], &b""[..], &b"ef"[..]));
        assert_eq!((stretch.starting_at(0), stretch.starting_at(2)), (&b"ab"[..], &b""[..]));
        assert_eq!(stretch.around(2, 6), [&b"ab"[..], b"ef"]);
        assert_eq!(stretch.around(1, 2), [&b"ab"[..], b""]);
    }
}
