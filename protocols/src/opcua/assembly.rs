//! Messages in several chunks: put together by side, channel and request, under one cap for the whole connection.

use alloc::vec::Vec;

use crate::dissector::{Limits, Side};

/// What a chunk belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) from: Side,
    pub(super) channel: u32,
    /// Number of the request in its sequence header; none where that is encrypted.
    pub(super) request: Option<u32>,
}

/// A message of which chunks are missing.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) key: Key,
    /// Bodies of its chunks so far.
    pub(super) bytes: Vec<u8>,
    /// Size of its chunks so far, headers included.
    pub(super) size: usize,
    chunks: u32,
    /// A limit was reached: only its beginning is kept.
    pub(super) is_cut: bool,
    /// Its beginning is missing: nothing is kept.
    pub(super) is_torn: bool,
}

/// The incomplete messages of one connection, oldest first. Real stacks wait for the end of one for as long as the
/// connection lives, so that nothing but want of memory ends the wait here.
#[derive(Debug)]
pub(super) struct Assemblies {
    open: Vec<Partial>,
    /// Bytes that all of them keep.
    kept: usize,
    /// Bytes that all of them may keep.
    limit: usize,
}

impl Assemblies {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { open: Vec::new(), kept: 0, limit: limits.partial.saturating_mul(SHARE) }
    }

    /// Whether nothing is incomplete.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Bytes that all of them keep.
    pub(super) fn len(&self) -> usize {
        self.kept
    }

    /// Takes the oldest message of a side out that keeps anything.
    pub(super) fn take_oldest(&mut self, from: Side) -> Option<Partial> {
        let index = self.open.iter().position(|partial| partial.key.from == from && !partial.bytes.is_empty())?;
        let oldest = self.open.remove(index);
        self.kept -= oldest.bytes.len();
        Some(oldest)
    }

    /// Whether a message has begun.
    pub(super) fn has(&self, key: Key) -> bool {
        self.open.iter().any(|partial| partial.key == key)
    }

    /// Whether a readable message of the same side is incomplete while a chunk of another one comes.
    pub(super) fn has_beside(&self, key: Key) -> bool {
        let is_beside = |partial: &Partial| partial.key.from == key.from && partial.key != key;
        self.open.iter().any(|partial| is_beside(partial) && partial.key.request.is_some() && !partial.is_torn)
    }

    /// Another message begins: the end of one whose beginning is missing does not come any more.
    pub(super) fn forget_torn(&mut self, from: Side) {
        self.open.retain(|partial| !partial.is_torn || partial.key.from != from);
    }

    /// Takes the oldest message out if there is no room for one more.
    pub(super) fn make_room(&mut self, key: Key) -> Option<Partial> {
        let is_full = self.open.len() >= MAX_OPEN && !self.has(key);
        let oldest = if is_full { Some(self.open.remove(0)) } else { None }?;
        self.kept -= oldest.bytes.len();
        Some(oldest)
    }

    /// Adds a chunk that more will follow. Says which limit it was the first to reach, and the bytes that were given up
    /// for it. `lend`: memory for the first one.
    pub(super) fn add(
        &mut self,
        key: Key,
        (body, size): (&[u8], usize),
        is_torn: bool,
        lend: impl FnOnce() -> Vec<u8>,
    ) -> Option<Reached> {
        let known = self.open.iter().position(|partial| partial.key == key);
        let index = known.unwrap_or_else(|| {
            let bytes = if body.is_empty() || is_torn { Vec::new() } else { lend() };
            self.open.push(Partial { key, bytes, size: 0, chunks: 0, is_cut: false, is_torn });
            self.open.len() - 1
        });
        let partial = self.open.get_mut(index)?;
        partial.chunks = partial.chunks.saturating_add(1);
        partial.size = partial.size.saturating_add(size);
        if partial.is_cut || partial.is_torn {
            return Some(Reached { name: None, lost: body.len() });
        }
        if self.kept + body.len() > self.limit || partial.chunks > MAX_CHUNKS {
            partial.is_cut = true;
            return Some(Reached { name: Some("message_in_chunks"), lost: body.len() });
        }
        partial.bytes.extend_from_slice(body);
        self.kept += body.len();
        None
    }

    /// The rest of a message is not kept.
    pub(super) fn cut(&mut self, key: Key) {
        if let Some(partial) = self.open.iter_mut().find(|partial| partial.key == key) {
            partial.is_cut = true;
        }
    }

    /// Takes a message out: its last chunk is here, or its sender gave it up.
    pub(super) fn take(&mut self, key: Key) -> Option<Partial> {
        let index = self.open.iter().position(|partial| partial.key == key)?;
        let partial = self.open.remove(index);
        self.kept -= partial.bytes.len();
        Some(partial)
    }

    /// Gives up all of them; returns how many bytes they held.
    pub(super) fn clear(&mut self) -> usize {
        self.open.clear();
        core::mem::take(&mut self.kept)
    }

    /// A chunk of these messages is missing: the rest of each is of no use. Returns how many bytes they held.
    pub(super) fn tear(&mut self, from: Side, channel: u32) -> usize {
        let before = self.kept;
        for partial in self.open.iter_mut().filter(|partial| (partial.key.from, partial.key.channel) == (from, channel))
        {
            self.kept -= partial.bytes.len();
            partial.bytes = Vec::new();
            partial.is_torn = true;
        }
        before - self.kept
    }
}

/// A limit that a chunk reached.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reached {
    /// Its name; none if the message had reached it before, or has no beginning.
    pub(super) name: Option<&'static str>,
    /// Bytes that are not kept.
    pub(super) lost: usize,
}

/// The bytes that all incomplete messages of a connection may keep, in terms of [`Limits::partial`]: 2 MiB as a rule.
const SHARE: usize = 32;
/// Messages that may be incomplete at once.
const MAX_OPEN: usize = 16;
/// Chunks of one message.
const MAX_CHUNKS: u32 = 1024;
