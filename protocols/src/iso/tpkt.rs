//! The TPKT header (RFC 1006, 6): version 3, a reserved byte, the length of the whole frame.

use super::cotp::{self, Tpdu};
use crate::dissector::{Boundary, FrameLen};

/// Where the frame ends. Any TPDU is framed: what it means is judged later.
#[inline]
pub(crate) fn frame_len(bytes: &[u8]) -> FrameLen {
    let Some(&[version, _, high, low]) = bytes.first_chunk() else { return partial_header(bytes) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version != VERSION {
        FrameLen::Invalid("tpkt_version")
    } else if length < MIN_FRAME {
        FrameLen::Invalid("tpkt_length")
    } else {
        FrameLen::Bytes(length)
    }
}

#[cold]
fn partial_header(bytes: &[u8]) -> FrameLen {
    match bytes.first() {
        None | Some(&VERSION) => FrameLen::Unknown,
        Some(_) => FrameLen::Invalid("tpkt_version"),
    }
}

/// Whether a frame of class 0 could start here. Longer ones than anybody negotiates are not waited for: what only looks
/// like one would hide what follows.
pub(crate) fn may_start(bytes: &[u8]) -> bool {
    let fits = |at: usize, holds: fn(u8) -> bool| bytes.get(at).is_none_or(|byte| holds(*byte));
    fits(0, |version| version == VERSION)
        && fits(1, |reserved| reserved == 0)
        && fits(2, |high| usize::from(high) <= USUAL_FRAME >> 8)
        && fits(4, |header| header >= 2)
        && fits(5, cotp::is_known)
}

/// How well a whole frame proves that it really starts where it seems to. `is_own`: whether a whole TSDU has the shape
/// of the protocol above.
pub(crate) fn boundary(frame: &[u8], is_own: impl Fn(&[u8]) -> bool) -> Boundary {
    match cotp::parse(frame) {
        Ok(Tpdu::Connect(connect)) if connect.fault.is_none() => Boundary::Certain,
        Ok(Tpdu::Data { end: true, data, fault: None }) if is_own(data) => Boundary::Certain,
        Ok(Tpdu::Data { fault: None, .. } | Tpdu::Disconnect { .. }) => Boundary::Likely,
        _ => Boundary::Unlikely,
    }
}

/// RFC 1006, 6.
const VERSION: u8 = 3;
/// Bytes of the header.
pub(super) const HEADER: usize = 4;
/// The header and the shortest TPDU, bytes.
pub(crate) const MIN_FRAME: usize = 7;
/// The longest TPDU that X.224 lets a connection negotiate (13.3.4 b), and its header, bytes.
const USUAL_FRAME: usize = 8192 + HEADER;
/// The length field has 16 bits.
pub(crate) const MAX_FRAME: usize = 0xFFFF;
