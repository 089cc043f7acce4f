//! One direction of a TCP connection: its position in sequence space and its latest deliveries.

use lockkeeper_protocols::Stamp;

use super::held::Piece;
use super::recent::RecentBytes;
use super::sequence::distance;

/// What is known about the first byte of a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing was seen yet.
    #[default]
    Unknown,
    /// The direction appears not to be in the capture; the other one does not wait for it.
    Absent,
    /// Bytes were seen, but earlier ones may still arrive.
    Provisional,
    /// The first byte is decided.
    Known,
}

/// The result of comparing bytes with those delivered for the same sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    Same,
    /// At least one byte differs from that of the packet with this origin.
    Differs(u64),
    /// Not all delivered bytes are still known; those that are, are equal.
    Unverified,
}

/// The state of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HalfStream {
    /// Sequence number of the first byte that was neither delivered nor given up.
    pub(super) next: u32,
    /// Sequence number of its first byte. Distinguishes a repeated SYN from a new connection.
    pub(super) origin: u32,
    /// Highest sequence number that the peer acknowledged; valid if `answered`.
    pub(super) acknowledged: u32,
    /// Bytes just before `next` that were given up, with nothing delivered since.
    pub(super) skipped: u32,
    /// Position of its last delivery in [`RecentBytes`]; 0 for none.
    pub(super) recent: u64,
    /// Time of its last delivery, as a [`moment`] of the packet clock.
    delivered_at: u32,
    pub(super) start: Start,
    /// The peer acknowledged at least one sequence number.
    pub(super) answered: bool,
    /// A SYN or payload of this direction is in the capture.
    pub(super) captured: bool,
    /// Its FIN was delivered.
    pub(super) finished: bool,
}

impl HalfStream {
    pub(super) const fn is_known(&self) -> bool {
        matches!(self.start, Start::Known)
    }

    /// Starts, or restarts, at sequence number `next`.
    pub(super) fn start_at(&mut self, next: u32) {
        (self.next, self.origin, self.start) = (next, next, Start::Known);
        (self.skipped, self.recent, self.finished) = (0, 0, false);
    }

    /// Takes a segment at `sequence` as the provisional start, if there is no earlier one.
    pub(super) fn locate(&mut self, sequence: u32) {
        self.captured = true;
        match self.start {
            Start::Unknown | Start::Absent => (self.next, self.start) = (sequence, Start::Provisional),
            Start::Provisional if distance(sequence, self.next) < 0 => self.next = sequence,
            Start::Provisional | Start::Known => {}
        }
    }

    /// Decides that the direction is not in the capture.
    pub(super) fn mark_absent(&mut self) {
        (self.start, self.answered) = (Start::Absent, false);
    }

    /// The position by its own segments or, without any, by the acknowledgements of its peer.
    pub(super) fn position(&self) -> Option<u32> {
        match self.start {
            Start::Known | Start::Provisional => Some(self.next),
            Start::Unknown | Start::Absent => self.answered.then_some(self.acknowledged),
        }
    }

    /// Whether everything that the peer acknowledges with `ack` was delivered. An absent direction has nothing to wait for.
    pub(super) fn has_delivered_up_to(&self, ack: Option<u32>, window: u32) -> bool {
        match self.start {
            Start::Unknown | Start::Provisional => false,
            Start::Absent => true,
            Start::Known => ack.is_none_or(|ack| self.bytes_ahead(ack, window) == 0),
        }
    }

    /// How many bytes the acknowledgement number `ack` of the peer lies beyond `next`; 0 if it does not, or if it is
    /// implausibly far away.
    pub(super) fn bytes_ahead(&self, ack: u32, window: u32) -> u32 {
        let ahead = u32::try_from(distance(ack, self.next)).unwrap_or(0);
        if ahead <= window { ahead } else { 0 }
    }

    /// Bytes from `next` to `sequence`; 0 if `sequence` lies before it.
    pub(super) fn bytes_to(&self, sequence: u32) -> u32 {
        u32::try_from(distance(sequence, self.next)).unwrap_or(0)
    }

    /// Number of bytes that the peer acknowledged and that were not delivered.
    pub(super) fn missing_bytes(&self, window: u32) -> u32 {
        if self.answered && self.is_known() { self.bytes_ahead(self.acknowledged, window) } else { 0 }
    }

    /// Records that the peer acknowledged everything up to `ack`.
    pub(super) fn acknowledge(&mut self, ack: u32, window: u32) {
        if self.start == Start::Absent {
            return;
        }
        if self.missing_bytes(window) == 0 || distance(ack, self.acknowledged) > 0 {
            (self.acknowledged, self.answered) = (ack, true);
        }
    }

    /// Records the delivery of `bytes` at `next`; stores them in `recent` for later comparison.
    #[inline(always)]
    pub(super) fn record_delivery(&mut self, bytes: &[u8], stamp: &Stamp, recent: Option<&mut RecentBytes>) {
        if let Some(recent) = recent {
            self.recent = recent.append(self.recent, self.next, stamp.origin, bytes);
        }
        self.next = self.next.wrapping_add(bytes.len() as u32);
        self.delivered_at = moment(stamp.clock);
        self.skipped = 0;
    }

    /// Whether the last delivery was at most `time` nanoseconds before `clock`.
    pub(super) fn has_delivered_within(&self, time: i64, clock: i64) -> bool {
        moment(clock).wrapping_sub(self.delivered_at) <= moment(time)
    }

    /// Gives up the next `count` bytes.
    pub(super) fn skip(&mut self, count: u32) {
        self.next = self.next.wrapping_add(count);
        self.skipped = self.skipped.saturating_add(count);
    }

    /// Records the delivery of a FIN at `next`.
    pub(super) fn finish(&mut self) {
        self.next = self.next.wrapping_add(1);
        self.finished = true;
    }

    /// Moves `next` back to `piece` if it lies in a gap behind which nothing was delivered. Returns how many bytes of the gap
    /// it fills.
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

    /// Whether the peer has acknowledged everything that was delivered.
    pub(super) const fn has_been_acknowledged(&self) -> bool {
        self.answered && distance(self.acknowledged, self.next) >= 0
    }

    /// Sequence number after the last byte that was delivered or given up; excludes a FIN.
    pub(super) const fn data_end(&self) -> u32 {
        self.next.wrapping_sub(self.finished as u32)
    }

    /// Ignores a delivered FIN, because bytes follow it.
    pub(super) fn reopen(&mut self) {
        (self.next, self.finished) = (self.data_end(), false);
    }

    /// Compares the bytes of `piece` that lie before `next` with the delivered ones.
    pub(super) fn compare(&self, piece: &Piece<'_>, recent: &RecentBytes) -> Overlap {
        let old = u32::try_from(distance(self.data_end(), piece.sequence)).unwrap_or(0).min(piece.length) as usize;
        let bytes = piece.bytes.get(..old).unwrap_or(piece.bytes);
        let mut verified = 0;
        for record in recent.of_stream(self.recent).take(COMPARED_RECORDS) {
            let (here, there) = overlapping(distance(record.sequence, piece.sequence), bytes, record.bytes);
            if here != there {
                return Overlap::Differs(record.origin);
            }
            verified += here.len();
            if verified == old {
                return Overlap::Same;
            }
        }
        if old == 0 { Overlap::Same } else { Overlap::Unverified }
    }
}

/// The overlapping parts of two byte strings, where the second begins `ahead` bytes after the first.
fn overlapping<'a>(ahead: i32, first: &'a [u8], second: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let skip =
        |count: i32, bytes: &'a [u8]| usize::try_from(count).ok().map_or(Some(bytes), |count| bytes.get(count..));
    let (Some(first), Some(second)) = (skip(ahead, first), skip(ahead.wrapping_neg(), second)) else {
        return (&[], &[]);
    };
    let common = first.len().min(second.len());
    (first.get(..common).unwrap_or_default(), second.get(..common).unwrap_or_default())
}

/// Packet time in units of 1,024 nanoseconds, modulo 2^32; wraps after 73 minutes.
const fn moment(clock: i64) -> u32 {
    (clock >> 10) as u32
}

/// Most deliveries that a retransmission is compared with. Bounds the work for one packet.
const COMPARED_RECORDS: usize = 256;
