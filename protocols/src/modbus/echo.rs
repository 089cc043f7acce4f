//! The echo of a two-wire line: some gateways receive what they send themselves, and pass each request on to the client
//! before its answer. Only RTU frames have it.

use super::entry::Entry;
use super::pending_request::{PendingRequest, Range};
use super::{Modbus, function, rtu};
use crate::context::Context;
use crate::dissector::{AnomalyKind, FrameLen, Side};

/// The echoes of a flow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Echoes {
    /// Requests are echoed before they are answered.
    are_usual: bool,
    /// Number of the request whose echo came last.
    latest: Option<u32>,
}

impl Echoes {
    pub(super) fn is_empty(self) -> bool {
        !self.are_usual && self.latest.is_none()
    }
}

impl<const IS_RTU: bool> Modbus<IS_RTU> {
    /// The length of the next RTU frame: for the server, of an answer or of the echo of a pending request.
    pub(super) fn rtu_frame_len(&self, from: Side, bytes: &[u8]) -> FrameLen {
        let answer = rtu::frame_len(from, bytes);
        if from == Side::Client || answer.is_whole(bytes) {
            return answer;
        }
        match rtu::exact_len(Side::Client, bytes) {
            Some(length) if self.find_echoed(bytes.get(..length).unwrap_or_default()).is_some() => {
                FrameLen::Bytes(length)
            }
            // The rest of an echo may arrive.
            None if answer != FrameLen::Unknown && self.may_be_echo(bytes) => FrameLen::Unknown,
            _ => answer,
        }
    }

    /// The request in flight that a frame of the server repeats.
    fn find_echoed(&self, frame: &[u8]) -> Option<&Entry> {
        let (head, data) = rtu::split(frame)?;
        let is_repeated = |entry: &&Entry| {
            (entry.unit, entry.code) == (head.unit, head.code) && is_repeated_in(&entry.asked, head.code, data)
        };
        self.pending.iter().find(is_repeated)
    }

    /// Whether bytes that are no whole answer may become the echo of a request.
    fn may_be_echo(&self, bytes: &[u8]) -> bool {
        let is_incomplete = |bytes: &[u8]| match rtu::frame_len(Side::Client, bytes) {
            FrameLen::Bytes(length) => length > bytes.len(),
            FrameLen::Unknown => true,
            FrameLen::Invalid(_) => false,
        };
        let &[unit, code, ..] = bytes else { return false };
        self.pending.iter().any(|entry| (entry.unit, entry.code) == (unit, code)) && is_incomplete(bytes)
    }

    /// Whether a frame of the server is an echo and not an answer; an echo is recorded and reported. If both look
    /// alike, the echo comes first where echoes are usual.
    pub(super) fn accept_echo(&mut self, frame: &[u8], context: &mut Context<'_>) -> bool {
        let Echoes { are_usual, latest } =
            self.irregular.as_ref().map(|irregular| irregular.echoes).unwrap_or_default();
        let number = self.find_echoed(frame).map(|entry| entry.request);
        let is_answer = rtu::exact_len(Side::Server, frame) == Some(frame.len());
        let is_echo = match number {
            None => false,
            Some(_) if !is_answer => true,
            Some(number) => are_usual && latest != Some(number),
        };
        if is_echo {
            self.irregular.get_or_insert_default().echoes = Echoes { are_usual: true, latest: number };
            context.anomaly(AnomalyKind::Echo, "request_echo", frame.get(1).map(|code| u32::from(*code)));
        } else if number.is_none() && are_usual && latest != self.pending.iter().next().map(|entry| entry.request) {
            // An answer came without the echo of its request.
            self.set_echoes(false);
        }
        is_echo
    }

    /// Records whether echoes are usual. They are, if a second answer looks like its request: the first one was the
    /// echo.
    pub(super) fn set_echoes(&mut self, are_usual: bool) {
        self.irregular.get_or_insert_default().echoes = Echoes { are_usual, latest: None };
        self.drop_readings(Side::Server);
    }
}

impl FrameLen {
    fn is_whole(self, bytes: &[u8]) -> bool {
        matches!(self, Self::Bytes(length) if length <= bytes.len())
    }
}

/// Whether the data of a request equal those of a pending request, as far as that keeps them.
fn is_repeated_in(asked: &PendingRequest, code: u8, data: &[u8]) -> bool {
    let word = |at: usize| data.get(at..).and_then(<[u8]>::first_chunk).copied().map(u16::from_be_bytes);
    let is_at = |at: usize, range: Range| word(at) == Some(range.address) && word(at + 2) == Some(range.count);
    match *asked.unwrapped() {
        PendingRequest::Range(range) | PendingRequest::Untracked(range) => match code {
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
