//! PDUs inside of another PDU that states wrong lengths. A server that frames by those lengths executes them; so does one
//! that drops an incomplete frame, as snap7 1.4.2 does after three seconds.

use super::shape::{self, LaxKind};

/// The first whole PDU of S7comm or S7comm-plus anywhere in `bytes`, bare or in a frame of its own, and the bytes after it.
pub(crate) fn find_embedded_pdu(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    (0..bytes.len()).filter_map(|start| bytes.get(start..)).find_map(|rest| framed_pdu(rest).or_else(|| bare_pdu(rest)))
}

/// The PDU in the frame at the start of `bytes`, and the bytes after it. In a frame whose lengths are all right, one other
/// field of the PDU's header may be wrong.
fn framed_pdu(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let &[_, _, high, low, _, 0xF0, 0x80..=0xFF] = bytes.first_chunk::<FRAME>()? else { return None };
    let (frame, rest) = bytes.split_at_checked(be_length([high, low]))?;
    let pdu = frame.get(FRAME..)?;
    let is_request = || matches!(shape::lax_kind(pdu, pdu.len()), Some(LaxKind::Job | LaxKind::Userdata));
    (shape::is_whole(pdu) || is_request()).then_some((pdu, rest))
}

/// The whole PDU at the start of `bytes`, and the bytes after it.
fn bare_pdu(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = match *bytes {
        [0x32, _, 0, 0, _, _, p_high, p_low, d_high, d_low, ..] => {
            S7COMM_HEADER + be_length([p_high, p_low]) + be_length([d_high, d_low])
        }
        [0x72, 1..=3, high, low, ..] => PLUS_FRAME + be_length([high, low]),
        _ => return None,
    };
    let (pdu, rest) = bytes.split_at_checked(length)?;
    shape::is_whole(pdu).then_some((pdu, rest))
}

fn be_length(bytes: [u8; 2]) -> usize {
    u16::from_be_bytes(bytes).into()
}

/// Bytes of TPKT and COTP before a PDU.
const FRAME: usize = 7;
/// Bytes of the header of a request of S7comm.
const S7COMM_HEADER: usize = 10;
/// Bytes of header and trailer of a PDU of S7comm-plus.
const PLUS_FRAME: usize = 8;
