//! Messages of several chunks, assembled by side, channel and request within one limit for the whole connection.

use alloc::vec::Vec;

use crate::dissector::{Limits, Side};

/// Identifies the message that a chunk belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageKey {
    pub(super) from: Side,
    pub(super) channel: u32,
    /// Request id in the sequence header; `None` if that is encrypted.
    pub(super) request: Option<u32>,
}

/// A message whose last chunk has not arrived.
#[derive(Debug)]
pub(super) struct PartialMessage {
    pub(super) key: MessageKey,
    /// The bodies of its chunks so far.
    pub(super) bytes: Vec<u8>,
    /// The size of its chunks so far, headers included, bytes.
    pub(super) size: usize,
    chunks: u32,
    /// A limit was reached: only the beginning is kept.
    pub(super) is_truncated: bool,
    /// Its beginning is missing: nothing is kept.
    pub(super) is_headless: bool,
}

/// The incomplete messages of one connection, oldest first. Stacks wait for the last chunk as long as the connection lives,
/// so that only lack of room ends the wait here.
#[derive(Debug)]
pub(super) struct Assemblies {
    messages: Vec<PartialMessage>,
    /// Bytes kept, all messages together.
    kept: usize,
    /// Bytes that may be kept, all messages together.
    limit: usize,
}

impl Assemblies {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { messages: Vec::new(), kept: 0, limit: limits.partial.saturating_mul(SHARE) }
    }

    /// Whether no message is incomplete.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes kept, all messages together.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept
    }

    /// Removes and returns the oldest message of a side that keeps any bytes.
    pub(super) fn remove_oldest(&mut self, from: Side) -> Option<PartialMessage> {
        let index = self.messages.iter().position(|partial| partial.key.from == from && !partial.bytes.is_empty())?;
        let oldest = self.messages.remove(index);
        self.kept -= oldest.bytes.len();
        Some(oldest)
    }

    /// Whether this message is incomplete.
    pub(super) fn contains(&self, key: MessageKey) -> bool {
        self.messages.iter().any(|partial| partial.key == key)
    }

    /// Whether another readable message of the same side is incomplete.
    pub(super) fn has_other_message(&self, key: MessageKey) -> bool {
        let is_beside = |partial: &PartialMessage| partial.key.from == key.from && partial.key != key;
        self.messages.iter().any(|partial| is_beside(partial) && partial.key.request.is_some() && !partial.is_headless)
    }

    /// Removes the messages of a side whose beginning is missing: the next message has begun.
    pub(super) fn remove_headless(&mut self, from: Side) {
        self.messages.retain(|partial| !partial.is_headless || partial.key.from != from);
    }

    /// Removes and returns the oldest message if there is no room for this one.
    pub(super) fn evict_if_full(&mut self, key: MessageKey) -> Option<PartialMessage> {
        let is_full = self.messages.len() >= MAX_MESSAGES && !self.contains(key);
        let oldest = if is_full { Some(self.messages.remove(0)) } else { None }?;
        self.kept -= oldest.bytes.len();
        Some(oldest)
    }

    /// Appends a chunk that others will follow. Returns [`Rejected`] if it is not kept. `lend`: memory for the first
    /// chunk.
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
        partial.bytes.extend_from_slice(body);
        self.kept += body.len();
        None
    }

    /// Keeps no more of a message than there is.
    pub(super) fn truncate(&mut self, key: MessageKey) {
        if let Some(partial) = self.messages.iter_mut().find(|partial| partial.key == key) {
            partial.is_truncated = true;
        }
    }

    /// Removes and returns a message: its last chunk is here, or its sender aborted it.
    pub(super) fn remove(&mut self, key: MessageKey) -> Option<PartialMessage> {
        let index = self.messages.iter().position(|partial| partial.key == key)?;
        let partial = self.messages.remove(index);
        self.kept -= partial.bytes.len();
        Some(partial)
    }

    /// Removes all messages. Returns the number of bytes that they kept.
    pub(super) fn clear(&mut self) -> usize {
        self.messages.clear();
        core::mem::take(&mut self.kept)
    }

    /// Drops the incomplete messages of a side and channel, because one of their chunks was lost, and ignores their
    /// remaining chunks. Returns the number of bytes that they kept.
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

/// A chunk that is not kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rejected {
    /// The limit that it was the first to exceed; `None` if its message had exceeded it before or has no beginning.
    pub(super) limit: Option<&'static str>,
    /// Size of its body, bytes.
    pub(super) lost: usize,
}

/// Limit on the bytes kept by the incomplete messages of a connection, in units of [`Limits::partial`]: 2 MiB by default.
const SHARE: usize = 32;
/// Limit on incomplete messages of a connection.
const MAX_MESSAGES: usize = 16;
/// Limit on the chunks of a message.
const MAX_CHUNKS: u32 = 1024;
