//! The MBAP header (Modbus Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3): transaction identifier, protocol
//! identifier, length, unit identifier; then the PDU.
//!
//! Servers differ in what they go by. Some believe the length (pymodbus), some go by the function code and look at neither
//! length nor protocol identifier (libmodbus, and with it most small devices). Where the two differ, both are told: see
//! [`Reading`].

use super::function;
use super::head::Head;
use super::length::{self, Length};
use super::shape::{self, Fit};
use super::{rtu, umas};
use crate::dissector::{FrameLen, Probe, Side, Transport};

/// What stands at a place where a frame should begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// More bytes will tell.
    More,
    /// A frame as long as its header says, which nothing contradicts.
    Plain(usize),
    /// A frame that is sound by its function, behind a header that lies.
    Lying(Lying),
    /// A frame that is shorter by its header than by its function, whose end may still come.
    Short(usize),
    /// No frame.
    None(&'static str),
}

/// A header that lies about what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lying {
    /// Where the frame ends by its function.
    pub(super) own: usize,
    /// Where it ends by its header, if that is another place.
    pub(super) claimed: Option<usize>,
    /// The field that lies, and what it says.
    pub(super) fault: (&'static str, u32),
    /// Neither the length nor the protocol identifier is right.
    pub(super) lies_twice: bool,
}

/// The frame that bytes begin with, if all of it is there and its header is sound: its head, unit and PDU, what follows.
#[inline]
pub(super) fn take(bytes: &[u8]) -> Option<(Head, &[u8], &[u8])> {
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

/// Takes a whole frame apart, whatever its header says.
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

/// What a header says.
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

    /// Where the frame ends by its length.
    fn end(self) -> usize {
        HEADER + usize::from(self.length)
    }

    /// Whether a frame of that function may have this length.
    fn has_length_of(self, code: u8) -> bool {
        let longest = if code == function::UMAS { umas::MAX_LENGTH } else { MAX_LENGTH };
        (MIN_LENGTH..=longest).contains(&self.length)
    }

    /// Whether its length may be right although its protocol identifier is wrong, and nothing else says how long the frame
    /// is.
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

/// Judges the bytes at a place where `from` should begin a frame: by the header, and by the function.
pub(super) fn read(from: Side, bytes: &[u8]) -> Reading {
    let Some(header) = Header::read(bytes) else { return Reading::More };
    let body = bytes.get(HEADER..).unwrap_or_default();
    let Some(&code) = body.get(1) else { return Reading::More };
    let is_sound = header.is_sound(code);
    let own = match length::of(from, body) {
        Length::Known(length) => Some(HEADER + length),
        Length::More | Length::Open => None,
    };
    let is_usual =
        function::has_known_shape(code & !function::EXCEPTION) && (from == Side::Server || code < function::EXCEPTION);
    // A right CRC says more than a header that happens to fit.
    if !(is_sound && is_usual) && is_rtu(from, bytes, own.or(is_sound.then(|| header.end()))) {
        return Reading::None("rtu_frame");
    }
    match own {
        Some(own) if own == header.end() && is_sound => plain(own, bytes),
        Some(own) => read_both(from, bytes, (header, is_sound), own),
        None if length::of(from, body) == Length::Open => read_by_header(from, bytes, (header, is_sound)),
        // The byte that counts lies behind the end.
        None if is_sound && bytes.len() >= header.end() => Reading::Short(header.end()),
        None => Reading::More,
    }
}

/// A frame that is there or still arrives.
fn plain(end: usize, bytes: &[u8]) -> Reading {
    if bytes.len() < end { Reading::More } else { Reading::Plain(end) }
}

/// A frame whose function says that it ends elsewhere than its header says, or whose header cannot be.
fn read_both(from: Side, bytes: &[u8], (header, is_sound): (Header, bool), own: usize) -> Reading {
    let claimed = header.end();
    let lies_once = header.protocol == 0 || claimed == own;
    let is_exact = bytes.get(..own).map(|frame| is_whole(from, frame) || lies_once && is_write_of_any_coil(frame));
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
            Reading::Lying(Lying { own, claimed: differs.then_some(claimed), fault, lies_twice: !lies_once })
        }
        Some(false) if is_sound => plain(claimed, bytes),
        Some(false) => Reading::None(header.fault().0),
        None if !is_sound || claimed > bytes.len() => Reading::More,
        None if shape::may_begin(from, bytes.get(HEADER + 1..).unwrap_or_default()) => Reading::Short(claimed),
        None => Reading::Plain(claimed),
    }
}

/// A frame of which nothing but its header says how long it is.
fn read_by_header(from: Side, bytes: &[u8], (header, is_sound): (Header, bool)) -> Reading {
    let end = header.end();
    if is_sound {
        return plain(end, bytes);
    }
    match bytes.get(..end) {
        _ if !bytes.get(HEADER + 1).is_some_and(|code| header.could_be(*code)) => Reading::None(header.fault().0),
        None => Reading::More,
        Some(frame) if is_whole(from, frame) => {
            Reading::Lying(Lying { own: end, claimed: None, fault: header.fault(), lies_twice: false })
        }
        Some(_) => Reading::None(header.fault().0),
    }
}

/// What the next frame is to a server, as soon as the bytes are there that tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More bytes will tell.
    More,
    /// A frame that ends there.
    Frame(usize),
    /// None: the bytes up to there say so.
    None(usize),
}

/// What the next frame is to a server that goes by the function alone.
pub(super) fn by_function(from: Side, bytes: &[u8]) -> Next {
    let body = bytes.get(HEADER..).unwrap_or_default();
    match length::of(from, body) {
        Length::Open if body.len() >= length::TELLING => Next::None(HEADER + length::TELLING),
        Length::Open | Length::More => Next::More,
        Length::Known(length) => match bytes.get(..HEADER + length) {
            Some(frame) if is_whole(from, frame) => Next::Frame(frame.len()),
            Some(frame) => Next::None(frame.len()),
            None => Next::More,
        },
    }
}

/// The same where the first header lies, about which [`read`] knows more.
pub(super) fn by_function_at_first(from: Side, bytes: &[u8]) -> Next {
    match read(from, bytes) {
        Reading::More => Next::More,
        Reading::Plain(length) | Reading::Short(length) | Reading::Lying(Lying { own: length, .. }) => {
            Next::Frame(length)
        }
        Reading::None(_) => Next::None(nothing_until(from, bytes)),
    }
}

/// How many bytes had to be there to say that no frame begins with them.
fn nothing_until(from: Side, bytes: &[u8]) -> usize {
    if let Some(length) = rtu::exact(from, bytes) {
        return length;
    }
    let body = bytes.get(HEADER..).unwrap_or_default();
    match (length::of(from, body), Header::read(bytes), body.get(1)) {
        (Length::Known(length), ..) => HEADER + length,
        (Length::Open, Some(header), Some(code)) if header.could_be(*code) => header.end(),
        _ => HEADER + length::TELLING,
    }
}

/// Whether a header cannot be one, whatever follows it.
pub(super) fn is_unsound(bytes: &[u8]) -> bool {
    match (Header::read(bytes), bytes.get(HEADER + 1)) {
        (Some(header), Some(code)) => !header.is_sound(*code),
        _ => false,
    }
}

/// What the next frame is to a server that goes by the header alone.
pub(super) fn by_header(bytes: &[u8]) -> Next {
    match (Header::read(bytes), bytes.get(HEADER + 1)) {
        (Some(header), Some(code)) if header.is_sound(*code) => match bytes.len() < header.end() {
            true => Next::More,
            false => Next::Frame(header.end()),
        },
        (Some(_), Some(_)) => Next::None(HEADER + 2),
        _ => Next::More,
    }
}

/// Whether a frame is sound by its function: then every server carries it out.
fn is_whole(from: Side, frame: &[u8]) -> bool {
    split(frame).is_some_and(|(head, data)| shape::of(from, head.code, data) == Fit::Exact)
}

/// A coil value that the standard does not know is for the server to judge, if it is not too much of a coincidence that the
/// bytes are a request.
fn is_write_of_any_coil(frame: &[u8]) -> bool {
    split(frame).is_some_and(|(head, data)| head.code == function::WRITE_SINGLE_COIL && data.len() == 4)
}

/// Whether the bytes begin with an RTU frame that ends no later than `end`.
fn is_rtu(from: Side, bytes: &[u8], end: Option<usize>) -> bool {
    rtu::exact(from, bytes).is_some_and(|length| end.is_none_or(|end| length <= end))
}

/// Where the frame ends. Any function code is framed: what it means is judged later.
pub(super) fn frame_len(from: Side, bytes: &[u8]) -> FrameLen {
    match (framed(bytes), read(from, bytes)) {
        (_, Reading::None(name)) => FrameLen::Invalid(name),
        (FrameLen::Bytes(length), _) => FrameLen::Bytes(length),
        (_, Reading::Lying(lying)) => FrameLen::Bytes(lying.own),
        (_, Reading::Plain(length) | Reading::Short(length)) => FrameLen::Bytes(length),
        (_, Reading::More) => FrameLen::Unknown,
    }
}

/// Where the frame ends whose header is sound.
fn framed(bytes: &[u8]) -> FrameLen {
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

/// Whether a frame could start here, where framing is looked for: one whose header is sound. Small numbers of 16 and 32 bits
/// look like the others far too often.
pub(super) fn may_start(bytes: &[u8]) -> bool {
    !matches!(framed(bytes), FrameLen::Invalid(_))
}

/// Whether bytes begin with frames that are sound by their function behind headers that lie, and nothing else up to the first
/// frame that is sound throughout, or to the end if they are the last; `None`: more bytes will tell. A request of which only
/// one field lies needs nothing behind it. Registers look like frames more often, and servers send many of them.
pub(super) fn begins_with_wrong_headers(from: Side, bytes: &[u8], is_last: bool) -> Option<bool> {
    let mut start = 0;
    loop {
        let rest = bytes.get(start..).unwrap_or_default();
        match read(from, rest) {
            Reading::Lying(lying) if from == Side::Client && !lying.lies_twice => return Some(true),
            Reading::Lying(lying) if from == Side::Client || !lying.lies_twice => start += lying.own,
            Reading::Plain(length) => {
                return Some(start > 0 && rest.get(..length).is_some_and(|it| is_whole(from, it)));
            }
            Reading::More | Reading::Short(_) if is_last => return Some(start > 0 && rest.is_empty()),
            Reading::More | Reading::Short(_) => return None,
            Reading::Lying(_) | Reading::None(_) => return Some(false),
        }
    }
}

/// Judges the first bytes of one end by the first frames in them.
pub(super) fn probe(transport: Transport, bytes: &[u8]) -> Probe {
    // Whether a header lied, and whether the first one did.
    let (mut has_lied, mut begins_with_lie) = (false, false);
    let (mut verdict, mut rest) = (Probe::More, bytes);
    for _ in 0..PROBED_FRAMES {
        match piece(rest) {
            Piece::Frame { judged, length, lies } => {
                begins_with_lie |= lies && verdict == Probe::More;
                has_lied |= lies;
                verdict = verdict.and(judged);
                rest = rest.get(length..).unwrap_or_default();
            }
            // A header that lies proves little: not without all of what follows it.
            Piece::Open if has_lied && transport == Transport::Tcp => return Probe::More,
            Piece::Open if transport == Transport::Tcp => return verdict,
            _ if begins_with_lie => return Probe::No,
            // A datagram cannot end inside a frame, and a broken second frame spoils the first.
            _ => return verdict.weakened(),
        }
        if rest.is_empty() || verdict == Probe::No {
            break;
        }
    }
    verdict
}

/// One of the first frames of one end, whichever it is.
enum Piece {
    Frame {
        judged: Probe,
        length: usize,
        lies: bool,
    },
    /// More bytes will tell.
    Open,
    /// No frame.
    Broken,
}

fn piece(bytes: &[u8]) -> Piece {
    let framed = framed(bytes);
    if let FrameLen::Bytes(length) = framed
        && let Some(frame) = bytes.get(..length)
    {
        return Piece::Frame { judged: judge(frame), length, lies: false };
    }
    match (read(Side::Client, bytes), read(Side::Server, bytes)) {
        (Reading::Lying(asked), Reading::Lying(answered)) => {
            let sender = (asked.own != answered.own).then_some(Side::Client);
            Piece::Frame { judged: Probe::Maybe { sender }, length: asked.own, lies: true }
        }
        (Reading::More | Reading::Short(_), _) | (_, Reading::More | Reading::Short(_)) => Piece::Open,
        (Reading::Lying(Lying { own, .. }), _) => {
            Piece::Frame { judged: Probe::Maybe { sender: Some(Side::Client) }, length: own, lies: true }
        }
        (_, Reading::Lying(Lying { own, .. })) => {
            Piece::Frame { judged: Probe::Maybe { sender: Some(Side::Server) }, length: own, lies: true }
        }
        (Reading::None(_), Reading::None(_)) if matches!(framed, FrameLen::Invalid(_)) => Piece::Broken,
        _ => Piece::Open,
    }
}

/// Judges one frame without knowing who sent it.
fn judge(frame: &[u8]) -> Probe {
    let Some((head, data)) = split(frame) else { return Probe::No };
    match (shape::request(head.code, data), shape::response(head.code, data)) {
        (Fit::Exact, Fit::Exact) => Probe::Yes { sender: None },
        (Fit::Exact, _) => Probe::Yes { sender: Some(Side::Client) },
        (_, Fit::Exact) => Probe::Yes { sender: Some(Side::Server) },
        _ if head.code >= function::EXCEPTION => Probe::Maybe { sender: Some(Side::Server) },
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
/// Longest frame of all.
pub(super) const MAX_FRAME: usize = HEADER + umas::MAX_LENGTH as usize;
/// How many frames are looked at to identify the protocol.
const PROBED_FRAMES: usize = 4;
