//! Segments held until they can be delivered.

use std::collections::VecDeque;

use lockkeeper_protocols::Stamp;

use super::sequence::distance;

/// A segment, or the part of one that was not delivered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// Sequence number of its first byte.
    pub(super) sequence: u32,
    /// Payload length on the wire, in bytes.
    pub(super) length: u32,
    /// A FIN follows the payload.
    pub(super) fin: bool,
    /// Acknowledgement number, if any.
    pub(super) ack: Option<u32>,
    /// Time and origin of its packet.
    pub(super) stamp: Stamp,
    /// Payload as captured; shorter than `length` if cut.
    pub(super) bytes: &'a [u8],
}

impl<'a> Piece<'a> {
    /// Sequence number after its last payload byte.
    pub(super) const fn data_end(&self) -> u32 {
        self.sequence.wrapping_add(self.length)
    }

    /// Sequence number after it; a FIN occupies one (RFC 9293, 3.4).
    pub(super) const fn end(&self) -> u32 {
        self.data_end().wrapping_add(self.fin as u32)
    }

    /// The part at or after `sequence`; `None` if there is none.
    pub(super) fn starting_at(self, sequence: u32) -> Option<Self> {
        if distance(self.end(), sequence) <= 0 {
            return None;
        }
        let Ok(skip @ 1..) = u32::try_from(distance(sequence, self.sequence)) else {
            return Some(self);
        };
        let bytes = self.bytes.get(skip as usize..).unwrap_or_default();
        Some(Self { sequence, length: self.length - skip, bytes, ..self })
    }

    /// Its first `length` bytes, without a FIN.
    fn first(self, length: u32) -> Self {
        let bytes = self.bytes.get(..length as usize).unwrap_or(self.bytes);
        Self { length, bytes, fin: false, ..self }
    }
}

/// Pieces of one direction, sorted, without overlaps; of two pieces for the same bytes, the first is kept. Only the last piece
/// may have a FIN: a FIN with bytes behind it is not the sender's.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pieces: VecDeque<Held>,
    bytes: usize,
}

/// A piece that owns its bytes.
#[derive(Debug)]
pub(super) struct Held {
    sequence: u32,
    length: u32,
    fin: bool,
    ack: Option<u32>,
    stamp: Stamp,
    pub(super) bytes: Box<[u8]>,
}

impl Held {
    pub(super) fn of(piece: Piece<'_>) -> Self {
        let Piece { sequence, length, fin, ack, stamp, bytes } = piece;
        Self { sequence, length, fin, ack, stamp, bytes: bytes.into() }
    }

    pub(super) fn piece(&self) -> Piece<'_> {
        let Self { sequence, length, fin, ack, stamp, ref bytes } = *self;
        Piece { sequence, length, fin, ack, stamp, bytes }
    }
}

/// The result of [`Queue::insert`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Inserted {
    /// The piece had new bytes or a new FIN.
    pub(super) kept: bool,
    /// The piece differs from bytes that were there already.
    pub(super) conflict: bool,
    /// A FIN was dropped because bytes follow it.
    pub(super) false_fin: bool,
}

impl Queue {
    /// The piece that is next in sequence.
    pub(super) fn head(&self) -> Option<Piece<'_>> {
        self.pieces.front().map(Held::piece)
    }

    /// Removes the head and calls `with` on it.
    pub(super) fn pop_head_with<T>(&mut self, with: impl FnOnce(Piece<'_>) -> T) -> Option<T> {
        let head = self.pieces.pop_front()?;
        self.bytes -= head.bytes.len();
        Some(with(head.piece()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Number of pieces.
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Number of payload bytes held.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether `piece` reaches beyond the start of the first held one.
    pub(super) fn overlaps(&self, piece: &Piece<'_>) -> bool {
        self.pieces.front().is_some_and(|head| distance(piece.end(), head.sequence) > 0)
    }

    /// Stores the bytes of `piece` that are not there yet. All sequence numbers of a queue must lie within half of the
    /// sequence space.
    pub(super) fn insert(&mut self, mut piece: Piece<'_>) -> Inserted {
        let mut done = Inserted { false_fin: self.drop_false_fin(&mut piece), ..Inserted::default() };
        if piece.length == 0 && !piece.fin {
            return done;
        }
        let mut at = self.pieces.partition_point(|held| distance(held.piece().end(), piece.sequence) <= 0);
        let mut rest = Some(piece);
        while let Some(piece) = rest {
            let before = self.pieces.get(at).map(|held| (distance(held.sequence, piece.sequence), held.piece()));
            rest = match before {
                Some((..=0, held)) => {
                    done.conflict |= differ(&held, &piece);
                    piece.starting_at(held.end())
                }
                Some((free, held)) if distance(piece.end(), held.sequence) > 0 => {
                    let resume = held.sequence;
                    done.kept = true;
                    self.keep(at, piece.first(free.unsigned_abs().min(piece.length)));
                    piece.starting_at(resume)
                }
                _ => {
                    done.kept = true;
                    self.keep(at, piece);
                    None
                }
            };
            at += 1;
        }
        done
    }

    /// Drops the FIN of the last piece or of a new one, if the other has bytes behind it; returns whether it did.
    fn drop_false_fin(&mut self, piece: &mut Piece<'_>) -> bool {
        let Some(last) = self.pieces.back_mut() else { return false };
        let beyond = distance(piece.data_end(), last.piece().data_end());
        if last.fin && beyond > 0 {
            last.fin = false;
            if last.length == 0 {
                self.pieces.pop_back();
            }
            return true;
        }
        let is_before = piece.fin && beyond < 0;
        piece.fin &= !is_before;
        is_before
    }

    fn keep(&mut self, at: usize, piece: Piece<'_>) {
        self.bytes += piece.bytes.len();
        self.pieces.insert(at, Held::of(piece));
    }
}

/// Whether `new`, which starts inside `old`, differs from it where they overlap.
fn differ(old: &Piece<'_>, new: &Piece<'_>) -> bool {
    let skip = new.sequence.wrapping_sub(old.sequence) as usize;
    old.bytes.get(skip..).unwrap_or_default().iter().zip(new.bytes).any(|(old, new)| old != new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(sequence: u32, bytes: &[u8]) -> Piece<'_> {
        let length = u32::try_from(bytes.len()).expect("short");
        Piece { sequence, length, fin: false, ack: None, stamp: Stamp::default(), bytes }
    }

    fn contents(mut queue: Queue) -> Vec<(u32, Vec<u8>)> {
        std::iter::from_fn(|| queue.pop_head_with(|piece| (piece.sequence, piece.bytes.to_vec()))).collect()
    }

    #[test]
    fn the_first_bytes_win_on_both_sides_of_a_piece() {
        let mut queue = Queue::default();
        queue.insert(piece(12, b"cd"));
        let inserted = queue.insert(piece(10, b"abXXef"));
        assert_eq!(inserted, Inserted { kept: true, conflict: true, false_fin: false });
        assert_eq!(queue.bytes(), 6);
        let expected = [(10, b"ab".to_vec()), (12, b"cd".to_vec()), (14, b"ef".to_vec())];
        assert_eq!(contents(queue), expected);
    }

    #[test]
    fn bytes_that_are_held_already_are_not_held_twice() {
        let mut queue = Queue::default();
        queue.insert(piece(u32::MAX - 1, b"abcd"));
        assert_eq!(queue.insert(piece(0, b"cd")), Inserted::default());
        assert_eq!(queue.insert(piece(u32::MAX, b"X")), Inserted { kept: false, conflict: true, false_fin: false });
        assert_eq!((queue.len(), queue.bytes()), (1, 4));
    }

    #[test]
    fn a_fin_stays_behind_the_last_byte() {
        let mut queue = Queue::default();
        queue.insert(piece(12, b"cd"));
        queue.insert(Piece { fin: true, ..piece(10, b"abcd") });
        assert_eq!(queue.len(), 3);
        queue.pop_head_with(|piece| assert!(!piece.fin));
        queue.pop_head_with(|piece| assert!(!piece.fin));
        queue.pop_head_with(|piece| assert_eq!((piece.sequence, piece.length, piece.fin), (14, 0, true)));
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn a_fin_with_bytes_behind_it_takes_no_byte_away() {
        let fin = |sequence| Piece { fin: true, ..piece(sequence, b"") };
        let mut queue = Queue::default();
        queue.insert(fin(12));
        assert_eq!(queue.insert(piece(10, b"abcdef")), Inserted { kept: true, conflict: false, false_fin: true });
        assert_eq!(queue.insert(fin(14)), Inserted { kept: false, conflict: false, false_fin: true });
        assert_eq!(queue.insert(fin(16)), Inserted { kept: true, ..Inserted::default() });
        assert_eq!(contents(queue), [(10, b"abcdef".to_vec()), (16, b"".to_vec())]);
    }

    #[test]
    fn a_cut_piece_is_trimmed_by_its_length_on_the_wire() {
        let cut = Piece { length: 6, ..piece(10, b"ab") };
        let rest = cut.starting_at(13).expect("three bytes are left");
        assert_eq!((rest.sequence, rest.length, rest.bytes), (13, 3, &b""[..]));
        assert!(cut.starting_at(16).is_none());
    }
}
