//! The MBAP header (Modbus Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3): transaction identifier, protocol
//! identifier, length, unit identifier; then the PDU.

use super::head::Head;
use super::shape::{self, Fit};
use crate::dissector::{FrameLen, Probe, Side, Transport};

/// Where the frame ends. Any function code is framed: what it means is judged later.
#[inline]
pub(super) fn frame_len(bytes: &[u8]) -> FrameLen {
    let Some(&[_, _, protocol_high, protocol_low, high, low]) = bytes.first_chunk::<HEADER>() else {
        return partial_header(bytes);
    };
    let length = u16::from_be_bytes([high, low]);
    if protocol_high | protocol_low != 0 {
        return FrameLen::Invalid("protocol_identifier");
    }
    if !(MIN_LENGTH..=MAX_LENGTH).contains(&length) {
        return FrameLen::Invalid("length");
    }
    FrameLen::Bytes(HEADER + usize::from(length))
}

/// What a header that is not complete already rules out.
#[cold]
fn partial_header(bytes: &[u8]) -> FrameLen {
    let is_set = |at: usize| bytes.get(at).is_some_and(|byte| *byte != 0);
    if is_set(2) || is_set(3) {
        FrameLen::Invalid("protocol_identifier")
    } else if is_set(4) {
        FrameLen::Invalid("length")
    } else {
        FrameLen::Unknown
    }
}

/// Takes a whole frame apart.
#[inline]
pub(super) fn split(frame: &[u8]) -> Option<(Head, &[u8])> {
    let (&[high, low, _, _, _, _, unit, code], data) = frame.split_first_chunk::<8>()?;
    Some((Head { transaction: u16::from_be_bytes([high, low]), unit, code }, data))
}

/// Judges the first bytes of one end by the first frames in them.
pub(super) fn probe(transport: Transport, bytes: &[u8]) -> Probe {
    let mut verdict = Probe::More;
    let mut rest = bytes;
    for _ in 0..PROBED_FRAMES {
        let frame = match frame_len(rest) {
            FrameLen::Bytes(length) => rest.get(..length),
            FrameLen::Unknown => None,
            // A broken second frame spoils the first.
            FrameLen::Invalid(_) => return verdict.weakened(),
        };
        // A datagram cannot end inside a frame.
        let Some(frame) = frame else { return if transport == Transport::Udp { verdict.weakened() } else { verdict } };
        verdict = verdict.and(judge(frame));
        rest = rest.get(frame.len()..).unwrap_or_default();
        if rest.is_empty() || verdict == Probe::No {
            break;
        }
    }
    verdict
}

/// Judges one frame without knowing who sent it.
fn judge(frame: &[u8]) -> Probe {
    let Some((head, data)) = split(frame) else { return Probe::No };
    match (shape::request(head.code, data), shape::response(head.code, data)) {
        (Fit::Exact, Fit::Exact) => Probe::Yes { sender: None },
        (Fit::Exact, _) => Probe::Yes { sender: Some(Side::Client) },
        (_, Fit::Exact) => Probe::Yes { sender: Some(Side::Server) },
        _ if head.code >= super::function::EXCEPTION => Probe::Maybe { sender: Some(Side::Server) },
        _ => Probe::Maybe { sender: None },
    }
}

impl Probe {
    /// The verdict on frames that follow each other: as weak as the weakest, and sent by whoever one of them names.
    fn and(self, next: Self) -> Self {
        match (self, next) {
            (Self::More | Self::Wait { .. }, only) => only,
            (Self::No, _) | (_, Self::No) => Self::No,
            (first, Self::More | Self::Wait { .. }) => first,
            (Self::Yes { sender: first }, Self::Yes { sender: second }) => Self::Yes { sender: first.or(second) },
            (
                Self::Yes { sender: first } | Self::Maybe { sender: first },
                Self::Yes { sender: second } | Self::Maybe { sender: second },
            ) => Self::Maybe { sender: first.or(second) },
        }
    }

    /// The verdict when what follows is no frame.
    fn weakened(self) -> Self {
        match self {
            Self::Yes { sender } | Self::Maybe { sender } => Self::Maybe { sender },
            Self::More | Self::Wait { .. } | Self::No => Self::No,
        }
    }
}

/// Bytes before those that the length field counts.
const HEADER: usize = 6;
/// A unit identifier and a function code.
const MIN_LENGTH: u16 = 2;
/// A unit identifier and the longest PDU (253 bytes).
const MAX_LENGTH: u16 = 254;
/// How many frames are looked at to identify the protocol.
const PROBED_FRAMES: usize = 4;
