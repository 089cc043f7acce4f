//! The echo of a two-wire line: some gateways hear what they send themselves, and pass each request on to the client before
//! its answer. Only RTU frames have it.

use super::entry::Entry;
use super::pending_request::{PendingRequest, Range};
use super::{Modbus, function, rtu};
use crate::context::Context;
use crate::dissector::{AnomalyKind, FrameLen, Side};

/// What is known about the echoes of a flow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Echoes {
    /// Requests are repeated here before they are answered.
    are_usual: bool,
    /// Number of the request whose echo came last.
    latest: Option<u32>,
}

impl Echoes {
    pub(super) fn are_none(self) -> bool {
        !self.are_usual && self.latest.is_none()
    }
}

impl<const IS_RTU: bool> Modbus<IS_RTU> {
    /// Where the next RTU frame of the server ends: its answer, or the echo of a request that waits.
    pub(super) fn rtu_frame_len(&self, from: Side, bytes: &[u8]) -> FrameLen {
        let answer = rtu::frame_len(from, bytes);
        if from == Side::Client || answer.is_whole(bytes) {
            return answer;
        }
        match rtu::exact(Side::Client, bytes) {
            Some(length) if self.echoed(bytes.get(..length).unwrap_or_default()).is_some() => FrameLen::Bytes(length),
            // The rest of an echo may come.
            None if answer != FrameLen::Unknown && self.may_be_echo(bytes) => FrameLen::Unknown,
            _ => answer,
        }
    }

    /// The request in flight that a frame of the server repeats.
    fn echoed(&self, frame: &[u8]) -> Option<&Entry> {
        let (head, data) = rtu::split(frame)?;
        let is_repeated = |entry: &&Entry| {
            (entry.unit, entry.code) == (head.unit, head.code) && repeats(&entry.asked, head.code, data)
        };
        self.pending.iter().find(is_repeated)
    }

    /// Whether bytes that are not all of an answer may become the echo of a request.
    fn may_be_echo(&self, bytes: &[u8]) -> bool {
        let is_incomplete = |bytes: &[u8]| match rtu::frame_len(Side::Client, bytes) {
            FrameLen::Bytes(length) => length > bytes.len(),
            FrameLen::Unknown => true,
            FrameLen::Invalid(_) => false,
        };
        let &[unit, code, ..] = bytes else { return false };
        self.pending.iter().any(|entry| (entry.unit, entry.code) == (unit, code)) && is_incomplete(bytes)
    }

    /// Whether a frame of the server is an echo and not an answer. Where both look alike, the echo comes first if it usually
    /// does.
    pub(super) fn is_echo(&mut self, frame: &[u8], context: &mut Context<'_>) -> bool {
        let Echoes { are_usual, latest } = self.doubt.as_ref().map(|doubt| doubt.echoes).unwrap_or_default();
        let number = self.echoed(frame).map(|entry| entry.request);
        let is_answer = rtu::exact(Side::Server, frame) == Some(frame.len());
        let is_echo = match number {
            None => false,
            Some(_) if !is_answer => true,
            Some(number) => are_usual && latest != Some(number),
        };
        if is_echo {
            self.doubt.get_or_insert_default().echoes = Echoes { are_usual: true, latest: number };
            context.anomaly(AnomalyKind::Echo, "request_echo", frame.get(1).map(|code| u32::from(*code)));
        } else if number.is_none() && are_usual && latest != self.pending.iter().next().map(|entry| entry.request) {
            // An answer came without the echo of its request.
            self.set_echoes(false);
        }
        is_echo
    }

    /// An answer was the second one to a request that looks like it: the first one was the echo.
    pub(super) fn set_echoes(&mut self, are_usual: bool) {
        self.doubt.get_or_insert_default().echoes = Echoes { are_usual, latest: None };
        self.forget_doubt(Side::Server);
    }
}

impl FrameLen {
    fn is_whole(self, bytes: &[u8]) -> bool {
        matches!(self, Self::Bytes(length) if length <= bytes.len())
    }
}

/// Whether the data of a request are those of one that was asked, as far as that is remembered.
fn repeats(asked: &PendingRequest, code: u8, data: &[u8]) -> bool {
    let word = |at: usize| data.get(at..).and_then(<[u8]>::first_chunk).copied().map(u16::from_be_bytes);
    let is_at = |at: usize, range: Range| word(at) == Some(range.address) && word(at + 2) == Some(range.count);
    match *asked.plainly() {
        PendingRequest::Range(range) | PendingRequest::Passed(range) => match code {
            function::WRITE_SINGLE_COIL
            | function::WRITE_SINGLE_REGISTER
            | function::MASK_WRITE_REGISTER
            | function::READ_FIFO_QUEUE => word(0) == Some(range.address),
            _ => is_at(0, range),
        },
        PendingRequest::ReadWrite { write, read } => is_at(0, read) && is_at(4, write),
        PendingRequest::Sub(number) if code == function::DIAGNOSTICS => word(0) == Some(number),
        PendingRequest::Sub(number) if code == function::UMAS => {
            data.get(1).is_some_and(|second| u16::from(*second) == number)
        }
        PendingRequest::Sub(number) => data.first().is_some_and(|first| u16::from(*first) == number),
        PendingRequest::Whole
        | PendingRequest::Files(_)
        | PendingRequest::Ambiguous(_)
        | PendingRequest::Exceeding(_) => true,
    }
}
