//! The TPKT header (RFC 1006, 6): version 3, a reserved byte, the length of the whole frame.
//!
//! Servers frame by the length alone: snap7 1.4.2 (C++) executes frames, connection requests included, with version 0 or
//! 255 and with any reserved byte; python-snap7 3.3.0 ignores the reserved byte. So a frame of another version is accepted
//! if its TPDU is exact, and the fault is reported when it is decoded.

use super::cotp::{self, CC, CR, DT, END, Tpdu};
use crate::dissector::{Boundary, FrameLen};

/// The length of the frame. Any TPDU after a valid header is accepted: decoding judges it.
#[inline]
pub(crate) fn frame_len(bytes: &[u8]) -> FrameLen {
    match bytes.first_chunk() {
        Some(&[VERSION, _, high, low]) if high <= USUAL_HIGH && (high > 0 || usize::from(low) >= MIN_FRAME) => {
            FrameLen::Bytes(usize::from(u16::from_be_bytes([high, low])))
        }
        _ => unusual_frame_len(bytes),
    }
}

/// The length of a frame whose header is unusual: of another version, of an impossible length, or longer than connections
/// can negotiate.
fn unusual_frame_len(bytes: &[u8]) -> FrameLen {
    let Some((&[version, _, high, low], tpdu)) = bytes.split_first_chunk() else { return FrameLen::Unknown };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let shape = match version {
        _ if length < MIN_FRAME => return FrameLen::Invalid("tpkt_length"),
        VERSION if length <= USUAL_FRAME => Shape::Fits,
        VERSION => filling_pdu_shape(tpdu, length),
        _ if length <= USUAL_FRAME => exact_tpdu_shape(tpdu, length),
        _ => Shape::Broken,
    };
    match (shape, version) {
        (Shape::Fits, _) => FrameLen::Bytes(length),
        (Shape::Unknown, _) => FrameLen::Unknown,
        (Shape::Broken, VERSION) => FrameLen::Invalid("tpkt_length"),
        (Shape::Broken, _) => FrameLen::Invalid("tpkt_version"),
    }
}

/// Whether bytes have the expected structure.
enum Shape {
    Fits,
    /// More bytes are needed.
    Unknown,
    Broken,
}

/// Whether a TPDU is as clients send it: a DT with the header of class 0, a DT with another header that a PDU of S7comm
/// fills, or a CR or CC of class 0 that fills its frame.
fn exact_tpdu_shape(tpdu: &[u8], length: usize) -> Shape {
    match *tpdu {
        [] | [_] | [2, DT] => Shape::Unknown,
        [2, DT, 0 | END, ..] => Shape::Fits,
        [header, CR | CC, ..] if usize::from(header) + HEADER + 1 != length || header < CONNECT_HEADER => Shape::Broken,
        [_, CR | CC, _, _, _, _, 0, ..] => Shape::Fits,
        [_, CR | CC, ref fields @ ..] if fields.len() < 5 => Shape::Unknown,
        [_, DT] => Shape::Unknown,
        [_, DT, number, ..] if number & END != 0 => filling_pdu_shape(tpdu, length),
        _ => Shape::Broken,
    }
}

/// Whether the PDU in a DT states lengths that fill the frame, so that they explain a frame longer than connections can
/// negotiate. Without that, such a length would hide all the frames after it: no known server waits for the end of such a
/// frame.
fn filling_pdu_shape(tpdu: &[u8], length: usize) -> Shape {
    let &[_, DT, end, ref pdu @ ..] = tpdu else {
        return if matches!(tpdu, [] | [_] | [_, DT]) { Shape::Unknown } else { Shape::Broken };
    };
    let number = |high, low| usize::from(u16::from_be_bytes([high, low]));
    let is = |pdu: usize| match end & END {
        0 => TPDU_DATA + pdu >= length,
        _ => TPDU_DATA + pdu == length,
    };
    match *pdu {
        // The trailer is there or not.
        [S7COMM_PLUS, 1..=3, high, low, ..] if is(number(high, low) + PLUS_HEADER) => Shape::Fits,
        [S7COMM_PLUS, 1..=3, high, low, ..] if is(number(high, low) + 2 * PLUS_HEADER) => Shape::Fits,
        [_, rosctr, _, _, _, _, p_high, p_low, d_high, d_low, ..] => {
            let header = if matches!(rosctr, 2 | 3) { [10, 12] } else { [10, 10] };
            let lengths = header.map(|header| header + number(p_high, p_low) + number(d_high, d_low));
            if lengths.into_iter().any(is) { Shape::Fits } else { Shape::Broken }
        }
        _ => Shape::Unknown,
    }
}

/// Whether a frame of class 0 may start here. Not one longer than connections can negotiate: bytes that only look like one
/// would hide the frames that follow. A frame of another version must carry S7comm.
pub(crate) fn may_start(bytes: &[u8]) -> bool {
    let fits = |at: usize, holds: fn(u8) -> bool| bytes.get(at).is_none_or(|byte| holds(*byte));
    let is_short = fits(2, |high| usize::from(high) <= USUAL_FRAME >> 8);
    let is_sound = fits(0, |version| version == VERSION) && fits(1, |reserved| reserved == 0);
    let carries = |at, holds| is_short && fits(at, holds);
    if is_sound {
        carries(4, |header| header >= 2) && fits(5, cotp::is_known)
    } else {
        carries(4, |header| header == 2)
            && fits(5, |code| code == DT)
            && fits(6, |number| number == END)
            && fits(7, |protocol| protocol == S7COMM)
            && fits(8, |rosctr| matches!(rosctr, 1..=3 | 7))
    }
}

/// How well a whole frame proves its start. `is_own`: whether a whole TSDU is a PDU of the protocol above.
pub(crate) fn boundary(frame: &[u8], is_own: impl Fn(&[u8]) -> bool) -> Boundary {
    let is_sound = matches!(frame, [VERSION, 0, ..]);
    match cotp::parse(frame) {
        Ok(Tpdu::Data { end: true, data, fault: None, .. }) if is_own(data) => Boundary::Certain,
        _ if !is_sound => Boundary::Unlikely,
        Ok(Tpdu::Connect(connect)) if connect.fault.is_none() => Boundary::Certain,
        Ok(Tpdu::Data { fault: None, .. } | Tpdu::Disconnect { .. }) => Boundary::Likely,
        _ => Boundary::Unlikely,
    }
}

/// RFC 1006, 6.
pub(super) const VERSION: u8 = 3;
/// Bytes of the header.
pub(super) const HEADER: usize = 4;
/// The header and the shortest TPDU, bytes.
pub(crate) const MIN_FRAME: usize = 7;
/// The longest TPDU that X.224 lets a connection negotiate (13.3.4 b), and its header, bytes.
const USUAL_FRAME: usize = 8192 + HEADER;
/// Frames whose length has at most this upper byte are shorter than [`USUAL_FRAME`].
const USUAL_HIGH: u8 = 0x1F;
/// The length field has 16 bits.
pub(crate) const MAX_FRAME: usize = 0xFFFF;
/// Bytes of a CR or CC behind its length indicator, without parameters.
const CONNECT_HEADER: u8 = 6;
/// Bytes before the user data of a DT.
const TPDU_DATA: usize = HEADER + 3;
/// First byte of a PDU of S7comm, and of one of S7comm-plus.
const S7COMM: u8 = 0x32;
const S7COMM_PLUS: u8 = 0x72;
/// Bytes of the header of a PDU of S7comm-plus, and of its trailer.
const PLUS_HEADER: usize = 4;
