//! Modbus/TCP clients that poll, set and are sometimes refused (Modbus Application Protocol V1.1b3).

use super::application::{Application, Tally, Turn};
use super::random::Random;

/// Clients and servers of Modbus.
pub(super) struct Modbus {
    /// Exception responses, per thousand.
    exceptions: u32,
    /// Requests beyond what the policy permits, per million.
    violations: u32,
    requests: [u64; FUNCTIONS],
    responses: [u64; FUNCTIONS],
    refused: [u64; FUNCTIONS],
    forbidden: u64,
}

impl Modbus {
    pub(super) fn new(exceptions: u32, violations: u32) -> Self {
        let none = [0; FUNCTIONS];
        Self { exceptions, violations, requests: none, responses: none, refused: none, forbidden: 0 }
    }
}

impl Application for Modbus {
    fn port(&self) -> u16 {
        502
    }

    fn request(&mut self, turn: Turn, random: &mut Random, out: &mut Vec<u8>) {
        let forbidden = random.per_million(self.violations);
        let function = if forbidden { 6 } else { MIX[random.below(MIX.len() as u32) as usize] };
        self.requests[usize::from(function)] += 1;
        self.forbidden += u64::from(forbidden);
        let first = if forbidden { FORBIDDEN } else { 0 };
        let address = first + random.below(u32::from(ADDRESSES - MAX_COUNT)) as u16;
        let header = out.len();
        out.extend(((turn.number & 0xFFFF) as u16).to_be_bytes()); // transaction identifier
        out.extend([0, 0, 0, 0, UNIT, function]); // protocol identifier, length (set below), unit, function code
        out.extend(address.to_be_bytes());
        request_data(function, random, out);
        set_length(&mut out[header..]);
    }

    fn reply(&mut self, _: usize, request: &[u8], random: &mut Random, out: &mut Vec<u8>) {
        let function = request[7];
        let refused = random.per_thousand(self.exceptions);
        self.responses[usize::from(function)] += 1;
        self.refused[usize::from(function)] += u64::from(refused);
        let header = out.len();
        out.extend(&request[..7]);
        if refused {
            out.extend([function | 0x80, ILLEGAL_DATA_ADDRESS]);
        } else {
            out.push(function);
            reply_data(request, random, out);
        }
        set_length(&mut out[header..]);
    }

    fn tally(&self) -> Tally {
        let named = |counts: &[u64; FUNCTIONS], suffix: &str| {
            let seen = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            seen.map(|(function, count)| (format!("{function}{suffix}"), *count)).collect()
        };
        let pdus = [
            ("requests", named(&self.requests, "")),
            ("responses", named(&self.responses, "")),
            ("exceptions_fc_code", named(&self.refused, &format!(":{ILLEGAL_DATA_ADDRESS}"))),
        ];
        Tally { pdus: pdus.into(), violations: self.forbidden }
    }
}

/// The part of a request behind the address.
fn request_data(function: u8, random: &mut Random, out: &mut Vec<u8>) {
    let count = 1 + random.below(u32::from(MAX_COUNT)) as u16;
    match function {
        5 => out.extend(if random.below(2) == 0 { [0x00, 0x00] } else { [0xFF, 0x00] }),
        6 => out.extend(value(random)),
        16 => {
            out.extend(count.to_be_bytes());
            out.push(count as u8 * 2);
            (0..count).for_each(|_| out.extend(value(random)));
        }
        _ => out.extend(count.to_be_bytes()),
    }
}

/// The part of a response behind the function code.
fn reply_data(request: &[u8], random: &mut Random, out: &mut Vec<u8>) {
    let count = usize::from(request[11]);
    match request[7] {
        1 => {
            let bytes = count.div_ceil(8);
            out.push(bytes as u8);
            let bits = random.next() & ((1 << count) - 1); // the padding of the last byte is 0
            out.extend(&bits.to_le_bytes()[..bytes]);
        }
        3 | 4 => {
            out.push(count as u8 * 2);
            (0..count).for_each(|_| out.extend(value(random)));
        }
        _ => out.extend(&request[8..12]), // echo: address, and value or count
    }
}

/// A value that the policy permits.
fn value(random: &mut Random) -> [u8; 2] {
    (random.below(u32::from(MAX_VALUE) + 1) as u16).to_be_bytes()
}

/// The length field counts what follows it: unit identifier and PDU.
fn set_length(adu: &mut [u8]) {
    let length = (adu.len() - 6) as u16;
    adu[4..6].copy_from_slice(&length.to_be_bytes());
}

/// Frequency of each function: mostly polls.
const MIX: [u8; 20] = [3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 1, 1, 1, 5, 6, 6, 16, 16];
/// Counted function codes.
const FUNCTIONS: usize = 17;
/// Unit identifier of every server.
pub(super) const UNIT: u8 = 1;
/// Addresses that the policy permits: 0 to this, exclusive.
pub(super) const ADDRESSES: u16 = 1_000;
/// First address that the policy does not permit.
const FORBIDDEN: u16 = 40_000;
/// Registers or bits of one request, at most.
const MAX_COUNT: u16 = 20;
/// Largest value that is written.
pub(super) const MAX_VALUE: u16 = 9_999;
/// Exception code 2.
const ILLEGAL_DATA_ADDRESS: u8 = 2;
