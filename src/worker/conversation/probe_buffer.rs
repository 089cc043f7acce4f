//! The first bytes of a conversation.

use lockkeeper_protocols::{Hints, Stamp};

use crate::flow::End;

/// The first bytes of a conversation, kept until its protocol is identified.
pub(super) struct ProbeBuffer {
    /// First bytes of each end, by [`End`].
    first: [Vec<u8>; 2],
    /// The pieces in their order: sender, length, stamp.
    pieces: Vec<(End, usize, Stamp)>,
    /// Protocols that the policy declares on its ports.
    pub(super) declared: Hints,
}

impl ProbeBuffer {
    pub(super) fn new(declared: Hints) -> Self {
        Self { first: Default::default(), pieces: Vec::new(), declared }
    }

    pub(super) fn add(&mut self, from: End, bytes: &[u8], stamp: &Stamp) {
        self.first[from.index()].extend_from_slice(bytes);
        self.pieces.push((from, bytes.len(), *stamp));
    }

    /// First bytes of the client and of the server.
    pub(super) fn sides(&self, client: End) -> [&[u8]; 2] {
        [&self.first[client.index()], &self.first[client.other().index()]]
    }

    /// Calls `tell` with every piece, in order.
    pub(super) fn for_each_piece(&self, mut tell: impl FnMut(End, &[u8], &Stamp)) {
        let mut used = [0; 2];
        for &(from, length, ref stamp) in &self.pieces {
            let start = used[from.index()];
            used[from.index()] = start + length;
            tell(from, self.first[from.index()].get(start..start + length).unwrap_or_default(), stamp);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.first.iter().map(Vec::len).sum()
    }

    /// Bytes of memory in use.
    pub(super) fn memory(&self) -> usize {
        let pieces = self.pieces.capacity() * size_of::<(End, usize, Stamp)>();
        size_of::<Self>() + pieces + self.first.iter().map(Vec::capacity).sum::<usize>()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= PROBE_BYTES || self.pieces.len() >= PROBE_PIECES
    }

    /// Drops the bytes of an end, and returns how many there were.
    pub(super) fn forget(&mut self, from: End) -> u64 {
        self.pieces.retain(|(end, ..)| *end != from);
        std::mem::take(&mut self.first[from.index()]).len() as u64
    }
}

/// Payload bytes that are kept during identification: enough for three frames of any protocol.
const PROBE_BYTES: usize = 4096;

/// Segments that are kept during identification.
const PROBE_PIECES: usize = 512;
