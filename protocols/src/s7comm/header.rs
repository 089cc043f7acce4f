//! The header of every PDU: protocol 0x32, ROSCTR, two reserved bytes, PDU reference, two lengths, in answers an error.

use crate::dissector::{Probe, Side};
use crate::iso::{self, Content, Opening};

/// One PDU taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pdu<'a> {
    /// What it is: [`JOB`], [`ACK`], [`ACK_DATA`] or [`USERDATA`].
    pub(super) rosctr: u8,
    /// Pairs answer and request. Opaque: its byte order is the sender's own.
    pub(super) reference: u16,
    /// Error class and code of an answer; 0 for none.
    pub(super) error: u16,
    pub(super) parameters: &'a [u8],
    pub(super) data: &'a [u8],
    /// The lengths in the header are those of what follows.
    pub(super) is_exact: bool,
}

/// Takes a TSDU apart, as far as it is there; none if it is no PDU of S7comm.
#[inline]
pub(super) fn split(tsdu: &[u8]) -> Option<Pdu<'_>> {
    let (head, rest) = tsdu.split_first_chunk::<HEADER>()?;
    let &[PROTOCOL, rosctr, _, _, reference_high, reference_low, p_high, p_low, d_high, d_low] = head else {
        return None;
    };
    let (error, rest) = match (rosctr, rest) {
        (JOB | USERDATA, _) => (0, rest),
        (ACK | ACK_DATA, [class, code, rest @ ..]) => (u16::from_be_bytes([*class, *code]), rest),
        _ => return None,
    };
    let parameter_length = usize::from(u16::from_be_bytes([p_high, p_low]));
    let data_length = usize::from(u16::from_be_bytes([d_high, d_low]));
    let (parameters, rest) = rest.split_at_checked(parameter_length).unwrap_or((rest, &[]));
    Some(Pdu {
        rosctr,
        reference: u16::from_be_bytes([reference_high, reference_low]),
        error,
        parameters,
        data: rest.get(..data_length).unwrap_or(rest),
        is_exact: parameters.len() == parameter_length && rest.len() == data_length,
    })
}

/// Whether a whole TSDU has the exact shape of a PDU: reserved bytes 0, lengths that agree.
pub(super) fn is_exact(tsdu: &[u8]) -> bool {
    matches!(tsdu, [_, _, 0, 0, ..]) && split(tsdu).is_some_and(|pdu| pdu.is_exact)
}

/// Judges the first bytes of one end of a flow.
pub(super) fn probe(bytes: &[u8]) -> Probe {
    match iso::open(bytes) {
        Opening::No => Probe::No,
        Opening::More | Opening::Connected { .. } => Probe::More,
        Opening::Carries { content: Content::S7comm, sender, head } => {
            let sender = sender.or_else(|| sender_of(head.bytes()));
            match has_exact_lengths(head.bytes(), head.total) {
                true => Probe::Yes { sender },
                false => Probe::Maybe { sender },
            }
        }
        Opening::Carries { .. } => Probe::No,
    }
}

/// Whether the header agrees with the length of its TSDU, as far as that is known.
fn has_exact_lengths(head: &[u8], total: Option<usize>) -> bool {
    let Some(&[_, rosctr, 0, 0, _, _, p_high, p_low, d_high, d_low]) = head.first_chunk::<HEADER>() else {
        return false;
    };
    let header = if matches!(rosctr, ACK | ACK_DATA) { HEADER + ERROR } else { HEADER };
    let lengths = [[p_high, p_low], [d_high, d_low]].map(|pair| usize::from(u16::from_be_bytes(pair)));
    total.is_none_or(|total| total == header + lengths.iter().sum::<usize>())
}

/// Who sent a PDU. Controllers send jobs only in a download that was requested of them.
fn sender_of(head: &[u8]) -> Option<Side> {
    let is_download = |function: Option<&u8>| matches!(function, Some(0x1B | 0x1C));
    match head.get(1)? {
        &JOB if is_download(head.get(HEADER)) => Some(Side::Server),
        &JOB => Some(Side::Client),
        &ACK_DATA if is_download(head.get(HEADER + ERROR)) => Some(Side::Client),
        &ACK | &ACK_DATA => Some(Side::Server),
        _ => match head.get(HEADER + 5)? >> 6 {
            1 => Some(Side::Client),
            _ => Some(Side::Server),
        },
    }
}

/// A request.
pub(super) const JOB: u8 = 1;
/// An answer without parameters.
pub(super) const ACK: u8 = 2;
/// An answer with parameters.
pub(super) const ACK_DATA: u8 = 3;
/// Everything that was added to the protocol later: requests, answers and indications of their own.
pub(super) const USERDATA: u8 = 7;
/// First byte of every PDU.
pub(super) const PROTOCOL: u8 = 0x32;
/// Bytes of the header of a request.
pub(super) const HEADER: usize = 10;
/// Error class and code, which answers have in addition.
const ERROR: usize = 2;
