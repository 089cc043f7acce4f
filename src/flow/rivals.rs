//! What else the receiver of a stream may have accepted: doubtful segments, which it should have dropped, different
//! retransmissions of undelivered bytes, and urgent bytes.

use std::collections::VecDeque;

use lockkeeper_protocols::Stamp;

use super::End;
use super::held::{Held, Piece};
use super::sequence::distance;

/// Another reading of bytes that are not delivered yet.
#[derive(Debug)]
pub(super) enum Rival {
    /// A segment that differs from a held one.
    Repeat(Held),
    /// The sequence number of an urgent byte, and the stamp of its segment.
    Urgent(u32, Stamp),
}

impl Rival {
    /// Sequence number after its last byte.
    pub(super) fn end(&self) -> u32 {
        match self {
            Self::Repeat(held) => held.piece().data_end(),
            Self::Urgent(sequence, _) => sequence.wrapping_add(1),
        }
    }

    fn bytes(&self) -> usize {
        if let Self::Repeat(held) = self { held.bytes.len() } else { 0 }
    }
}

/// The rivals and doubtful segments of a connection, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    /// Segments of each direction that their receiver should have dropped.
    pub(super) doubtful: [VecDeque<Held>; 2],
    /// Rivals to compare once the stream has reached their end.
    pub(super) awaited: VecDeque<(End, Rival)>,
}

impl Rivals {
    pub(super) fn is_empty(&self) -> bool {
        self.awaited.is_empty() && self.doubtful.iter().all(VecDeque::is_empty)
    }

    /// Number of payload bytes kept.
    pub(super) fn bytes(&self) -> usize {
        let awaited = self.awaited.iter().map(|(_, rival)| rival.bytes());
        awaited.chain(self.doubtful.iter().flatten().map(|held| held.bytes.len())).sum()
    }

    /// Adds a segment that differs from a held one.
    pub(super) fn add_repeat(&mut self, from: End, piece: Piece<'_>) {
        self.add(from, Rival::Repeat(Held::of(piece)));
    }

    /// Number of doubtful segments.
    pub(super) fn doubtful_count(&self) -> usize {
        self.doubtful.iter().map(VecDeque::len).sum()
    }

    /// Adds a rival. Beyond [`MAX_RIVALS`], the oldest is dropped; its conflict was counted.
    pub(super) fn add(&mut self, from: End, rival: Rival) {
        if self.awaited.len() >= MAX_RIVALS {
            self.awaited.pop_front();
        }
        self.awaited.push_back((from, rival));
    }

    /// Whether this urgent byte is recorded already and was not delivered yet.
    pub(super) fn awaits_urgent(&self, from: End, sequence: u32) -> bool {
        let is_it = |(end, rival): &(End, Rival)| {
            *end == from && matches!(rival, Rival::Urgent(known, _) if *known == sequence)
        };
        self.awaited.iter().any(is_it)
    }

    /// Drops the oldest rival or, if there is none, the oldest doubtful segment; returns whether there was one.
    pub(super) fn drop_oldest(&mut self) -> bool {
        self.awaited.pop_front().is_some() || self.doubtful.iter_mut().any(|queue| queue.pop_front().is_some())
    }

    /// Removes and returns the first doubtful segment of a direction that covers the byte at `next`.
    pub(super) fn take_doubtful(&mut self, of: End, next: u32) -> Option<Held> {
        let doubtful = &mut self.doubtful[of.index()];
        let fills = |held: &Held| reaches_beyond(held, next) && distance(held.piece().sequence, next) <= 0;
        let place = doubtful.iter().position(fills)?;
        doubtful.remove(place)
    }
}

pub(super) fn reaches_beyond(held: &Held, sequence: u32) -> bool {
    distance(held.piece().data_end(), sequence) > 0
}

/// Most rivals of one connection.
const MAX_RIVALS: usize = 16;
