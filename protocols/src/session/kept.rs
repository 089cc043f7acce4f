//! Bytes that have to wait: beginnings of frames, and what a lost side has sent since no frame was found in it.

use alloc::vec::Vec;

use crate::dissector::{Side, Stamp};
use crate::memory;

/// Bytes of frames that have not arrived completely.
#[derive(Default)]
pub(super) struct Kept {
    sides: [Waiting; 2],
    /// When either side sent anything last, on the scale of [`Stamp::clock`].
    pub(super) clock: i64,
}

/// What waits of one side.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) bytes: Vec<u8>,
    /// How long the frame is that they begin with, if that will not change; otherwise 0.
    pub(super) awaited: usize,
    /// What a lost side knows of them.
    pub(super) lead: Lead,
    /// When the latest of them came: a frame that only the end of the stream completes has no other time.
    pub(super) latest: Stamp,
}

/// How far the search for a frame has come in the bytes of a lost side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lead {
    /// A frame of some protocol should begin with the first of these bytes: the one before ended there.
    pub(super) is_aligned: bool,
    /// How many bytes hold certainly no frame start of the protocol that is spoken; other protocols may still have one.
    pub(super) refuted: usize,
}

impl Kept {
    pub(super) fn side(&self, from: Side) -> &Waiting {
        let [client, server] = &self.sides;
        if from == Side::Client { client } else { server }
    }

    pub(super) fn side_mut(&mut self, from: Side) -> &mut Waiting {
        let [client, server] = &mut self.sides;
        if from == Side::Client { client } else { server }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sides.iter().all(|side| side.bytes.is_empty())
    }

    /// Bytes of memory that is taken for what waits.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.sides.iter().map(|side| side.bytes.capacity()).sum::<usize>()
    }

    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.sides.iter().map(|side| side.bytes.len()).sum()
    }

    /// When the latest of what waits of a side came. It is read now, behind all that was read before.
    pub(super) fn latest(&self, from: Side) -> Stamp {
        let latest = self.side(from).latest;
        Stamp { clock: latest.clock.max(self.clock), ..latest }
    }

    /// What `from` sent of a frame of `awaited` bytes, or of one whose length is not known.
    pub(super) fn put(&mut self, from: Side, mut bytes: Vec<u8>, awaited: usize, lead: Lead, stamp: &Stamp) {
        bytes.reserve_exact(room(awaited, bytes.len()).saturating_sub(bytes.len()));
        *self.side_mut(from) = Waiting { bytes, awaited, lead, latest: *stamp };
    }

    /// Adds bytes that do not complete the frame that they belong to, which nothing need be told about. `false`: they may
    /// complete it, and were not added.
    pub(super) fn append(&mut self, from: Side, bytes: &[u8], stamp: &Stamp) -> bool {
        let waiting = self.side_mut(from);
        let goes_on = waiting.bytes.len() + bytes.len() < waiting.awaited;
        if goes_on {
            waiting.bytes.extend_from_slice(bytes);
            waiting.latest = *stamp;
        }
        goes_on
    }
}

/// Room for all of a frame that is awaited, unless there is little to show for it.
pub(super) fn room(awaited: usize, there: usize) -> usize {
    awaited.min(memory::GROWTH * there)
}
