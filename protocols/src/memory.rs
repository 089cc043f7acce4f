//! Buffers for incomplete frames and messages.

use alloc::vec::Vec;

use crate::dissector::Sink;

/// An empty buffer for `wanted` bytes of which `available` have arrived, lent by the sink. Bounded by what has arrived: a
/// sender that announces much and sends little costs little.
pub(crate) fn lent(available: usize, wanted: usize, sink: &mut dyn Sink) -> Vec<u8> {
    sink.lend(wanted, GROWTH * available)
}

/// A buffer is at most so many times as large as what has arrived.
pub(crate) const GROWTH: usize = 8;
