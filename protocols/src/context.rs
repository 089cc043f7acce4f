//! The context of one frame: its sender, its stamp, and the sink of its events.

use crate::dissector::{Anomaly, AnomalyKind, Side, Sink, Stamp};

/// Passed down to every decoding function of a frame.
pub(crate) struct Context<'s> {
    pub(crate) from: Side,
    pub(crate) stamp: &'s Stamp,
    pub(crate) sink: &'s mut dyn Sink,
}

impl Context<'_> {
    /// Reports that a field breaks the specification.
    pub(crate) fn malformed(&mut self, name: &'static str, value: impl Into<u32>) {
        self.anomaly(AnomalyKind::Malformed, name, Some(value.into()));
    }

    /// Reports an anomaly.
    pub(crate) fn anomaly(&mut self, kind: AnomalyKind, name: &'static str, value: Option<u32>) {
        self.sink.anomaly(Anomaly { kind, name, value, from: self.from }, self.stamp);
    }

    /// Reports bytes that follow where the PDU should end.
    #[inline]
    pub(crate) fn expect_end(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.malformed("trailing_bytes", rest.len() as u32);
        }
    }
}
