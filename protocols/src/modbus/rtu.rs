//! RTU framing (Modbus over Serial Line V1.02, 2.5.1) inside TCP or UDP: unit, PDU, CRC-16. There is no length field:
//! function and side determine the length, and the CRC confirms it.

use super::function;
use super::head::Head;
use super::length::{self, Length};
use super::shape::{self, Fit};
use crate::dissector::{FrameLen, Probe, Side, Transport};

/// The length of the frame: that of its function, if the CRC agrees, or else up to the first CRC that fits. Many small
/// devices answer to a reserved unit, such as 255, beside their own: where the function determines the length, any unit
/// is accepted.
pub(super) fn frame_len(from: Side, bytes: &[u8]) -> FrameLen {
    match bytes {
        [unit, code, ..] if *unit >= FIRST_RESERVED_UNIT && !has_known_shape(*code) => {
            return FrameLen::Invalid("unit");
        }
        [_, code, ..] if from == Side::Client && *code >= function::EXCEPTION => return FrameLen::Invalid("function"),
        _ => {}
    }
    match length::of(from, bytes) {
        Length::Known(length) if length + CRC > MAX_FRAME => FrameLen::Invalid("length"),
        Length::Known(length) => match bytes.get(..length + CRC) {
            Some(frame) if !has_crc(frame) => FrameLen::Invalid("crc"),
            _ => FrameLen::Bytes(length + CRC),
        },
        Length::More => FrameLen::Unknown,
        Length::Undefined => find_crc_end(bytes),
    }
}

/// Whether a frame may start here. Functions without a length of their own are excluded: they would cost a search
/// through 256 bytes at every position.
pub(super) fn may_start(bytes: &[u8]) -> bool {
    bytes.get(1).is_none_or(|code| has_known_shape(*code))
}

/// The length of the frame at the start of `bytes`, if it is a defined function with exact structure and a correct CRC.
pub(super) fn exact_len(side: Side, bytes: &[u8]) -> Option<usize> {
    match probe_side(side, Transport::Tcp, bytes) {
        Probe::Yes { .. } => match frame_len(side, bytes) {
            FrameLen::Bytes(length) => Some(length),
            FrameLen::Unknown | FrameLen::Invalid(_) => None,
        },
        _ => None,
    }
}

/// Splits a whole frame into head and data.
pub(super) fn split(frame: &[u8]) -> Option<(Head, &[u8])> {
    let (&[unit, code], rest) = frame.split_first_chunk::<2>()?;
    let (data, _) = rest.split_last_chunk::<2>()?;
    Some((Head { transaction: 0, unit, code }, data))
}

/// Judges the first bytes of one end: only a defined function with exact structure and a correct CRC is accepted.
pub(super) fn probe(transport: Transport, bytes: &[u8]) -> Probe {
    let probe_side = |side| probe_side(side, transport, bytes);
    match (probe_side(Side::Client), probe_side(Side::Server)) {
        (Probe::Yes { .. }, Probe::Yes { .. }) => Probe::Yes { sender: None },
        (Probe::Yes { .. }, _) => Probe::Yes { sender: Some(Side::Client) },
        (_, Probe::Yes { .. }) => Probe::Yes { sender: Some(Side::Server) },
        (Probe::More, _) | (_, Probe::More) => Probe::More,
        _ => Probe::No,
    }
}

fn probe_side(side: Side, transport: Transport, bytes: &[u8]) -> Probe {
    if bytes.get(1).is_some_and(|code| !has_known_shape(*code)) {
        return Probe::No;
    }
    match frame_len(side, bytes) {
        FrameLen::Bytes(length) => match bytes.get(..length) {
            Some(frame) if fit(side, frame) == Fit::Exact => Probe::Yes { sender: Some(side) },
            None if transport == Transport::Tcp => Probe::More,
            _ => Probe::No,
        },
        FrameLen::Unknown if transport == Transport::Tcp => Probe::More,
        FrameLen::Unknown | FrameLen::Invalid(_) => Probe::No,
    }
}

fn has_known_shape(code: u8) -> bool {
    function::has_known_shape(code & !function::EXCEPTION)
}

fn fit(side: Side, frame: &[u8]) -> Fit {
    split(frame).map_or(Fit::Wrong, |(head, data)| shape::fit(side, head.code, data))
}

/// The shortest frame with a CRC that fits.
fn find_crc_end(bytes: &[u8]) -> FrameLen {
    let mut crc = CRC_START;
    for (index, byte) in bytes.iter().take(MAX_FRAME).enumerate() {
        crc = crc_step(crc, *byte);
        // Over a frame and its own CRC, the CRC is zero.
        if crc == 0 && index + 1 >= MIN_FRAME {
            return FrameLen::Bytes(index + 1);
        }
    }
    if bytes.len() < MAX_FRAME { FrameLen::Unknown } else { FrameLen::Invalid("crc") }
}

fn has_crc(frame: &[u8]) -> bool {
    frame.len() >= MIN_FRAME && frame.iter().fold(CRC_START, |crc, byte| crc_step(crc, *byte)) == 0
}

/// One byte of the CRC-16 (Modbus over Serial Line V1.02, annex B: polynomial A001, low bit first).
#[inline]
fn crc_step(crc: u16, byte: u8) -> u16 {
    let [low, high] = crc.to_le_bytes();
    CRC_TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default() ^ u16::from(high)
}

static CRC_TABLE: [u16; 256] = crc_table();

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler: a wrong index does not build")]
const fn crc_table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let mut crc = index as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

const CRC_START: u16 = 0xFFFF;
/// Bytes of the CRC.
pub(super) const CRC: usize = 2;
/// Bytes of unit, function and CRC.
pub(super) const MIN_FRAME: usize = 4;
/// Longest frame (2.5.1).
pub(super) const MAX_FRAME: usize = 256;
/// First unit number that no device may have (2.2).
const FIRST_RESERVED_UNIT: u8 = 248;

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that every CRC calculator prints.
    #[test]
    fn the_crc_is_that_of_the_standard() {
        let crc = b"123456789".iter().fold(CRC_START, |crc, byte| crc_step(crc, *byte));
        assert_eq!(crc, 0x4B37);
    }

    #[test]
    fn a_frame_ends_where_its_function_says_and_its_crc_agrees() {
        let request = [
            0x11, // unit
            0x03, // read holding registers
            0x00, 0x6B, // starting address
            0x00, 0x03, // quantity
            0x76, 0x87, // CRC
        ];
        assert_eq!(frame_len(Side::Client, &request), FrameLen::Bytes(8));
        assert_eq!(probe(Transport::Tcp, &request), Probe::Yes { sender: Some(Side::Client) });
        let mut broken = request;
        broken[7] ^= 1;
        assert_eq!(frame_len(Side::Client, &broken), FrameLen::Invalid("crc"));
        assert_eq!(probe(Transport::Tcp, &broken), Probe::No);
    }

    #[test]
    fn a_function_without_a_length_ends_at_the_first_fitting_crc() {
        let mut frame = std::vec![0x11, 0x41, 0xCA, 0xFE, 0x00];
        let crc = frame.iter().fold(CRC_START, |crc, byte| crc_step(crc, *byte));
        assert_eq!(frame_len(Side::Client, &frame), FrameLen::Unknown);
        frame.extend(crc.to_le_bytes());
        frame.extend([0x11, 0x03]);
        assert_eq!(frame_len(Side::Client, &frame), FrameLen::Bytes(7));
    }
}
