//! Messages in several chunks: put together by side, channel and request, under one cap for the whole connection.

use alloc::vec::Vec;

use crate::dissector::{Limits, Side};
use crate::memory;

/// What a chunk belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageKey {
    pub(super) from: Side,
    pub(super) channel: u32,
    /// Number of the request in its sequence header; none where that is encrypted.
    pub(super) request: Option<u32>,
}

/// A message of which chunks are missing.
#[derive(Debug)]
pub(super) struct PartialMessage {
    pub(super) key: MessageKey,
    /// Bodies of its chunks so far.
    pub(super) bytes: Vec<u8>,
    /// Size of its chunks so far, headers included.
    pub(super) size: usize,
    chunks: u32,
    /// A limit was reached: only its beginning is kept.
    pub(super) is_truncated: bool,
    /// Its beginning is missing: nothing is kept.
    pub(super) is_headless: bool,
}

/// The incomplete messages of one connection, oldest first. Real stacks wait for the end of one for as long as the
/// connection lives, so that nothing but want of memory ends the wait here.
#[derive(Debug)]
pub(super) struct Assemblies {
    messages: Vec<PartialMessage>,
    /// Bytes that all of them keep.
    kept: usize,
    /// Bytes that all of them may keep.
    limit: usize,
}

impl Assemblies {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { messages: Vec::new(), kept: 0, limit: limits.partial.saturating_mul(SHARE) }
    }

    /// Whether nothing is incomplete.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes that all of them keep.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept
    }

    /// Takes the oldest message of a side out that keeps anything.
    pub(super) fn remove_oldest(&mut self, from: Side) -> Option<PartialMessage> {
        let index = self.messages.iter().position(|partial| partial.key.from == from && !partial.bytes.is_empty())?;
        let oldest = self.messages.remove(index);
        self.kept -= oldest.bytes.len();
        Some(oldest)
    }

    /// Whether a message has begun.
    pub(super) fn contains(&self, key: MessageKey) -> bool {
        self.messages.iter().any(|partial| partial.key == key)
    }

    /// Whether a readable message of the same side is incomplete while a chunk of another one comes.
    pub(super) fn has_other_message(&self, key: MessageKey) -> bool {
        let is_beside = |partial: &PartialMessage| partial.key.from == key.from && partial.key != key;
        self.messages.iter().any(|partial| is_beside(partial) && partial.key.request.is_some() && !partial.is_headless)
    }

    /// Another message begins: the end of one whose beginning is missing does not come any more.
    pub(super) fn remove_headless(&mut self, from: Side) {
        self.messages.retain(|partial| !partial.is_headless || partial.key.from != from);
    }

    /// Takes the oldest message out if there is no room for one more.
    pub(super) fn evict_if_full(&mut self, key: MessageKey) -> Option<PartialMessage> {
        let is_full = self.messages.len() >= MAX_MESSAGES && !self.contains(key);
        let oldest = if is_full { Some(self.messages.remove(0)) } else { None }?;
        self.kept -= oldest.bytes.len();
        Some(oldest)
    }

    /// Adds a chunk that more will follow. Says which limit it was the first to reach, and the bytes that were given up
    /// for it. `lend`: memory for the first one.
    pub(super) fn append(
        &mut self,
        key: MessageKey,
        (body, size): (&[u8], usize),
        is_headless: bool,
        lend: impl FnOnce() -> Vec<u8>,
    ) -> Option<Rejected> {
        let known = self.messages.iter().position(|partial| partial.key == key);
        let index = known.unwrap_or_else(|| {
            let bytes = if body.is_empty() || is_headless { Vec::new() } else { lend() };
            self.messages.push(PartialMessage { key, bytes, size: 0, chunks: 0, is_truncated: false, is_headless });
            self.messages.len() - 1
        });
        let partial = self.messages.get_mut(index)?;
        partial.chunks = partial.chunks.saturating_add(1);
        partial.size = partial.size.saturating_add(size);
        if partial.is_truncated || partial.is_headless {
            return Some(Rejected { limit: None, lost: body.len() });
        }
        if self.kept + body.len() > self.limit || partial.chunks > MAX_CHUNKS {
            partial.is_truncated = true;
            return Some(Rejected { limit: Some("message_in_chunks"), lost: body.len() });
        }
        memory::append(&mut partial.bytes, body);
        self.kept += body.len();
        None
    }

    /// The rest of a message is not kept.
    pub(super) fn truncate(&mut self, key: MessageKey) {
        if let Some(partial) = self.messages.iter_mut().find(|partial| partial.key == key) {
            partial.is_truncated = true;
        }
    }

    /// Takes a message out: its last chunk is here, or its sender gave it up.
    pub(super) fn remove(&mut self, key: MessageKey) -> Option<PartialMessage> {
        let index = self.messages.iter().position(|partial| partial.key == key)?;
        let partial = self.messages.remove(index);
        self.kept -= partial.bytes.len();
        Some(partial)
    }

    /// Gives up all of them; returns how many bytes they held.
    pub(super) fn clear(&mut self) -> usize {
        self.messages.clear();
        core::mem::take(&mut self.kept)
    }

    /// A chunk of these messages is missing: the rest of each is of no use. Returns how many bytes they held.
    pub(super) fn mark_headless(&mut self, from: Side, channel: u32) -> usize {
        let before = self.kept;
        for partial in
            self.messages.iter_mut().filter(|partial| (partial.key.from, partial.key.channel) == (from, channel))
        {
            self.kept -= partial.bytes.len();
            partial.bytes = Vec::new();
            partial.is_headless = true;
        }
        before - self.kept
    }
}

/// A limit that a chunk reached.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rejected {
    /// Its name; none if the message had reached it before, or has no beginning.
    pub(super) limit: Option<&'static str>,
    /// Bytes that are not kept.
    pub(super) lost: usize,
}

/// The bytes that all incomplete messages of a connection may keep, in terms of [`Limits::partial`]: 2 MiB as a rule.
const SHARE: usize = 32;
/// Messages that may be incomplete at once.
const MAX_MESSAGES: usize = 16;
/// Chunks of one message.
const MAX_CHUNKS: u32 = 1024;
