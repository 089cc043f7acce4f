//! What TCP reassembly delivers, on its way to the decoder.

use lockkeeper_protocols::Stamp;

use super::FlowState;
use crate::capture::Origin;
use crate::flow::{End, Reading, ReadingCause, StreamHandler};
use crate::record::{Doubt, Evidence};
use crate::worker::state::WorkerState;

/// Takes in what TCP reassembly delivers.
pub(in crate::worker) struct StreamSink<'a> {
    pub(in crate::worker) flow: &'a mut FlowState,
    pub(in crate::worker) state: &'a mut WorkerState,
}

impl StreamHandler for StreamSink<'_> {
    #[inline(always)]
    fn on_bytes(&mut self, from: End, bytes: &[u8], stamp: &Stamp) {
        self.flow.take_bytes(from, bytes, stamp, self.state);
        if self.flow.facts.has_readings {
            self.flow.continue_readings(from, bytes, stamp, self.state);
        }
    }

    fn on_gap(&mut self, from: End, _missing: u32, _stamp: &Stamp) {
        self.flow.gap(from, self.state);
        self.flow.end_readings(from);
    }

    fn on_limit(&mut self, _from: End, stamp: &Stamp) {
        self.state.report_doubt(&mut self.flow.facts, Doubt::GivenUp, stamp);
    }

    fn on_reading(&mut self, from: End, reading: &Reading<'_>, stamp: &Stamp) {
        let doubt = match reading.cause {
            ReadingCause::Differs { origin } => Some(Doubt::DifferingRepeat(evidence_at(origin))),
            ReadingCause::AfterEnd => Some(Doubt::DataAfterEnd),
            ReadingCause::Unverified | ReadingCause::Stray | ReadingCause::Urgent => None,
        };
        if let Some(doubt) = doubt {
            self.state.report_doubt(&mut self.flow.facts, doubt, stamp);
        }
        self.flow.begin_reading(from, reading, stamp, self.state);
    }
}

/// The packet of an origin.
fn evidence_at(origin: u64) -> Evidence {
    let Origin { capture, number } = Origin::of(&Stamp { origin, ..Stamp::default() });
    Evidence { capture, packet: number }
}
