//! What every decoding step needs to know: who speaks, when, and who listens.

use crate::dissector::{Anomaly, AnomalyKind, Side, Sink, Stamp};

/// The head of a PDU, whatever the framing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Transaction identifier; 0 where the framing has none (RTU).
    pub(super) transaction: u16,
    /// Unit identifier.
    pub(super) unit: u8,
    /// Function code as sent, exception bit included.
    pub(super) code: u8,
}

/// One frame's sender, time and listener.
pub(super) struct Context<'s> {
    pub(super) from: Side,
    pub(super) stamp: Stamp,
    pub(super) sink: &'s mut dyn Sink,
}

impl Context<'_> {
    /// A field breaks the specification.
    #[cold]
    pub(super) fn malformed(&mut self, name: &'static str, value: impl Into<u32>) {
        self.anomaly(AnomalyKind::Malformed, name, Some(value.into()));
    }

    /// Any deviation.
    #[cold]
    pub(super) fn anomaly(&mut self, kind: AnomalyKind, name: &'static str, value: Option<u32>) {
        self.sink.anomaly(Anomaly { kind, name, value, from: self.from }, self.stamp);
    }

    /// Bytes that follow where the PDU should end.
    #[inline]
    pub(super) fn expect_end(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.malformed("trailing_bytes", rest.len() as u32);
        }
    }
}
