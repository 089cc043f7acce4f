//! The structure of PDUs of S7comm and S7comm-plus, as far as needed to distinguish them from other bytes: the lengths in
//! their headers, and the end that sends them.

use super::content::Content;
use super::cotp::{DT, END};
use super::tpkt::VERSION;
use crate::dissector::{Protocol, Side};
use crate::operation::Class;

/// Whether a whole frame is exactly a PDU of S7comm or S7comm-plus that `from` may send, but not of the protocol `own`: then
/// the flow has changed its protocol. The probe of the other protocol accepts the same frames.
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

/// Whether the header of a PDU of S7comm agrees with the length of its TSDU, or that length is not known yet. `head`: the
/// first bytes of the TSDU.
pub(crate) fn is_exact(head: &[u8], total: Option<usize>) -> bool {
    let Some(&[_, rosctr, 0, 0, _, _, p_high, p_low, d_high, d_low]) = head.first_chunk::<HEADER>() else {
        return false;
    };
    let header = if matches!(rosctr, ACK | ACK_DATA) { HEADER + ERROR } else { HEADER };
    let lengths = [[p_high, p_low], [d_high, d_low]].map(|pair| usize::from(u16::from_be_bytes(pair)));
    total.is_none_or(|total| total == header + lengths.iter().sum::<usize>())
}

/// The end that sent a PDU of S7comm. Controllers send jobs only during a download, which the client has requested.
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

/// The end that sent a PDU of S7comm-plus, if its opcode comes first (versions 1 and 2).
pub(crate) fn plus_sender(tsdu: &[u8]) -> Option<Side> {
    match tsdu {
        [_, 1 | 2, _, _, 0x31, ..] => Some(Side::Client),
        [_, 1 | 2, _, _, 0x32 | 0x33 | 2, ..] => Some(Side::Server),
        _ => None,
    }
}

/// The kind of a PDU of S7comm, as a server reads it that ignores wrong fields of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaxKind {
    /// A request.
    Job,
    /// Userdata.
    Userdata,
    /// An answer with parameters.
    Answer,
}

/// The kind of a PDU by the lengths in its header, which must add up to `total`, and by its function alone. snap7 1.4.2
/// ignores the first byte; python-snap7 3.3.0 treats every second byte but 3 and 7 as a job.
pub(crate) fn lax_kind(tsdu: &[u8], total: usize) -> Option<LaxKind> {
    let (&[_, rosctr, _, _, _, _, p_high, p_low, d_high, d_low], body) = tsdu.split_first_chunk()?;
    let parameters = usize::from(u16::from_be_bytes([p_high, p_low]));
    let rest = total.checked_sub(HEADER + parameters + usize::from(u16::from_be_bytes([d_high, d_low])))?;
    match (rest, rosctr, body) {
        (0, _, [_, _, 0x12, 4..=8, 0x11 | 0x12, _, _, ..]) if parameters >= 7 => Some(LaxKind::Userdata),
        (0, 7, _) => None,
        (0, _, &[function, ..]) if is_job(function) => Some(LaxKind::Job),
        (2, _, &[_, _, function, ..]) if is_job(function) => Some(LaxKind::Answer),
        _ => None,
    }
}

/// Whether a job has this function.
const fn is_job(function: u8) -> bool {
    matches!(function, 0x04 | 0x05 | 0x1A..=0x1F | 0x28 | 0x29 | 0xF0)
}

/// Whether bytes are exactly one PDU of S7comm, or one of S7comm-plus with header and trailer. In a PDU of S7comm either the
/// protocol number or the kind may be wrong, but not both: any zeros could be one.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    match (bytes, lax_kind(bytes, bytes.len())) {
        ([0x32, ACK_DATA, ..], shape) => shape == Some(LaxKind::Answer),
        ([0x32, ..], Some(LaxKind::Job | LaxKind::Userdata)) => true,
        ([_, JOB, 0, 0, _, _, _, SETUP_PARAMETERS..=0xFF, ..], Some(LaxKind::Job)) => true,
        ([_, USERDATA, 0, 0, ..], Some(LaxKind::Userdata)) => true,
        _ => is_whole_plus(bytes),
    }
}

/// Whether bytes are exactly one PDU of S7comm-plus: with the stated length, a known opcode (but in version 3, where it
/// comes later), and a trailer.
pub(crate) fn is_whole_plus(bytes: &[u8]) -> bool {
    let &[0x72, version @ 1..=3, high, low, ref rest @ ..] = bytes else { return false };
    let Some((body, trailer)) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low]))) else {
        return false;
    };
    *trailer == [0x72, version, 0, 0] && (version == 3 || matches!(body, [0x31..=0x33 | 2, _, ..]))
}

/// How much a TSDU resembles a known PDU, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resemblance {
    /// Not at all.
    None,
    /// Its first bytes are those of a known content.
    Begins,
    /// Its lengths agree as well.
    Whole,
}

/// How much a TSDU resembles a known PDU.
pub(super) fn resemblance(tsdu: &[u8]) -> Resemblance {
    match Content::of(tsdu) {
        _ if lax_kind(tsdu, tsdu.len()).is_some() || is_whole_plus(tsdu) => Resemblance::Whole,
        Content::Other => Resemblance::None,
        _ => Resemblance::Begins,
    }
}

/// The class of a request of S7comm or S7comm-plus, by its function alone. Fields that servers ignore may be wrong.
pub(crate) fn requested_class(tsdu: &[u8]) -> Option<Class> {
    let (protocol, code) = match (lax_kind(tsdu, tsdu.len()), tsdu) {
        (Some(LaxKind::Job), _) => ("s7comm", u16::from(*tsdu.get(HEADER)?)),
        (Some(LaxKind::Userdata), _) => match *tsdu.get(HEADER + 5..)?.first_chunk()? {
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
    Protocol::named(protocol)?
        .functions
        .iter()
        .find(|function| function.code == u32::from(code))
        .map(|function| function.class)
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
