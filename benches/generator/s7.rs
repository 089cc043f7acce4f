//! S7 clients that connect, poll and set data blocks (RFC 1006, ISO 8073 class 0, S7comm).
//!
//! Every flow connects like an operator panel: COTP connection request and confirmation, then Setup communication. Read Var
//! and Write Var follow, one PDU in one TPKT.

use super::MAX_PIPELINE;
use super::application::{Application, Tally, Turn};
use super::random::Random;

/// Clients and servers of S7comm.
pub(super) struct S7 {
    /// Responses in which an item is refused, per thousand.
    exceptions: u32,
    /// Jobs beyond what the policy permits, per million.
    violations: u32,
    jobs: [u64; FUNCTIONS.len()],
    answers: [u64; FUNCTIONS.len()],
    forbidden: u64,
    /// Data of a write under construction.
    data: Vec<u8>,
}

impl S7 {
    pub(super) fn new(exceptions: u32, violations: u32) -> Self {
        let none = [0; FUNCTIONS.len()];
        Self { exceptions, violations, jobs: none, answers: none, forbidden: 0, data: Vec::with_capacity(PDU_LENGTH) }
    }

    /// Parameters and data of a Read Var or Write Var behind a header that is filled in later.
    fn job(&mut self, random: &mut Random, out: &mut Vec<u8>) -> (u8, bool) {
        let forbidden = random.per_million(self.violations);
        let writes = forbidden || random.below(100) < WRITES_OF_A_HUNDRED;
        let (function, most) = if writes { (WRITE_VAR, MAX_WRITTEN) } else { (READ_VAR, MAX_READ) };
        let items = if random.below(100) < SEVERAL_OF_A_HUNDRED { 2 + random.below(most - 1) } else { 1 };
        out.extend([function, items as u8]);
        self.data.clear();
        for item in 0..items {
            let kind = &KINDS[random.below(KINDS.len() as u32) as usize];
            let count = 1 + random.below(MAX_BYTES / kind.bytes) as u16;
            address(kind, count, if forbidden { FORBIDDEN_BLOCK } else { block(random) }, random, out);
            if writes {
                value(0, kind, count * kind.bytes as u16, item + 1 == items, random, &mut self.data);
            }
        }
        (function, forbidden)
    }
}

impl Application for S7 {
    fn port(&self) -> u16 {
        102
    }

    fn opening(&self) -> u32 {
        2
    }

    fn request(&mut self, turn: Turn, random: &mut Random, out: &mut Vec<u8>) {
        if turn.number == 0 {
            return connection(CONNECT, out);
        }
        let start = out.len();
        header(JOB, (turn.number & 0xFFFF) as u16, out);
        let parameters = out.len();
        let function = if turn.number == 1 {
            out.extend(setup());
            SETUP
        } else {
            let (function, forbidden) = self.job(random, out);
            self.forbidden += u64::from(forbidden);
            function
        };
        let lengths = (out.len() - parameters, if function == WRITE_VAR { self.data.len() } else { 0 });
        if function == WRITE_VAR {
            out.extend(&self.data);
        }
        self.jobs[place(function)] += 1;
        set_lengths(&mut out[start..], lengths);
    }

    fn reply(&mut self, _: usize, request: &[u8], random: &mut Random, out: &mut Vec<u8>) {
        if request[5] == CONNECT {
            return connection(CONFIRM, out);
        }
        let start = out.len();
        header(ACK_DATA, u16::from_be_bytes([request[11], request[12]]), out);
        out.extend([0, 0]); // no error
        let function = request[17];
        self.answers[place(function)] += 1;
        let lengths = match function {
            SETUP => {
                out.extend(setup());
                (setup().len(), 0)
            }
            _ => {
                out.extend(&request[17..19]);
                let data = out.len();
                let refused = random.per_thousand(self.exceptions);
                items(request, refused, random, out);
                (2, out.len() - data)
            }
        };
        set_lengths(&mut out[start..], lengths);
    }

    fn tally(&self) -> Tally {
        let named = |rosctr: u8, counts: &[u64]| {
            let pairs = FUNCTIONS.iter().zip(counts).filter(|(_, count)| **count > 0);
            pairs.map(|(function, count)| (format!("{rosctr}:0x{function:02x}"), *count)).collect::<Vec<_>>()
        };
        let functions = [named(JOB, &self.jobs), named(ACK_DATA, &self.answers)].concat();
        Tally { pdus: [("rosctr_func", functions.into_iter().collect())].into(), violations: self.forbidden }
    }
}

/// Connection request or confirmation: TPDU size 1024, calling TSAP, called TSAP (OP, rack 0, slot 2).
fn connection(kind: u8, out: &mut Vec<u8>) {
    out.extend([3, 0, 0, 22, 17, kind]);
    out.extend(if kind == CONNECT { [0, 0, 0, 1, 0] } else { [0, 1, 0, 2, 0] }); // references, class 0
    out.extend([0xC0, 1, 10, 0xC1, 2, 1, 0, 0xC2, 2, 2, 2]);
}

/// TPKT, COTP data and S7comm header; [`set_lengths`] fills in how long they are.
fn header(rosctr: u8, reference: u16, out: &mut Vec<u8>) {
    out.extend([3, 0, 0, 0, 2, 0xF0, 0x80]);
    out.extend([0x32, rosctr, 0, 0]);
    out.extend(reference.to_be_bytes());
    out.extend([0; 4]);
}

/// Lengths of the TPKT, of the parameters and of the data.
fn set_lengths(tpkt: &mut [u8], (parameters, data): (usize, usize)) {
    let whole = tpkt.len() as u16;
    tpkt[2..4].copy_from_slice(&whole.to_be_bytes());
    tpkt[13..15].copy_from_slice(&(parameters as u16).to_be_bytes());
    tpkt[15..17].copy_from_slice(&(data as u16).to_be_bytes());
}

/// Parameters of Setup communication, equal in job and response: jobs in flight in each direction, PDU length.
fn setup() -> [u8; 8] {
    let [high, low] = (PDU_LENGTH as u16).to_be_bytes();
    [SETUP, 0, 0, MAX_PIPELINE as u8, 0, MAX_PIPELINE as u8, high, low]
}

/// One of the blocks that the policy permits.
fn block(random: &mut Random) -> u16 {
    1 + random.below(u32::from(BLOCKS)) as u16
}

/// An item of syntax S7ANY.
fn address(kind: &Kind, count: u16, block: u16, random: &mut Random, out: &mut Vec<u8>) {
    let byte = random.below(BLOCK_SIZE - MAX_BYTES) & !3;
    out.extend([0x12, 10, 0x10, kind.code]);
    out.extend(count.to_be_bytes());
    out.extend(block.to_be_bytes());
    out.push(AREA_DB);
    out.extend(&(byte * 8).to_be_bytes()[1..]);
}

/// One item of data: return code, transport size, length, value, and a fill byte unless it is the last. The bytes of a value
/// are large, so that none is a valid length of the next item for a server that miscounts.
fn value(code: u8, kind: &Kind, bytes: u16, last: bool, random: &mut Random, out: &mut Vec<u8>) {
    out.extend([code, kind.data_code]);
    out.extend((bytes * kind.units).to_be_bytes());
    (0..bytes).for_each(|_| out.push(random.next() as u8 | 0x80));
    if !last && bytes % 2 == 1 {
        out.push(0);
    }
}

/// The data of a response: values and codes of a read, codes of a write. With `refused`, the last item is refused.
fn items(request: &[u8], refused: bool, random: &mut Random, out: &mut Vec<u8>) {
    let specifications = request[19..].chunks_exact(ITEM).take(request[18].into());
    let count = specifications.len();
    for (index, item) in specifications.enumerate() {
        let last = index + 1 == count;
        let code = if refused && last { NO_SUCH_OBJECT } else { DONE };
        match request[17] {
            WRITE_VAR => out.push(code),
            _ if code != DONE => out.extend([code, 0, 0, 0]),
            _ => {
                let kind = KINDS.iter().find(|kind| kind.code == item[3]).unwrap_or(&KINDS[0]);
                let elements = u16::from_be_bytes([item[4], item[5]]);
                value(DONE, kind, elements * kind.bytes as u16, last, random, out);
            }
        }
    }
}

/// Index of a function's count.
fn place(function: u8) -> usize {
    FUNCTIONS.iter().position(|known| *known == function).unwrap_or(0)
}

/// A transport size: in items, in data, and how lengths in data are counted.
struct Kind {
    code: u8,
    data_code: u8,
    /// Bytes of an element.
    bytes: u32,
    /// Units of the length in data for each byte: 8 if it counts bits.
    units: u16,
}

/// BYTE, WORD and REAL: lengths in data are bits, except those of REAL.
const KINDS: [Kind; 3] = [
    Kind { code: 2, data_code: 4, bytes: 1, units: 8 },
    Kind { code: 4, data_code: 4, bytes: 2, units: 8 },
    Kind { code: 8, data_code: 7, bytes: 4, units: 1 },
];
const CONNECT: u8 = 0xE0;
const CONFIRM: u8 = 0xD0;
const JOB: u8 = 1;
const ACK_DATA: u8 = 3;
const READ_VAR: u8 = 0x04;
const WRITE_VAR: u8 = 0x05;
const SETUP: u8 = 0xF0;
/// Counted functions.
const FUNCTIONS: [u8; 3] = [READ_VAR, WRITE_VAR, SETUP];
/// Jobs that write.
const WRITES_OF_A_HUNDRED: u32 = 20;
/// Jobs of several items.
const SEVERAL_OF_A_HUNDRED: u32 = 25;
/// Items of a read and of a write, at most: with them every PDU stays below [`PDU_LENGTH`].
const MAX_READ: u32 = 8;
const MAX_WRITTEN: u32 = 4;
/// Bytes of an item, at most.
const MAX_BYTES: u32 = 32;
/// Bytes of an S7ANY item.
const ITEM: usize = 12;
/// The negotiated PDU length, bytes.
const PDU_LENGTH: usize = 480;
/// Area of data blocks.
const AREA_DB: u8 = 0x84;
/// Data blocks that the policy permits: 1 to this.
pub(super) const BLOCKS: u16 = 4;
/// Bytes of each.
pub(super) const BLOCK_SIZE: u32 = 1_024;
/// A data block that it does not permit.
const FORBIDDEN_BLOCK: u16 = 900;
/// Return codes of items.
const DONE: u8 = 0xFF;
const NO_SUCH_OBJECT: u8 = 0x0A;
