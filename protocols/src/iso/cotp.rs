//! The TPDUs of class 0 (X.224, 13): a length indicator, a code, fixed fields and parameters; in a DT, user data.

use super::tpkt::HEADER;
use crate::reader::{DecodeError, Reader};

/// One TPDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tpdu<'a> {
    /// CR or CC (13.3, 13.4).
    Connect(Connect<'a>),
    /// DT (13.7): a fragment of a TSDU.
    Data {
        /// The end-of-TSDU mark: this fragment is the last one.
        end: bool,
        /// The user data, after a header of the stated length.
        data: &'a [u8],
        /// The user data after a header of class 0: snap7 1.4.2 and python-snap7 3.3.0 skip three bytes, whatever length the
        /// header states.
        fixed: &'a [u8],
        /// A violation of class 0 in the header, which receivers ignore.
        fault: Option<&'static str>,
    },
    /// DR (13.5), with its reason; ER (13.12), with its reject cause.
    Disconnect { code: u8, name: &'static str },
    /// DC (13.6). Class 0 ends with the network connection (6.7.1.5), but servers confirm a DR nevertheless.
    Disconnected,
    /// ED, AK, EA and RJ, which class 0 does not use (13.2).
    Unused(u8),
}

/// The fields of a CR or CC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connect<'a> {
    /// It is a CC, not a CR.
    pub(super) confirms: bool,
    /// Calling TSAP (13.3.4 a); empty if absent.
    pub(super) calling: &'a [u8],
    /// Called TSAP (13.3.4 a); empty if absent.
    pub(super) called: &'a [u8],
    /// Longest TPDU, bytes without the TPKT header (13.3.4 b), if stated.
    pub(super) tpdu_size: Option<u32>,
    /// The first violation of the standard.
    pub(super) fault: Option<&'static str>,
}

/// Parses a whole frame; the error names the field at fault.
pub(super) fn parse(frame: &[u8]) -> Result<Tpdu<'_>, &'static str> {
    let tpdu = frame.get(HEADER..).unwrap_or_default();
    if let [length, DT..=DT_CREDIT, number, fixed @ ..] = tpdu {
        return Ok(parse_data(*length, *number, tpdu, fixed));
    }
    let (length, rest) = tpdu.split_first().ok_or("cotp_header_length")?;
    let (header, data) = rest.split_at_checked(usize::from(*length)).ok_or("cotp_header_length")?;
    let (code, fields) = header.split_first().ok_or("cotp_header_length")?;
    match code & 0xF0 {
        CR | CC => parse_connect(code & 0xF0 == CC, fields, data).map(Tpdu::Connect).map_err(DecodeError::field),
        DR => {
            let &[_, _, _, _, reason, ..] = fields else { return Err("cotp_disconnect") };
            Ok(Tpdu::Disconnect { code: reason, name: disconnect_reason(reason) })
        }
        ER => {
            let &[_, _, cause, ..] = fields else { return Err("cotp_error") };
            Ok(Tpdu::Disconnect { code: cause, name: reject_cause(cause) })
        }
        DC => Ok(Tpdu::Disconnected),
        ED | AK | EA | RJ => Ok(Tpdu::Unused(*code)),
        _ => Err("cotp_code"),
    }
}

/// Parses a DT (13.7.3) whose header states its `length`. If that is too short for a header, the user data start where they
/// do in class 0.
fn parse_data<'a>(length: u8, number: u8, tpdu: &'a [u8], fixed: &'a [u8]) -> Tpdu<'a> {
    let stated = tpdu.get(1 + usize::from(length)..).filter(|_| length >= DATA_LENGTH);
    let fault = if length != DATA_LENGTH {
        Some("cotp_data_header_length")
    } else if number & !END != 0 {
        Some("cotp_data_number")
    } else {
        None
    };
    Tpdu::Data { end: number & END != 0, data: stated.unwrap_or(fixed), fixed, fault }
}

/// Parses the fields of a CR or CC after its code (13.3.3, 13.3.4). An invalid parameter ends the list, not the connection.
fn parse_connect<'a>(confirms: bool, fields: &'a [u8], data: &[u8]) -> Result<Connect<'a>, DecodeError> {
    let mut reader = Reader::new(fields);
    reader.bytes(4, "cotp_references")?;
    let class = reader.u8("cotp_class")?;
    let mut connect = Connect { confirms, calling: &[], called: &[], tpdu_size: None, fault: None };
    if class >> 4 != 0 {
        connect.fault = Some("cotp_class");
    } else if !data.is_empty() {
        connect.fault = Some("cotp_connect_data");
    }
    while reader.left() > 0 {
        if parse_parameter(&mut reader, &mut connect).is_err() {
            connect.fault = connect.fault.or(Some("cotp_parameter"));
            break;
        }
    }
    Ok(connect)
}

/// Parses one parameter: code, length, value. Unknown parameters are skipped.
fn parse_parameter<'a>(reader: &mut Reader<'a>, connect: &mut Connect<'a>) -> Result<(), DecodeError> {
    let code = reader.u8("parameter_code")?;
    let length = reader.u8("parameter_length")?;
    let value = reader.bytes(length.into(), "parameter_value")?;
    match (code, value) {
        (CALLING_TSAP, _) => connect.calling = value,
        (CALLED_TSAP, _) => connect.called = value,
        (TPDU_SIZE, &[power @ 7..=16]) => connect.tpdu_size = connect.tpdu_size.or(Some(1 << power)),
        (TPDU_SIZE, _) => connect.fault = connect.fault.or(Some("cotp_tpdu_size")),
        (PREFERRED_SIZE, [.., low]) if length <= 4 => {
            let high = value.iter().rev().nth(1).copied().unwrap_or_default();
            connect.tpdu_size = Some(u32::from(u16::from_be_bytes([high, *low])) * 128);
        }
        // The other parameters have codes from 0x85 on (13.3.4).
        (..0x80, _) => return Err(DecodeError::Invalid("parameter_code")),
        _ => {}
    }
    Ok(())
}

/// Whether a byte is the code of a TPDU.
pub(super) fn is_known(code: u8) -> bool {
    matches!(code & 0xF0, CR | CC | DR | DC | DT | ED | AK | EA | RJ | ER)
}

/// Reasons of a DR (13.5.3 d).
fn disconnect_reason(reason: u8) -> &'static str {
    match reason {
        0 => "reason_not_specified",
        1 => "congestion_at_tsap",
        2 => "session_entity_not_attached",
        3 => "address_unknown",
        128 => "normal_disconnect",
        129 => "remote_congestion",
        130 => "negotiation_failed",
        131 => "duplicate_source_reference",
        132 => "mismatched_references",
        133 => "protocol_error",
        135 => "reference_overflow",
        136 => "connection_refused",
        138 => "header_length_invalid",
        _ => "disconnect",
    }
}

/// Reject causes of an ER (13.12.3 c).
fn reject_cause(cause: u8) -> &'static str {
    match cause {
        1 => "parameter_code_invalid",
        2 => "tpdu_type_invalid",
        3 => "parameter_value_invalid",
        _ => "tpdu_error",
    }
}

pub(super) const CR: u8 = 0xE0;
pub(super) const CC: u8 = 0xD0;
const DR: u8 = 0x80;
const DC: u8 = 0xC0;
pub(super) const DT: u8 = 0xF0;
/// The highest code of a DT: in other classes, the lower four bits are a credit.
const DT_CREDIT: u8 = 0xFF;
/// Length of the header of a DT of class 0.
const DATA_LENGTH: u8 = 2;
const ED: u8 = 0x10;
const AK: u8 = 0x60;
const EA: u8 = 0x20;
const RJ: u8 = 0x50;
const ER: u8 = 0x70;
/// The end-of-TSDU mark in the byte of the DT's number, which is 0 in class 0 (13.7.3).
pub(super) const END: u8 = 0x80;
const TPDU_SIZE: u8 = 0xC0;
const CALLING_TSAP: u8 = 0xC1;
const CALLED_TSAP: u8 = 0xC2;
/// Preferred maximum TPDU size, in units of 128 bytes.
const PREFERRED_SIZE: u8 = 0xF0;
