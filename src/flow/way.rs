//! One direction of a connection: where it is, and what was delivered last.

use super::held::Piece;
use super::mix;

/// How far `a` lies beyond `b` in sequence space; negative when before (RFC 9293, 3.4: arithmetic modulo 2^32).
pub(super) const fn distance(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

/// What is known about the place at which a direction starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing yet.
    #[default]
    Unknown,
    /// Nothing, and nothing is waited for: the direction is not in the capture, as far as one can tell.
    Absent,
    /// Bytes were seen; earlier ones may still come.
    Provisional,
    /// Decided.
    Known,
}

/// How bytes compare with those that were delivered at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    Same,
    Differs,
    Unverified,
}

/// The state of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Way {
    /// Sequence number of the first byte that was not delivered or given up.
    pub(super) next: u32,
    /// Sequence number of its first byte: tells a repeated SYN from a new connection.
    pub(super) origin: u32,
    /// Highest sequence number that the peer acknowledged; meaningful with `answered`.
    pub(super) acknowledged: u32,
    /// Bytes just before `next` that were given up, with nothing delivered since.
    pub(super) skipped: u32,
    /// Digests of the last two deliveries, the last first; they end at `next`.
    digests: [u32; 2],
    /// Their lengths; 0 for none.
    lengths: [u16; 2],
    pub(super) start: Start,
    /// The peer acknowledged something.
    pub(super) answered: bool,
    /// A SYN or payload of this direction is in the capture.
    pub(super) captured: bool,
    /// Its FIN was delivered.
    pub(super) finished: bool,
}

impl Way {
    pub(super) const fn known(&self) -> bool {
        matches!(self.start, Start::Known)
    }

    /// Starts (again) at `next`.
    pub(super) fn begin(&mut self, next: u32) {
        (self.next, self.origin, self.start) = (next, next, Start::Known);
        (self.skipped, self.lengths, self.finished) = (0, [0; 2], false);
    }

    /// Starts with a segment at `sequence`, until an earlier one is seen.
    pub(super) fn locate(&mut self, sequence: u32) {
        self.captured = true;
        match self.start {
            Start::Unknown | Start::Absent => (self.next, self.start) = (sequence, Start::Provisional),
            Start::Provisional if distance(sequence, self.next) < 0 => self.next = sequence,
            Start::Provisional | Start::Known => {}
        }
    }

    /// Is not in the capture.
    pub(super) fn miss(&mut self) {
        (self.start, self.answered) = (Start::Absent, false);
    }

    /// Whether nothing that the peer had received when it sent `ack` is still to come.
    pub(super) fn allows(&self, ack: Option<u32>, window: u32) -> bool {
        match self.start {
            Start::Unknown | Start::Provisional => false,
            Start::Absent => true,
            Start::Known => ack.is_none_or(|ack| self.ahead(ack, window) == 0),
        }
    }

    /// How many bytes the acknowledgement number `ack` of the peer lies beyond `next`; 0 if it does not, or if it is
    /// too far away to be true.
    pub(super) fn ahead(&self, ack: u32, window: u32) -> u32 {
        let ahead = u32::try_from(distance(ack, self.next)).unwrap_or(0);
        if ahead <= window { ahead } else { 0 }
    }

    /// Bytes from `next` to `sequence`; 0 if that lies before.
    pub(super) fn distance_to(&self, sequence: u32) -> u32 {
        u32::try_from(distance(sequence, self.next)).unwrap_or(0)
    }

    /// Bytes that the peer acknowledged and that were not delivered.
    pub(super) fn owed(&self, window: u32) -> u32 {
        if self.answered && self.known() { self.ahead(self.acknowledged, window) } else { 0 }
    }

    /// The peer acknowledged everything up to `ack`.
    pub(super) fn acknowledge(&mut self, ack: u32, window: u32) {
        if self.start == Start::Absent {
            return;
        }
        if self.owed(window) == 0 || distance(ack, self.acknowledged) > 0 {
            (self.acknowledged, self.answered) = (ack, true);
        }
    }

    /// `bytes` at `next` were delivered.
    #[inline(always)]
    pub(super) fn delivered(&mut self, bytes: &[u8], seed: u64) {
        let length = u16::try_from(bytes.len()).unwrap_or(0);
        self.next = self.next.wrapping_add(bytes.len() as u32);
        self.digests = [digest(bytes, seed), self.digests[0]];
        self.lengths = if length == 0 { [0; 2] } else { [length, self.lengths[0]] };
        self.skipped = 0;
    }

    /// The next `count` bytes will not come.
    pub(super) fn skip(&mut self, count: u32) {
        self.next = self.next.wrapping_add(count);
        self.skipped = self.skipped.saturating_add(count);
        self.lengths = [0; 2];
    }

    /// The FIN at `next` was delivered.
    pub(super) fn finish(&mut self) {
        self.next = self.next.wrapping_add(1);
        self.finished = true;
    }

    /// Goes back for `piece` if it lies where bytes were given up and nothing was delivered since. Says how many bytes
    /// of the gap it fills.
    pub(super) fn rewind(&mut self, piece: &Piece<'_>) -> u32 {
        let gap = self.next.wrapping_sub(self.skipped);
        if self.skipped == 0 || distance(piece.data_end(), gap) <= 0 || distance(piece.sequence, self.next) >= 0 {
            return 0;
        }
        let start = if distance(piece.sequence, gap) > 0 { piece.sequence } else { gap };
        let fills = if distance(piece.data_end(), self.next) < 0 { piece.data_end() } else { self.next };
        self.skipped = start.wrapping_sub(gap);
        self.next = start;
        self.acknowledged = start;
        fills.wrapping_sub(start)
    }

    /// Compares bytes that lie before `next` with what was delivered there.
    pub(super) fn compare(&self, piece: &Piece<'_>, seed: u64) -> Overlap {
        let mut end = self.next.wrapping_sub(u32::from(self.finished));
        let old = u32::try_from(distance(end, piece.sequence)).unwrap_or(0).min(piece.length);
        let mut verified = 0;
        for (&length, &expected) in self.lengths.iter().zip(&self.digests) {
            let start = end.wrapping_sub(u32::from(length));
            let from = usize::try_from(distance(start, piece.sequence)).ok();
            let part = from.and_then(|from| piece.bytes.get(from..from + usize::from(length)));
            if let Some(part) = part.filter(|part| !part.is_empty()) {
                if digest(part, seed) != expected {
                    return Overlap::Differs;
                }
                verified += u32::from(length);
            }
            end = start;
        }
        if verified == old { Overlap::Same } else { Overlap::Unverified }
    }
}

/// A digest of a payload. Long ones are digested at both ends only: this runs for every segment that is delivered.
#[inline(always)]
fn digest(bytes: &[u8], seed: u64) -> u32 {
    let digest = if bytes.len() > DIGESTED_WHOLE { digest_ends(bytes, seed) } else { digest_whole(bytes, seed) };
    (digest ^ digest >> 32) as u32
}

#[inline(never)]
fn digest_whole(bytes: &[u8], seed: u64) -> u64 {
    mix::digest(bytes, seed)
}

#[inline(never)]
fn digest_ends(bytes: &[u8], seed: u64) -> u64 {
    let digest = |edge: Option<&[u8; EDGE]>| edge.map_or(0, |edge| mix::digest(edge, seed));
    // Each for itself, so that neither waits for the other.
    digest(bytes.first_chunk()) ^ digest(bytes.last_chunk()).rotate_left(32)
}

/// Payloads of up to so many bytes, a Modbus ADU (260 bytes) among them, are digested whole.
const DIGESTED_WHOLE: usize = 272;
/// Bytes at each end of those that are longer.
const EDGE: usize = 64;
