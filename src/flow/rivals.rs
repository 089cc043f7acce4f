//! What else the receiver of a stream may have taken: segments that it should have dropped, repeats with other bytes of what is
//! not delivered yet, and urgent bytes.

use std::collections::VecDeque;

use lockkeeper_protocols::Stamp;

use super::End;
use super::held::{Held, Piece};
use super::sequence::distance;

/// Something that makes for another reading of bytes that are not delivered yet.
#[derive(Debug)]
pub(super) enum Rival {
    Repeat(Held),
    /// The sequence number of an urgent byte, and when it came.
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

/// What is kept of a flow besides its stream, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    /// Segments of each direction that their receiver should have dropped.
    pub(super) doubtful: [VecDeque<Held>; 2],
    /// What to look at again once the stream has come to its end.
    pub(super) awaited: VecDeque<(End, Rival)>,
}

impl Rivals {
    pub(super) fn is_empty(&self) -> bool {
        self.awaited.is_empty() && self.doubtful.iter().all(VecDeque::is_empty)
    }

    /// Payload bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        let awaited = self.awaited.iter().map(|(_, rival)| rival.bytes());
        awaited.chain(self.doubtful.iter().flatten().map(|held| held.bytes.len())).sum()
    }

    /// Notes a segment with other bytes than one that is held.
    pub(super) fn add_repeat(&mut self, from: End, piece: Piece<'_>) {
        self.add(from, Rival::Repeat(Held::of(piece)));
    }

    /// How many segments are kept that their receivers should have dropped.
    pub(super) fn doubtful(&self) -> usize {
        self.doubtful.iter().map(VecDeque::len).sum()
    }

    /// Beyond what there is room for, the oldest is forgotten: its conflict was counted.
    pub(super) fn add(&mut self, from: End, rival: Rival) {
        if self.awaited.len() >= MAX_RIVALS {
            self.awaited.pop_front();
        }
        self.awaited.push_back((from, rival));
    }

    /// Whether an urgent byte is known and has not come.
    pub(super) fn awaits_urgent(&self, from: End, sequence: u32) -> bool {
        let is_it = |(end, rival): &(End, Rival)| {
            *end == from && matches!(rival, Rival::Urgent(known, _) if *known == sequence)
        };
        self.awaited.iter().any(is_it)
    }

    /// Forgets the oldest; says whether there was one.
    pub(super) fn drop_oldest(&mut self) -> bool {
        self.awaited.pop_front().is_some() || self.doubtful.iter_mut().any(|queue| queue.pop_front().is_some())
    }

    /// The first doubtful segment of a direction that came for the byte at `next`.
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

/// Other readings of what is held, of one flow.
const MAX_RIVALS: usize = 16;
