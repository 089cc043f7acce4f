//! What else the receiver of a stream may have taken: segments that it should have dropped, repeats with other bytes of what is
//! not delivered yet, and urgent bytes.

use std::collections::VecDeque;

use lockkeeper_protocols::Stamp;

use super::half_stream::distance;
use super::held::{Held, Piece};
use super::out_of_order::{ENDS, OutOfOrder, Pass};
use super::tcp::TcpFlow;
use super::{End, Receiver, StreamSettings};

/// Something that makes for another reading of bytes that are not delivered yet.
#[derive(Debug)]
enum Rival {
    Repeat(Held),
    /// The sequence number of an urgent byte, and when it came.
    Urgent(u32, Stamp),
}

impl Rival {
    /// Sequence number after its last byte.
    fn end(&self) -> u32 {
        match self {
            Self::Repeat(held) => held.view().data_end(),
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
    doubtful: [VecDeque<Held>; 2],
    /// What to look at again once the stream has come to its end.
    awaited: VecDeque<(End, Rival)>,
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
        self.look_again(from, Rival::Repeat(Held::of(piece)));
    }

    /// How many segments are kept that their receivers should have dropped.
    pub(super) fn doubtful(&self) -> usize {
        self.doubtful.iter().map(VecDeque::len).sum()
    }

    /// Beyond what there is room for, the oldest is forgotten: its conflict was counted.
    fn look_again(&mut self, from: End, rival: Rival) {
        if self.awaited.len() >= MAX_RIVALS {
            self.awaited.pop_front();
        }
        self.awaited.push_back((from, rival));
    }

    /// Whether an urgent byte is known and has not come.
    fn awaits_urgent(&self, from: End, sequence: u32) -> bool {
        let is_it = |(end, rival): &(End, Rival)| {
            *end == from && matches!(rival, Rival::Urgent(known, _) if *known == sequence)
        };
        self.awaited.iter().any(is_it)
    }

    /// Forgets the oldest; says whether there was one.
    fn forget_one(&mut self) -> bool {
        self.awaited.pop_front().is_some() || self.doubtful.iter_mut().any(|queue| queue.pop_front().is_some())
    }

    /// The first doubtful segment of a direction that came for the byte at `next`.
    fn take_doubtful(&mut self, of: End, next: u32) -> Option<Held> {
        let doubtful = &mut self.doubtful[of.index()];
        let fills = |held: &Held| reaches_beyond(held, next) && distance(held.view().sequence, next) <= 0;
        let place = doubtful.iter().position(fills)?;
        doubtful.remove(place)
    }
}

impl OutOfOrder {
    /// Forgets other readings and doubtful segments, which are of less use than what is held; says whether it is still more
    /// than there is room for.
    pub(super) fn forget_rivals(&mut self, settings: &StreamSettings) -> bool {
        while self.is_over(settings) && self.rivals.forget_one() {}
        self.is_over(settings)
    }
}

impl TcpFlow {
    /// Notes an urgent byte, and what else its receiver may read. Every segment up to it may announce it (RFC 9293, 3.8.5).
    pub(super) fn on_urgent<R: Receiver>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        from: End,
        sequence: u32,
        pass: &mut Pass<'_, R>,
    ) {
        if pass.recent.is_some() && !out_of_order.rivals.awaits_urgent(from, sequence) {
            out_of_order.rivals.look_again(from, Rival::Urgent(sequence, pass.stamp));
            self.settle_rivals(out_of_order, pass);
        }
    }

    /// Keeps a segment aside whose receiver should have dropped it.
    pub(super) fn doubt<R: Receiver>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        from: End,
        piece: Piece<'_>,
        pass: &mut Pass<'_, R>,
    ) {
        let half = &self.halves[from.index()];
        let doubtful = &mut out_of_order.rivals.doubtful[from.index()];
        let is_useful = half.known()
            && piece.from(half.next).is_some()
            && !self.is_stray(from, piece.sequence, pass.settings.window);
        if is_useful && doubtful.len() < MAX_DOUBTFUL {
            doubtful.push_back(Held::of(Piece { fin: false, ..piece }));
        } else {
            pass.counters.dropped += 1;
        }
    }

    /// Drops doubtful segments in whose place others were delivered, and tells of other readings of what was.
    pub(super) fn settle_rivals<R: Receiver>(&mut self, out_of_order: &mut OutOfOrder, pass: &mut Pass<'_, R>) {
        for of in ENDS {
            let (next, doubtful) = (self.halves[of.index()].next, &mut out_of_order.rivals.doubtful[of.index()]);
            let before = doubtful.len();
            doubtful.retain(|held| reaches_beyond(held, next));
            pass.counters.dropped += (before - doubtful.len()) as u64;
        }
        for _ in 0..out_of_order.rivals.awaited.len() {
            let Some((from, rival)) = out_of_order.rivals.awaited.pop_front() else { return };
            if distance(rival.end(), self.halves[from.index()].next) > 0 {
                out_of_order.rivals.awaited.push_back((from, rival));
                continue;
            }
            match rival {
                Rival::Repeat(held) => self.on_repeat(from, &held.view(), pass),
                Rival::Urgent(sequence, stamp) => self.tell_urgent(from, sequence, &stamp, pass),
            }
        }
    }

    /// Fills the hole of a direction with what its receiver should have dropped, and seems to have taken. If more than one
    /// segment came for the place, which of them it took is not known.
    pub(super) fn take_doubtful<R: Receiver>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        of: End,
        pass: &mut Pass<'_, R>,
    ) -> bool {
        let Some(taken) = out_of_order.rivals.take_doubtful(of, self.halves[of.index()].next) else { return false };
        pass.counters.taken_all_the_same += 1;
        self.deliver(of, taken.view(), pass);
        let doubtful = std::mem::take(&mut out_of_order.rivals.doubtful[of.index()]);
        for held in doubtful {
            let next = self.halves[of.index()].next;
            if distance(held.view().sequence, next) < 0 {
                self.on_repeat(of, &held.view(), pass);
            }
            if let Some(rest) = held.view().from(next) {
                out_of_order.rivals.doubtful[of.index()].push_back(Held::of(rest));
            }
        }
        true
    }
}

fn reaches_beyond(held: &Held, sequence: u32) -> bool {
    distance(held.view().data_end(), sequence) > 0
}

/// Doubtful segments of one direction that are kept.
const MAX_DOUBTFUL: usize = 16;
/// Other readings of what is held, of one flow.
const MAX_RIVALS: usize = 16;
