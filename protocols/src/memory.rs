//! Bytes that have to be kept.

use alloc::vec::Vec;

use crate::dissector::Sink;

/// Memory for bytes that are to be kept, `wanted` in all: lent, unless that is far more than what is `there` calls for.
/// Whoever claims much and sends little costs little.
pub(crate) fn lent(there: usize, wanted: usize, sink: &mut dyn Sink) -> Vec<u8> {
    sink.lend(wanted, GROWTH * there)
}

/// Adds bytes to those that are kept, as [`Vec::extend_from_slice`] does, in pieces. What is longer, the C library copies by
/// one instruction (`rep movsb`), which takes several times as long on AMD EPYC if both ends lie at nearly the same place of
/// their pages of memory: that was a tenth of all the time for OPC UA messages in chunks.
pub(crate) fn append(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.reserve(bytes.len());
    bytes.chunks(PIECE).for_each(|piece| kept.extend_from_slice(piece));
}

/// Room for what is still arriving, at most, in terms of what has come of it.
pub(crate) const GROWTH: usize = 8;
/// Bytes that are copied by ordinary instructions.
const PIECE: usize = 2048;
