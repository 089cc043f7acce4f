//! Bytes kept between segments: starts of frames, and the bytes of a lost side in which no frame was found yet.

use alloc::vec::Vec;

use crate::dissector::{Side, Stamp};
use crate::memory;

/// The kept bytes of both sides.
#[derive(Default)]
pub(super) struct Kept {
    sides: [Partial; 2],
    /// Time of the latest bytes of either side, on the scale of [`Stamp::clock`].
    pub(super) clock: i64,
}

/// The kept bytes of one side.
#[derive(Default)]
pub(super) struct Partial {
    pub(super) bytes: Vec<u8>,
    /// Final length of the frame that they begin; 0 if it is unknown or may change.
    pub(super) awaited: usize,
    /// How far they were searched, if the side is lost.
    pub(super) progress: SearchProgress,
    /// Stamp of the latest of them: that of a frame which only the end of the stream completes.
    pub(super) latest: Stamp,
}

/// How far the kept bytes of a lost side were searched for a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SearchProgress {
    /// A frame of some protocol is due at the first byte: the previous frame ended there.
    pub(super) is_aligned: bool,
    /// Number of bytes in which no frame of the current protocol starts. Frames of other protocols may start there.
    pub(super) refuted: usize,
}

impl Kept {
    pub(super) fn side(&self, from: Side) -> &Partial {
        let [client, server] = &self.sides;
        if from == Side::Client { client } else { server }
    }

    pub(super) fn side_mut(&mut self, from: Side) -> &mut Partial {
        let [client, server] = &mut self.sides;
        if from == Side::Client { client } else { server }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sides.iter().all(|side| side.bytes.is_empty())
    }

    /// Memory that the kept bytes take, bytes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.sides.iter().map(|side| side.bytes.capacity()).sum::<usize>()
    }

    /// Number of kept bytes.
    pub(super) fn len(&self) -> usize {
        self.sides.iter().map(|side| side.bytes.len()).sum()
    }

    /// Stamp of the latest kept bytes of a side, with the clock of the latest bytes of either side: they are decoded after
    /// those.
    pub(super) fn latest(&self, from: Side) -> Stamp {
        let latest = self.side(from).latest;
        Stamp { clock: latest.clock.max(self.clock), ..latest }
    }

    /// Replaces the kept bytes of a side. `awaited`: see [`Partial::awaited`].
    pub(super) fn replace(
        &mut self,
        from: Side,
        mut bytes: Vec<u8>,
        awaited: usize,
        progress: SearchProgress,
        stamp: &Stamp,
    ) {
        bytes.reserve_exact(capacity_for(awaited, bytes.len()).saturating_sub(bytes.len()));
        *self.side_mut(from) = Partial { bytes, awaited, progress, latest: *stamp };
    }

    /// Adds bytes that cannot complete their frame. Returns `false`, without adding them, if they may complete it.
    pub(super) fn append(&mut self, from: Side, bytes: &[u8], stamp: &Stamp) -> bool {
        let partial = self.side_mut(from);
        let is_incomplete = partial.bytes.len() + bytes.len() < partial.awaited;
        if is_incomplete {
            partial.bytes.extend_from_slice(bytes);
            partial.latest = *stamp;
        }
        is_incomplete
    }
}

/// Capacity for a frame of `awaited` bytes of which `available` have arrived: bounded by what has arrived.
pub(super) fn capacity_for(awaited: usize, available: usize) -> usize {
    awaited.min(memory::GROWTH * available)
}
