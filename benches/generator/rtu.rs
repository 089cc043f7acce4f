//! Modbus RTU framing over a network (Modbus over Serial Line V1.02, 2.5.1): unit, PDU, CRC.

use super::application::{Application, Tally, Turn};
use super::modbus::Modbus;
use super::random::Random;

/// The messages of [`Modbus`] in RTU framing.
pub(super) struct Rtu {
    modbus: Modbus,
    /// One message in Modbus/TCP framing.
    framed: Vec<u8>,
    /// The answered request in Modbus/TCP framing.
    asked: Vec<u8>,
}

impl Rtu {
    pub(super) fn new(modbus: Modbus) -> Self {
        Self { modbus, framed: Vec::new(), asked: Vec::new() }
    }
}

impl Application for Rtu {
    /// A port that device servers often use; none is registered.
    fn port(&self) -> u16 {
        4001
    }

    fn request(&mut self, turn: Turn, random: &mut Random, out: &mut Vec<u8>) {
        self.framed.clear();
        self.modbus.request(turn, random, &mut self.framed);
        serial(&self.framed, out);
    }

    fn reply(&mut self, flow: usize, request: &[u8], random: &mut Random, out: &mut Vec<u8>) {
        self.framed.clear();
        self.asked.clear();
        self.asked.extend([0; MBAP - 1]);
        self.asked.extend(&request[..request.len() - CRC]);
        self.modbus.reply(flow, &self.asked, random, &mut self.framed);
        serial(&self.framed, out);
    }

    fn tally(&self) -> Tally {
        self.modbus.tally()
    }
}

/// The same message with its unit and a checksum instead of the Modbus/TCP header.
fn serial(framed: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend(&framed[MBAP - 1..]);
    let crc = out[start..].iter().fold(0xFFFF_u16, |crc, byte| shifted(crc ^ u16::from(*byte)));
    out.extend(crc.to_le_bytes());
}

/// Eight steps of CRC-16 (Modbus over Serial Line V1.02, 6.2.2).
fn shifted(crc: u16) -> u16 {
    (0..8).fold(crc, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 })
}

/// Header of Modbus/TCP; its last byte is the unit.
const MBAP: usize = 7;
const CRC: usize = 2;
