//! PDUs inside of another that states other lengths than it has: a server that frames by those, or gives up half a frame as
//! snap7 1.4.2 does after three seconds, finds them there.

use super::shape::{self, Loose};

/// The first whole PDU of S7comm or S7comm-plus in some bytes: alone, or in a frame of its own, anywhere. Also what follows
/// it.
pub(crate) fn hidden(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    (0..bytes.len()).filter_map(|start| bytes.get(start..)).find_map(|rest| framed(rest).or_else(|| whole(rest)))
}

/// The PDU in the frame that bytes begin with, and what follows it. A frame whose lengths are all right proves one in whose
/// header another field is wrong.
fn framed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let &[_, _, high, low, _, 0xF0, 0x80..=0xFF] = bytes.first_chunk::<FRAME>()? else { return None };
    let (frame, rest) = bytes.split_at_checked(number([high, low]))?;
    let pdu = frame.get(FRAME..)?;
    let is_request = || matches!(shape::loose(pdu, pdu.len()), Some(Loose::Job | Loose::Userdata));
    (shape::is_whole(pdu) || is_request()).then_some((pdu, rest))
}

/// The whole PDU that bytes begin with, and what follows it.
fn whole(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = match *bytes {
        [0x32, _, 0, 0, _, _, p_high, p_low, d_high, d_low, ..] => {
            S7COMM_HEADER + number([p_high, p_low]) + number([d_high, d_low])
        }
        [0x72, 1..=3, high, low, ..] => PLUS_FRAME + number([high, low]),
        _ => return None,
    };
    let (pdu, rest) = bytes.split_at_checked(length)?;
    shape::is_whole(pdu).then_some((pdu, rest))
}

fn number(bytes: [u8; 2]) -> usize {
    u16::from_be_bytes(bytes).into()
}

/// Bytes of TPKT and COTP before a PDU.
const FRAME: usize = 7;
/// Bytes of the header of a request of S7comm.
const S7COMM_HEADER: usize = 10;
/// Bytes of header and trailer of a PDU of S7comm-plus.
const PLUS_FRAME: usize = 8;
