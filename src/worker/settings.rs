//! What a worker runs on.

use std::sync::Arc;

use lockkeeper_protocols::Limits;

use super::checksums::Checksums;
use crate::flow::{DuplicateSettings, StreamSettings, TableSettings};
use crate::keys::KeyLog;

/// What a worker runs on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bounds and timeouts of the conversation table of one shard.
    pub table: TableSettings,
    /// Reordering and reassembly.
    pub streams: StreamSettings,
    /// Recognition of mirrored copies.
    pub duplicates: DuplicateSettings,
    /// What a wrong checksum means.
    pub checksums: Checksums,
    /// Bounds of the decoders.
    pub decoder: Limits,
    /// Whether every transaction is written.
    pub transactions: bool,
    /// Bytes that the conversations of one shard may hold together: segments out of order, incomplete messages, unanswered
    /// requests, subscriptions.
    pub memory: usize,
    /// Hosts without IP that one shard lists, and pairs of them that it remembers: 50 bytes each.
    pub neighbours: usize,
    /// Keys for encrypted channels that are known from the start.
    pub keys: Arc<KeyLog>,
}
