//! The header of every PDU: protocol 0x32, ROSCTR, two reserved bytes, PDU reference, two lengths, in answers an error.

use crate::context::Context;
use crate::dissector::Probe;
use crate::iso::{self, Content, IsoProbe, LaxKind};

/// The parts of a PDU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pdu<'a> {
    /// Its kind: [`JOB`], [`ACK`], [`ACK_DATA`] or [`USERDATA`].
    pub(super) rosctr: u8,
    /// Matches answer and request. Opaque: its byte order is the sender's own.
    pub(super) reference: u16,
    /// Error class and code of an answer; 0 for none.
    pub(super) error: u16,
    pub(super) parameters: &'a [u8],
    pub(super) data: &'a [u8],
    /// The lengths in the header agree with the length of the TSDU.
    pub(super) is_exact: bool,
    /// It is one of two readings of the same bytes.
    pub(super) is_ambiguous: bool,
}

/// Splits a TSDU, as far as it has arrived; none if it is no PDU of S7comm.
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
    let lengths = [[p_high, p_low], [d_high, d_low]].map(|pair| usize::from(u16::from_be_bytes(pair)));
    let reference = u16::from_be_bytes([reference_high, reference_low]);
    Some(pdu(rosctr, reference, error, lengths, rest))
}

fn pdu(rosctr: u8, reference: u16, error: u16, [parameters, data]: [usize; 2], rest: &[u8]) -> Pdu<'_> {
    let (parameter_length, data_length) = (parameters, data);
    let (parameters, rest) = rest.split_at_checked(parameter_length).unwrap_or((rest, &[]));
    Pdu {
        rosctr,
        reference,
        error,
        parameters,
        data: rest.get(..data_length).unwrap_or(rest),
        is_exact: parameters.len() == parameter_length && rest.len() == data_length,
        is_ambiguous: false,
    }
}

/// Splits a TSDU by its lengths and its function alone, as servers do that ignore the protocol number (snap7 1.4.2) or
/// treat every unknown kind as a job (python-snap7 3.3.0). None if lengths or function do not fit.
pub(super) fn split_laxly(tsdu: &[u8]) -> Option<(LaxKind, Pdu<'_>)> {
    let kind = iso::lax_kind(tsdu, tsdu.len())?;
    let (&[_, _, _, _, r_high, r_low, p_high, p_low, d_high, d_low], rest) = tsdu.split_first_chunk::<HEADER>()?;
    let lengths = [[p_high, p_low], [d_high, d_low]].map(|pair| usize::from(u16::from_be_bytes(pair)));
    let reference = u16::from_be_bytes([r_high, r_low]);
    let (rosctr, error, rest) = match (kind, rest) {
        (LaxKind::Job, _) => (JOB, 0, rest),
        (LaxKind::Userdata, _) => (USERDATA, 0, rest),
        (LaxKind::Answer, [class, code, rest @ ..]) => (ACK_DATA, u16::from_be_bytes([*class, *code]), rest),
        (LaxKind::Answer, _) => return None,
    };
    Some((kind, pdu(rosctr, reference, error, lengths, rest)))
}

/// Reports the wrong fields in the header of a PDU that was split laxly and has the kind `rosctr`.
pub(super) fn report_faults(tsdu: &[u8], rosctr: u8, context: &mut Context<'_>) {
    let &[protocol, kind, ..] = tsdu else { return };
    if protocol != PROTOCOL {
        context.malformed("protocol_id", protocol);
    }
    if kind != rosctr {
        context.malformed("rosctr", kind);
    }
}

/// Whether a whole TSDU has the exact structure of a PDU: reserved bytes 0, lengths that agree.
pub(super) fn is_exact(tsdu: &[u8]) -> bool {
    matches!(tsdu, [_, _, 0, 0, ..]) && split(tsdu).is_some_and(|pdu| pdu.is_exact)
}

/// Judges the first bytes of one end of a flow.
pub(super) fn probe(bytes: &[u8]) -> Probe {
    match iso::probe_opening(bytes) {
        IsoProbe::No => Probe::No,
        IsoProbe::More | IsoProbe::Connected { .. } => Probe::More,
        IsoProbe::Carries { content: Content::S7comm, sender, head, is_odd } => {
            let sender = sender.or_else(|| iso::sender(head.bytes()));
            match !is_odd && iso::is_exact(head.bytes(), head.total) {
                true => Probe::Yes { sender },
                false => Probe::Maybe { sender },
            }
        }
        IsoProbe::Carries { .. } => Probe::No,
    }
}

/// A request.
pub(super) const JOB: u8 = 1;
/// An answer without parameters.
pub(super) const ACK: u8 = 2;
/// An answer with parameters.
pub(super) const ACK_DATA: u8 = 3;
/// Later extensions of the protocol: requests, answers and indications of their own.
pub(super) const USERDATA: u8 = 7;
/// First byte of every PDU.
pub(super) const PROTOCOL: u8 = 0x32;
/// Bytes of the header of a request.
pub(super) const HEADER: usize = 10;
