//! The shapes of the PDUs of S7comm and S7comm-plus, as far as it takes to tell them from everything else: the lengths in
//! their headers, and who sends what.

use super::content::Content;
use super::cotp::{DT, END};
use super::tpkt::VERSION;
use crate::REGISTRY;
use crate::dissector::Side;
use crate::operation::Class;

/// Whether a whole frame is exactly a PDU of S7comm or S7comm-plus, but not of the protocol `own`, as `from` sends them:
/// then the conversation has changed its protocol. The probe of that protocol is as sure.
pub(crate) fn is_foreign(frame: &[u8], from: Side, own: Content) -> bool {
    let [VERSION, 0, _, _, 2, DT, END, tsdu @ ..] = frame else { return false };
    let content = Content::of(tsdu);
    let sender = match content {
        Content::S7comm if is_exact(tsdu, Some(tsdu.len())) => sender(tsdu),
        Content::S7commPlus if is_whole_plus(tsdu) => plus_sender(tsdu),
        _ => return false,
    };
    content != own && sender.is_none_or(|sender| sender == from)
}

/// Whether the header of a PDU of S7comm agrees with the length of its TSDU, as far as that is known. `head`: its first
/// bytes.
pub(crate) fn is_exact(head: &[u8], total: Option<usize>) -> bool {
    let Some(&[_, rosctr, 0, 0, _, _, p_high, p_low, d_high, d_low]) = head.first_chunk::<HEADER>() else {
        return false;
    };
    let header = if matches!(rosctr, ACK | ACK_DATA) { HEADER + ERROR } else { HEADER };
    let lengths = [[p_high, p_low], [d_high, d_low]].map(|pair| usize::from(u16::from_be_bytes(pair)));
    total.is_none_or(|total| total == header + lengths.iter().sum::<usize>())
}

/// Who sent a PDU of S7comm. Controllers send jobs only in a download that was requested of them.
pub(crate) fn sender(head: &[u8]) -> Option<Side> {
    let is_download = |function: Option<&u8>| matches!(function, Some(0x1B | 0x1C));
    match head.get(1)? {
        &ACK_DATA if is_download(head.get(HEADER + ERROR)) => Some(Side::Client),
        &ACK | &ACK_DATA => Some(Side::Server),
        &USERDATA => match head.get(HEADER + 5)? >> 6 {
            1 => Some(Side::Client),
            _ => Some(Side::Server),
        },
        _ if is_download(head.get(HEADER)) => Some(Side::Server),
        _ => Some(Side::Client),
    }
}

/// Who sent a PDU of S7comm-plus, where its opcode stands in front.
pub(crate) fn plus_sender(tsdu: &[u8]) -> Option<Side> {
    match tsdu {
        [_, 1 | 2, _, _, 0x31, ..] => Some(Side::Client),
        [_, 1 | 2, _, _, 0x32 | 0x33 | 2, ..] => Some(Side::Server),
        _ => None,
    }
}

/// A PDU of S7comm in which a field is wrong that servers do not look at, as servers read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loose {
    /// A request.
    Job,
    /// Userdata.
    Userdata,
    /// An answer with parameters.
    Answer,
}

/// Judges bytes, as far as they are there, by nothing but the lengths in a header of S7comm, which have to be those of the
/// `total`, and by the function behind it. The first byte is not looked at by snap7 1.4.2; of the second, python-snap7 3.3.0
/// takes everything but 3 and 7 for a job.
pub(crate) fn loose(tsdu: &[u8], total: usize) -> Option<Loose> {
    let (&[_, rosctr, _, _, _, _, p_high, p_low, d_high, d_low], body) = tsdu.split_first_chunk()?;
    let parameters = usize::from(u16::from_be_bytes([p_high, p_low]));
    let rest = total.checked_sub(HEADER + parameters + usize::from(u16::from_be_bytes([d_high, d_low])))?;
    match (rest, rosctr, body) {
        (0, _, [_, _, 0x12, 4..=8, 0x11 | 0x12, _, _, ..]) if parameters >= 7 => Some(Loose::Userdata),
        (0, 7, _) => None,
        (0, _, &[function, ..]) if is_job(function) => Some(Loose::Job),
        (2, _, &[_, _, function, ..]) if is_job(function) => Some(Loose::Answer),
        _ => None,
    }
}

/// Whether a job with this function changes, reads or sets up something.
const fn is_job(function: u8) -> bool {
    matches!(function, 0x04 | 0x05 | 0x1A..=0x1F | 0x28 | 0x29 | 0xF0)
}

/// Whether bytes are exactly one PDU of S7comm, or one of S7comm-plus with its beginning and its end. One of S7comm may have
/// another number of the protocol or another kind, but not both: any zeros could be one.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    match (bytes, loose(bytes, bytes.len())) {
        ([0x32, ACK_DATA, ..], shape) => shape == Some(Loose::Answer),
        ([0x32, ..], Some(Loose::Job | Loose::Userdata)) => true,
        ([_, JOB, 0, 0, _, _, _, SETUP_PARAMETERS..=0xFF, ..], Some(Loose::Job)) => true,
        ([_, USERDATA, 0, 0, ..], Some(Loose::Userdata)) => true,
        _ => is_whole_plus(bytes),
    }
}

/// Whether bytes are one PDU of S7comm-plus: the length that it states, an opcode where that shows, the trailer.
pub(crate) fn is_whole_plus(bytes: &[u8]) -> bool {
    let &[0x72, version @ 1..=3, high, low, ref rest @ ..] = bytes else { return false };
    let Some((body, trailer)) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low]))) else {
        return false;
    };
    *trailer == [0x72, version, 0, 0] && (version == 3 || matches!(body, [0x31..=0x33 | 2, _, ..]))
}

/// How much a TSDU looks like something that is known, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    /// Not at all.
    None,
    /// By its first bytes.
    Begins,
    /// It is as long as it says.
    Whole,
}

/// How much a TSDU looks like something that is known.
pub(super) fn look(tsdu: &[u8]) -> Look {
    match Content::of(tsdu) {
        _ if loose(tsdu, tsdu.len()).is_some() || is_whole_plus(tsdu) => Look::Whole,
        Content::Other => Look::None,
        _ => Look::Begins,
    }
}

/// What a request of S7comm or S7comm-plus does, by its function alone; also of one that only servers take for one.
pub(crate) fn request(tsdu: &[u8]) -> Option<Class> {
    let (protocol, code) = match (loose(tsdu, tsdu.len()), tsdu) {
        (Some(Loose::Job), _) => ("s7comm", u16::from(*tsdu.get(HEADER)?)),
        (Some(Loose::Userdata), _) => match *tsdu.get(HEADER + 5..)?.first_chunk()? {
            [kind, sub] if kind >> 6 == 1 => ("s7comm", u16::from_be_bytes([kind & 0x3F, sub])),
            _ => return None,
        },
        (_, [_, version, _, _, rest @ ..]) if is_whole_plus(tsdu) => {
            let digest = if *version == 3 { 1 + usize::from(*rest.first()?) } else { 0 };
            let &[0x31, _, _, high, low, ..] = rest.get(digest..)? else { return None };
            ("s7commplus", u16::from_be_bytes([high, low]))
        }
        _ => return None,
    };
    let row = REGISTRY.iter().find(|row| row.name == protocol)?;
    row.functions.iter().find(|function| function.code == u32::from(code)).map(|function| function.class)
}

/// Kinds of S7comm PDUs: answers have an error behind their header.
const JOB: u8 = 1;
const ACK: u8 = 2;
const ACK_DATA: u8 = 3;
const USERDATA: u8 = 7;
/// Bytes of the header of a request.
const HEADER: usize = 10;
/// Bytes of the parameters of Setup Communication, the fewest of any usual job.
const SETUP_PARAMETERS: u8 = 8;
/// Error class and code.
const ERROR: usize = 2;
