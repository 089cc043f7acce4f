//! The MBAP header (Modbus Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3): transaction identifier, protocol
//! identifier, length, unit identifier; then the PDU.
//!
//! Servers differ in how they frame. Some use the length (pymodbus); some use the function code and ignore length and
//! protocol identifier (libmodbus, and with it most small devices). Where the two differ, both readings are reported:
//! see [`Framed`].

use super::function;
use super::head::Head;
use super::length::{self, Length};
use super::shape::{self, Fit};
use super::{rtu, umas};
use crate::dissector::{FrameLen, Probe, Side, Transport};

/// The frame at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framed {
    /// More bytes are needed.
    More,
    /// A frame as long as its header states, which nothing contradicts.
    Plain(usize),
    /// A frame that is sound by its function, with a wrong header.
    WrongHeader(WrongHeader),
    /// A frame that is shorter by its header than by its function; the rest may still arrive.
    Short(usize),
    /// No frame.
    None(&'static str),
}

/// A frame with a wrong header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrongHeader {
    /// End of the frame by its function.
    pub(super) own: usize,
    /// End of the frame by its header, if it differs.
    pub(super) claimed: Option<usize>,
    /// The wrong field, and its value.
    pub(super) fault: (&'static str, u32),
    /// Both the length and the protocol identifier are wrong.
    pub(super) is_doubly_wrong: bool,
}

/// The head of the first frame, its unit and PDU, and the bytes after it, if the frame is whole and its header sound.
#[inline]
pub(super) fn split_sound(bytes: &[u8]) -> Option<(Head, &[u8], &[u8])> {
    let (&[high, low, protocol_high, protocol_low, length_high, length_low], rest) =
        bytes.split_first_chunk::<HEADER>()?;
    let length = u16::from_be_bytes([length_high, length_low]);
    if protocol_high | protocol_low != 0 || !(MIN_LENGTH..=MAX_LENGTH).contains(&length) {
        return None;
    }
    let (body, behind) = rest.split_at_checked(usize::from(length))?;
    let &[unit, code, ..] = body else { return None };
    Some((Head { transaction: u16::from_be_bytes([high, low]), unit, code }, body, behind))
}

/// Splits a whole frame into head and data, whatever its header states.
#[inline]
pub(super) fn split(frame: &[u8]) -> Option<(Head, &[u8])> {
    let (&[high, low, _, _, _, _, unit, code], data) = frame.split_first_chunk::<8>()?;
    Some((Head { transaction: u16::from_be_bytes([high, low]), unit, code }, data))
}

/// What is wrong with the header of a whole frame.
pub(super) fn fault(frame: &[u8]) -> Option<(&'static str, u32)> {
    let header = Header::read(frame)?;
    (header.protocol != 0 || header.end() != frame.len()).then(|| header.fault())
}

/// The fields of a header that frame.
#[derive(Clone, Copy)]
struct Header {
    protocol: u16,
    length: u16,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let &[_, _, protocol_high, protocol_low, high, low] = bytes.first_chunk::<HEADER>()?;
        let [protocol, length] = [[protocol_high, protocol_low], [high, low]].map(u16::from_be_bytes);
        Some(Self { protocol, length })
    }

    /// End of the frame by its length.
    fn end(self) -> usize {
        HEADER + usize::from(self.length)
    }

    /// Whether a frame with this function may have this length.
    fn has_length_of(self, code: u8) -> bool {
        let longest = if code == function::UMAS { umas::MAX_LENGTH } else { MAX_LENGTH };
        (MIN_LENGTH..=longest).contains(&self.length)
    }

    /// Whether the length may be right although the protocol identifier is wrong, where nothing else gives the length
    /// of the frame.
    fn could_be(self, code: u8) -> bool {
        self.has_length_of(code) && function::has_known_shape(code)
    }

    fn is_sound(self, code: u8) -> bool {
        self.protocol == 0 && self.has_length_of(code)
    }

    fn fault(self) -> (&'static str, u32) {
        match self.protocol {
            0 => ("length", self.length.into()),
            protocol => ("protocol_identifier", protocol.into()),
        }
    }
}

/// Classifies the bytes where `from` is due to begin a frame, by header and by function.
pub(super) fn classify(from: Side, bytes: &[u8]) -> Framed {
    let Some(header) = Header::read(bytes) else { return Framed::More };
    let body = bytes.get(HEADER..).unwrap_or_default();
    let Some(&code) = body.get(1) else { return Framed::More };
    let is_sound = header.is_sound(code);
    let own = match length::of(from, body) {
        Length::Known(length) => Some(HEADER + length),
        Length::More | Length::Undefined => None,
    };
    let is_usual =
        function::has_known_shape(code & !function::EXCEPTION) && (from == Side::Server || code < function::EXCEPTION);
    // A correct CRC is a stronger proof than a header that happens to fit.
    if !(is_sound && is_usual) && is_rtu(from, bytes, own.or(is_sound.then(|| header.end()))) {
        return Framed::None("rtu_frame");
    }
    match own {
        Some(own) if own == header.end() && is_sound => plain_if_complete(own, bytes),
        Some(own) => classify_by_function(from, bytes, (header, is_sound), own),
        None if length::of(from, body) == Length::Undefined => classify_by_header(from, bytes, (header, is_sound)),
        // The byte that counts lies beyond the end.
        None if is_sound && bytes.len() >= header.end() => Framed::Short(header.end()),
        None => Framed::More,
    }
}

fn plain_if_complete(end: usize, bytes: &[u8]) -> Framed {
    if bytes.len() < end { Framed::More } else { Framed::Plain(end) }
}

/// Classifies a frame whose end by the function differs from its end by the header, or whose header is unsound.
fn classify_by_function(from: Side, bytes: &[u8], (header, is_sound): (Header, bool), own: usize) -> Framed {
    let claimed = header.end();
    let is_once_wrong = header.protocol == 0 || claimed == own;
    let is_exact = bytes.get(..own).map(|frame| is_whole(from, frame) || is_once_wrong && is_write_of_any_coil(frame));
    match is_exact {
        Some(true) => {
            let is_exception = bytes.get(HEADER + 1).is_some_and(|code| *code >= function::EXCEPTION);
            let fault = match (is_sound, claimed.checked_sub(own)) {
                (true, Some(_)) if is_exception => {
                    ("exception_length", u32::from(header.length) - u32::from(MIN_LENGTH))
                }
                (true, Some(trailing)) => ("trailing_bytes", trailing as u32),
                _ => header.fault(),
            };
            let differs = header.length >= MIN_LENGTH && claimed != own;
            Framed::WrongHeader(WrongHeader {
                own,
                claimed: differs.then_some(claimed),
                fault,
                is_doubly_wrong: !is_once_wrong,
            })
        }
        Some(false) if is_sound => plain_if_complete(claimed, bytes),
        Some(false) => Framed::None(header.fault().0),
        None if !is_sound || claimed > bytes.len() => Framed::More,
        None if shape::may_begin(from, bytes.get(HEADER + 1..).unwrap_or_default()) => Framed::Short(claimed),
        None => Framed::Plain(claimed),
    }
}

/// Classifies a frame whose length only its header states.
fn classify_by_header(from: Side, bytes: &[u8], (header, is_sound): (Header, bool)) -> Framed {
    let end = header.end();
    if is_sound {
        return plain_if_complete(end, bytes);
    }
    match bytes.get(..end) {
        _ if !bytes.get(HEADER + 1).is_some_and(|code| header.could_be(*code)) => Framed::None(header.fault().0),
        None => Framed::More,
        Some(frame) if is_whole(from, frame) => {
            Framed::WrongHeader(WrongHeader { own: end, claimed: None, fault: header.fault(), is_doubly_wrong: false })
        }
        Some(_) => Framed::None(header.fault().0),
    }
}

/// The next frame in one reading, given by the number of bytes that determine it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More bytes are needed.
    More,
    /// A frame of this length.
    Frame(usize),
    /// No frame, as these first bytes show.
    None(usize),
}

/// The next frame of a server that frames by the function alone.
pub(super) fn next_by_function(from: Side, bytes: &[u8]) -> Next {
    let body = bytes.get(HEADER..).unwrap_or_default();
    match length::of(from, body) {
        Length::Undefined if body.len() >= length::TELLING => Next::None(HEADER + length::TELLING),
        Length::Undefined | Length::More => Next::More,
        Length::Known(length) => match bytes.get(..HEADER + length) {
            Some(frame) if is_whole(from, frame) => Next::Frame(frame.len()),
            Some(frame) => Next::None(frame.len()),
            None => Next::More,
        },
    }
}

/// The next frame of such a server at the first wrong header, for which [`classify`] gives more detail.
pub(super) fn next_by_function_at_first(from: Side, bytes: &[u8]) -> Next {
    match classify(from, bytes) {
        Framed::More => Next::More,
        Framed::Plain(length) | Framed::Short(length) | Framed::WrongHeader(WrongHeader { own: length, .. }) => {
            Next::Frame(length)
        }
        Framed::None(_) => Next::None(refutation_len(from, bytes)),
    }
}

/// The number of bytes that show that they begin with no frame.
fn refutation_len(from: Side, bytes: &[u8]) -> usize {
    if let Some(length) = rtu::exact_len(from, bytes) {
        return length;
    }
    let body = bytes.get(HEADER..).unwrap_or_default();
    match (length::of(from, body), Header::read(bytes), body.get(1)) {
        (Length::Known(length), ..) => HEADER + length,
        (Length::Undefined, Some(header), Some(code)) if header.could_be(*code) => header.end(),
        _ => HEADER + length::TELLING,
    }
}

/// Whether a header is unsound, whatever follows it.
pub(super) fn is_unsound(bytes: &[u8]) -> bool {
    match (Header::read(bytes), bytes.get(HEADER + 1)) {
        (Some(header), Some(code)) => !header.is_sound(*code),
        _ => false,
    }
}

/// The next frame of a server that frames by the header alone.
pub(super) fn next_by_header(bytes: &[u8]) -> Next {
    match (Header::read(bytes), bytes.get(HEADER + 1)) {
        (Some(header), Some(code)) if header.is_sound(*code) => match bytes.len() < header.end() {
            true => Next::More,
            false => Next::Frame(header.end()),
        },
        (Some(_), Some(_)) => Next::None(HEADER + 2),
        _ => Next::More,
    }
}

/// Whether a frame is sound by its function: then every server executes it.
fn is_whole(from: Side, frame: &[u8]) -> bool {
    split(frame).is_some_and(|(head, data)| shape::fit(from, head.code, data) == Fit::Exact)
}

/// Whether a frame writes a coil with any value. Servers judge undefined values, so an undefined value is no evidence against a
/// request whose other fields fit.
fn is_write_of_any_coil(frame: &[u8]) -> bool {
    split(frame).is_some_and(|(head, data)| head.code == function::WRITE_SINGLE_COIL && data.len() == 4)
}

/// Whether the bytes begin with an RTU frame that ends no later than `end`.
fn is_rtu(from: Side, bytes: &[u8], end: Option<usize>) -> bool {
    rtu::exact_len(from, bytes).is_some_and(|length| end.is_none_or(|end| length <= end))
}

/// The length of the frame. Any function code is accepted: decoding judges it.
pub(super) fn frame_len(from: Side, bytes: &[u8]) -> FrameLen {
    match (sound_frame_len(bytes), classify(from, bytes)) {
        (_, Framed::None(name)) => FrameLen::Invalid(name),
        (FrameLen::Bytes(length), _) => FrameLen::Bytes(length),
        (_, Framed::WrongHeader(wrong)) => FrameLen::Bytes(wrong.own),
        (_, Framed::Plain(length) | Framed::Short(length)) => FrameLen::Bytes(length),
        (_, Framed::More) => FrameLen::Unknown,
    }
}

/// The length of a frame with a sound header.
fn sound_frame_len(bytes: &[u8]) -> FrameLen {
    let is_set = |at: usize| bytes.get(at).is_some_and(|byte| *byte != 0);
    match Header::read(bytes) {
        _ if is_set(2) || is_set(3) => FrameLen::Invalid("protocol_identifier"),
        None => FrameLen::Unknown,
        Some(header) if (MIN_LENGTH..=MAX_LENGTH).contains(&header.length) => FrameLen::Bytes(header.end()),
        Some(header) if header.has_length_of(function::UMAS) => match bytes.get(HEADER + 1) {
            None => FrameLen::Unknown,
            Some(&function::UMAS) => FrameLen::Bytes(header.end()),
            Some(_) => FrameLen::Invalid("length"),
        },
        Some(_) => FrameLen::Invalid("length"),
    }
}

/// Whether a frame with a sound header may start here. While framing is lost, others are not considered: small numbers
/// of 16 and 32 bits look like them far too often.
pub(super) fn may_start(bytes: &[u8]) -> bool {
    !matches!(sound_frame_len(bytes), FrameLen::Invalid(_))
}

/// Whether bytes begin with frames that are sound by their function but have wrong headers, and nothing else up to the
/// first frame that is sound throughout, or to the end if `is_last`; `None` if more bytes are needed. A request with
/// only one wrong field needs no proof after it. Answers do: registers often look like frames, and servers send many of
/// them.
pub(super) fn begins_with_wrong_headers(from: Side, bytes: &[u8], is_last: bool) -> Option<bool> {
    let mut start = 0;
    loop {
        let rest = bytes.get(start..).unwrap_or_default();
        match classify(from, rest) {
            Framed::WrongHeader(wrong) if from == Side::Client && !wrong.is_doubly_wrong => return Some(true),
            Framed::WrongHeader(wrong) if from == Side::Client || !wrong.is_doubly_wrong => start += wrong.own,
            Framed::Plain(length) => {
                return Some(start > 0 && rest.get(..length).is_some_and(|it| is_whole(from, it)));
            }
            Framed::More | Framed::Short(_) if is_last => return Some(start > 0 && rest.is_empty()),
            Framed::More | Framed::Short(_) => return None,
            Framed::WrongHeader(_) | Framed::None(_) => return Some(false),
        }
    }
}

/// Judges the first bytes of one end by its first frames.
pub(super) fn probe(transport: Transport, bytes: &[u8]) -> Probe {
    let (mut has_wrong_header, mut begins_with_wrong_header) = (false, false);
    let (mut verdict, mut rest) = (Probe::More, bytes);
    for _ in 0..PROBED_FRAMES {
        match classify_piece(rest) {
            Piece::Frame { probe, length, is_wrong } => {
                begins_with_wrong_header |= is_wrong && verdict == Probe::More;
                has_wrong_header |= is_wrong;
                verdict = verdict.and(probe);
                rest = rest.get(length..).unwrap_or_default();
            }
            // A wrong header proves little without all of its frame.
            Piece::Incomplete if has_wrong_header && transport == Transport::Tcp => return Probe::More,
            Piece::Incomplete if transport == Transport::Tcp => return verdict,
            _ if begins_with_wrong_header => return Probe::No,
            // A datagram cannot end inside a frame, and a broken second frame weakens the first.
            _ => return verdict.weakened(),
        }
        if rest.is_empty() || verdict == Probe::No {
            break;
        }
    }
    verdict
}

/// One of the first frames of one end, in either direction.
enum Piece {
    Frame {
        probe: Probe,
        length: usize,
        is_wrong: bool,
    },
    /// More bytes are needed.
    Incomplete,
    /// No frame.
    Broken,
}

fn classify_piece(bytes: &[u8]) -> Piece {
    let framed = sound_frame_len(bytes);
    if let FrameLen::Bytes(length) = framed
        && let Some(frame) = bytes.get(..length)
    {
        return Piece::Frame { probe: probe_frame(frame), length, is_wrong: false };
    }
    match (classify(Side::Client, bytes), classify(Side::Server, bytes)) {
        (Framed::WrongHeader(asked), Framed::WrongHeader(answered)) => {
            let sender = (asked.own != answered.own).then_some(Side::Client);
            Piece::Frame { probe: Probe::Maybe { sender }, length: asked.own, is_wrong: true }
        }
        (Framed::More | Framed::Short(_), _) | (_, Framed::More | Framed::Short(_)) => Piece::Incomplete,
        (Framed::WrongHeader(WrongHeader { own, .. }), _) => {
            Piece::Frame { probe: Probe::Maybe { sender: Some(Side::Client) }, length: own, is_wrong: true }
        }
        (_, Framed::WrongHeader(WrongHeader { own, .. })) => {
            Piece::Frame { probe: Probe::Maybe { sender: Some(Side::Server) }, length: own, is_wrong: true }
        }
        (Framed::None(_), Framed::None(_)) if matches!(framed, FrameLen::Invalid(_)) => Piece::Broken,
        _ => Piece::Incomplete,
    }
}

/// Judges one frame of unknown direction.
fn probe_frame(frame: &[u8]) -> Probe {
    let Some((head, data)) = split(frame) else { return Probe::No };
    match (shape::fit_request(head.code, data), shape::fit_response(head.code, data)) {
        (Fit::Exact, Fit::Exact) => Probe::Yes { sender: None },
        (Fit::Exact, _) => Probe::Yes { sender: Some(Side::Client) },
        (_, Fit::Exact) => Probe::Yes { sender: Some(Side::Server) },
        _ if head.code >= function::EXCEPTION => Probe::Maybe { sender: Some(Side::Server) },
        _ => Probe::Maybe { sender: None },
    }
}

impl Probe {
    /// The verdict on consecutive frames: the weaker one, with the sender of either.
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

    /// The verdict when no frame follows.
    fn weakened(self) -> Self {
        match self {
            Self::Yes { sender } | Self::Maybe { sender } => Self::Maybe { sender },
            Self::More | Self::Wait { .. } | Self::No => Self::No,
        }
    }
}

/// Bytes of the header that the length field does not count.
const HEADER: usize = 6;
/// A unit identifier and a function code.
const MIN_LENGTH: u16 = 2;
/// A unit identifier and the longest PDU (253 bytes).
const MAX_LENGTH: u16 = 254;
/// Longest frame of all.
pub(super) const MAX_FRAME: usize = HEADER + umas::MAX_LENGTH as usize;
/// Number of first frames that identify the protocol.
const PROBED_FRAMES: usize = 4;
