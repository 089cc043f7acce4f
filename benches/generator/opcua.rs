//! OPC UA clients that open a session, poll, set and receive notifications (OPC 10000-4 and 10000-6), unencrypted.
//!
//! Every flow sends Hello, opens a channel of policy None and an anonymous session, and subscribes to some nodes. Read,
//! Write and Publish follow, according to the [`Habits`] of its clients.

mod encode;
mod habits;

use std::collections::BTreeMap;

use super::application::{Application, Tally, Turn};
use super::random::Random;
pub(super) use encode::NAMESPACE;
use encode::{
    BUFFER, CHANNEL, HEADERS, TOKEN, VALUE, chunks, double, message, moment, no_value, node, nothing, null, number,
    place, read_value_id, string, value,
};
pub(super) use habits::{BULK, HISTORIAN, Habits, PANEL};

/// Clients and servers of OPC UA.
pub(super) struct OpcUa {
    habits: &'static Habits,
    /// Responses in which a node is refused, per thousand.
    exceptions: u32,
    /// Writes beyond what the policy permits, per million.
    violations: u32,
    kinds: BTreeMap<&'static str, u64>,
    services: BTreeMap<u16, u64>,
    policies: u64,
    forbidden: u64,
    /// Next sequence number of client and server, by flow.
    sequences: Vec<[u32; 2]>,
    body: Vec<u8>,
}

/// The ids of all nodes, as a policy writes them.
pub(super) fn node_ids(habits: &Habits) -> impl Iterator<Item = String> {
    let named = habits.named;
    (1..=NODES).map(move |id| if named { format!("s={}", encode::name(id)) } else { format!("i={id}") })
}

impl OpcUa {
    pub(super) fn new(habits: &'static Habits, exceptions: u32, violations: u32) -> Self {
        Self {
            habits,
            exceptions,
            violations,
            kinds: BTreeMap::new(),
            services: BTreeMap::new(),
            policies: 0,
            forbidden: 0,
            sequences: Vec::new(),
            body: Vec::with_capacity(2 * BUFFER),
        }
    }

    /// Sends the body as a message, and counts it.
    fn send(&mut self, flow: usize, side: usize, request: u32, out: &mut Vec<u8>) {
        let sequence = &mut self.sequences[flow][side];
        *self.kinds.entry("MSG").or_default() += chunks(request, sequence, &self.body, out);
        self.count(u16::from_le_bytes([self.body[2], self.body[3]]));
    }

    fn count(&mut self, service: u16) {
        *self.services.entry(service).or_default() += 1;
    }

    fn greet(&mut self, kind: &'static str, body: &[u8], out: &mut Vec<u8>) {
        *self.kinds.entry(kind).or_default() += 1;
        message(if kind == "HEL" { b"HELF" } else { b"ACKF" }, body, out);
    }

    /// OpenSecureChannel in either direction, whose header names the policy.
    fn open(&mut self, flow: usize, side: usize, out: &mut Vec<u8>) {
        let mut whole = Vec::new();
        number(if side == CLIENT { 0 } else { CHANNEL }, &mut whole);
        string("http://opcfoundation.org/UA/SecurityPolicy#None", &mut whole);
        null(&mut whole);
        null(&mut whole);
        let sequence = &mut self.sequences[flow][side];
        number(*sequence, &mut whole);
        number(1, &mut whole);
        *sequence += 1;
        whole.extend(&self.body);
        *self.kinds.entry("OPN").or_default() += 1;
        self.policies += 1;
        self.count(if side == CLIENT { OPEN } else { OPEN + 3 });
        message(b"OPNF", &whole, out);
    }

    fn read(&mut self, flow: usize, random: &mut Random) {
        let (first, nodes) = (self.habits.read)(flow, random);
        double(0.0, &mut self.body);
        number(2, &mut self.body); // both times
        number(nodes.into(), &mut self.body);
        (first..first + nodes).for_each(|id| read_value_id(id, self.habits.named, &mut self.body));
    }

    fn write(&mut self, forbidden: bool, random: &mut Random) {
        let nodes = if forbidden { 1 } else { 1 + random.below(self.habits.writes) };
        number(nodes, &mut self.body);
        for _ in 0..nodes {
            let id = 1 + random.below(u32::from(NODES)) as u16;
            place(if forbidden { NAMESPACE + 1 } else { NAMESPACE }, id, self.habits.named, &mut self.body);
            number(VALUE, &mut self.body);
            null(&mut self.body);
            self.body.extend([0x01, 11]); // a Double without times
            double(f64::from(random.below(1_000)), &mut self.body);
        }
    }

    /// The server's response behind the response header.
    fn answer(&mut self, service: u16, request: &[u8], random: &mut Random) {
        let body = &mut self.body;
        match service {
            CREATE_SESSION => session(body),
            ACTIVATE_SESSION => (0..3).for_each(|_| null(body)),
            SUBSCRIBE => {
                number(1, body);
                double(500.0, body);
                number(1_000, body);
                number(10, body);
            }
            MONITOR => monitored(self.habits.monitored, body),
            PUBLISH => notification(self.habits, word(request, HANDLE), random, body),
            _ => {
                let refused = random.per_thousand(self.exceptions);
                results(service, request, refused, random, body);
            }
        }
    }
}

impl Application for OpcUa {
    fn port(&self) -> u16 {
        4840
    }

    fn opening(&self) -> u32 {
        6
    }

    fn most_segments(&self) -> u64 {
        self.habits.most_segments
    }

    fn segment(&self) -> usize {
        SEGMENT
    }

    fn request(&mut self, turn: Turn, random: &mut Random, out: &mut Vec<u8>) {
        let Turn { flow, number: turn } = turn;
        if self.sequences.len() <= flow {
            self.sequences.resize(flow + 1, [1; 2]);
        }
        if turn == 0 {
            return self.greet("HEL", &hello(), out);
        }
        let service = match turn {
            1..=5 => OPENING[turn as usize - 1],
            _ => self.habits.mix[random.below(self.habits.mix.len() as u32) as usize],
        };
        let forbidden = turn > 5 && random.per_million(self.violations);
        let service = if forbidden { WRITE } else { service };
        self.forbidden += u64::from(forbidden);
        request_header(service, turn, &mut self.body);
        match service {
            OPEN => {
                open_request(&mut self.body);
                return self.open(flow, CLIENT, out);
            }
            CREATE_SESSION => create_session(&mut self.body),
            ACTIVATE_SESSION => activate_session(&mut self.body),
            SUBSCRIBE => subscribe(&mut self.body),
            MONITOR => monitor(self.habits, &mut self.body),
            READ => self.read(flow, random),
            WRITE => self.write(forbidden, random),
            _ => number(0, &mut self.body), // Publish without acknowledgements
        }
        self.send(flow, CLIENT, turn, out);
    }

    fn reply(&mut self, flow: usize, request: &[u8], random: &mut Random, out: &mut Vec<u8>) {
        if request.starts_with(b"HEL") {
            return self.greet("ACK", &hello()[..20], out);
        }
        if request.starts_with(b"OPN") {
            response_header(OPEN, 1, &mut self.body);
            open_response(&mut self.body);
            return self.open(flow, SERVER, out);
        }
        let id = word(request, 20);
        let service = word(request, HEADERS + 2) as u16;
        response_header(service, word(request, HANDLE), &mut self.body);
        self.answer(service, request, random);
        self.send(flow, SERVER, id, out);
    }

    fn tally(&self) -> Tally {
        let named = |(name, count): (&&str, &u64)| ((*name).to_owned(), *count);
        let pdus = [
            ("message_types", self.kinds.iter().map(named).collect()),
            ("service_ids", self.services.iter().map(|(id, count)| (id.to_string(), *count)).collect()),
            ("security_policies", [("None".to_owned(), self.policies)].into()),
        ];
        Tally { pdus: pdus.into(), violations: self.forbidden }
    }
}

/// A little-endian number in a message of this generator.
fn word(message: &[u8], at: usize) -> u32 {
    message[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Protocol version, both buffers, no limits of messages, the address of the endpoint.
fn hello() -> Vec<u8> {
    let mut body = Vec::new();
    [0, BUFFER as u32, BUFFER as u32, 0, 0].into_iter().for_each(|word| number(word, &mut body));
    string("opc.tcp://plc:4840", &mut body);
    body
}

/// Type id and RequestHeader. The session's token has a fixed length, so that the fields behind it have fixed offsets.
fn request_header(service: u16, turn: u32, body: &mut Vec<u8>) {
    body.clear();
    node(0, service, body);
    body.extend([0x02, 0, 0]);
    number(if turn > 2 { SESSION } else { 0 }, body);
    moment(turn, body);
    number(turn, body);
    number(0, body);
    null(body);
    number(5_000, body);
    nothing(body);
}

/// Type id and ResponseHeader with status Good. The id of a response is that of its request plus three.
fn response_header(service: u16, handle: u32, body: &mut Vec<u8>) {
    body.clear();
    node(0, service + 3, body);
    moment(handle, body);
    number(handle, body);
    number(0, body);
    body.push(0);
    number(0, body);
    nothing(body);
}

/// Version, issue, mode None, no nonce, lifetime.
fn open_request(body: &mut Vec<u8>) {
    [0, 0, 1].into_iter().for_each(|word| number(word, body));
    null(body);
    number(3_600_000, body);
}

/// Version, token, no nonce.
fn open_response(body: &mut Vec<u8>) {
    [0, CHANNEL, TOKEN].into_iter().for_each(|word| number(word, body));
    moment(0, body);
    number(3_600_000, body);
    null(body);
}

fn create_session(body: &mut Vec<u8>) {
    string("urn:plant.example:client", body);
    string("urn:plant.example", body);
    body.push(0x02);
    string("Client", body);
    number(1, body); // a client
    (0..4).for_each(|_| null(body));
    string("opc.tcp://plc:4840", body);
    string("Session", body);
    (0..2).for_each(|_| null(body));
    double(60_000.0, body);
    number(0, body);
}

/// Session, its token, timeout; no nonce, certificate, endpoints, software certificates, signature; no limit.
fn session(body: &mut Vec<u8>) {
    for id in [SESSION + 1, SESSION] {
        body.extend([0x02, 0, 0]);
        number(id, body);
    }
    double(60_000.0, body);
    (0..6).for_each(|_| null(body));
    number(0, body);
}

/// No signature, software certificates, locales; an anonymous user without a token signature.
fn activate_session(body: &mut Vec<u8>) {
    (0..4).for_each(|_| null(body));
    node(0, ANONYMOUS, body);
    body.push(1);
    number(4 + 9, body);
    string("anonymous", body);
    (0..2).for_each(|_| null(body));
}

fn subscribe(body: &mut Vec<u8>) {
    double(500.0, body);
    [1_000, 10, 0].into_iter().for_each(|word| number(word, body));
    body.extend([1, 0]);
}

fn monitor(habits: &Habits, body: &mut Vec<u8>) {
    number(1, body);
    number(2, body);
    number(habits.monitored, body);
    for item in 0..habits.monitored {
        read_value_id(1 + item as u16, habits.named, body);
        number(2, body); // reporting
        number(item, body);
        double(500.0, body);
        nothing(body);
        number(1, body);
        body.push(1);
    }
}

fn monitored(items: u32, body: &mut Vec<u8>) {
    number(items, body);
    for item in 0..items {
        number(0, body);
        number(1 + item, body);
        double(500.0, body);
        number(1, body);
        nothing(body);
    }
    null(body);
}

/// Subscription, nothing to acknowledge, no more; one notification of data changes.
fn notification(habits: &Habits, tick: u32, random: &mut Random, body: &mut Vec<u8>) {
    let (first, values) = (habits.changed)(random);
    number(1, body);
    null(body);
    body.push(0);
    number(tick, body);
    moment(tick, body);
    number(1, body);
    node(0, DATA_CHANGE, body);
    body.push(1);
    let length = body.len();
    number(0, body);
    number(values, body);
    for item in first..first + values {
        number(item, body);
        value(f64::from(random.below(1_000)), tick, body);
    }
    null(body);
    let size = (body.len() - length - 4) as u32;
    body[length..length + 4].copy_from_slice(&size.to_le_bytes());
    (0..2).for_each(|_| null(body));
}

/// A value for each node of a Read, a status for each of a Write; the last is refused if one is.
fn results(service: u16, request: &[u8], refused: bool, random: &mut Random, body: &mut Vec<u8>) {
    let count = word(request, if service == READ { COUNT_OF_READ } else { COUNT_OF_WRITE });
    number(count, body);
    for index in 1..=count {
        let refuse = refused && index == count;
        match service {
            READ if refuse => no_value(UNKNOWN_NODE, body),
            READ => value(f64::from(random.below(1_000)), index, body),
            _ => number(if refuse { UNKNOWN_NODE } else { 0 }, body),
        }
    }
    null(body);
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// Encoding ids of requests; that of the response is three more.
const OPEN: u16 = 446;
const CREATE_SESSION: u16 = 461;
const ACTIVATE_SESSION: u16 = 467;
const READ: u16 = 631;
const WRITE: u16 = 673;
const MONITOR: u16 = 751;
const SUBSCRIBE: u16 = 787;
const PUBLISH: u16 = 826;
/// Encoding ids of extension objects.
const ANONYMOUS: u16 = 321;
const DATA_CHANGE: u16 = 811;

/// Messages that open a session, after the Hello.
const OPENING: [u16; 5] = [OPEN, CREATE_SESSION, ACTIVATE_SESSION, SUBSCRIBE, MONITOR];
/// Offsets of handle and node count in a request; the count of a Read follows age and timestamps.
const HANDLE: usize = HEADERS + 19;
const COUNT_OF_WRITE: usize = HEADERS + 38;
const COUNT_OF_READ: usize = COUNT_OF_WRITE + 12;
/// Token of every session, and one less than its number.
const SESSION: u32 = 1_001;
/// Nodes of a server: 1 to this.
const NODES: u16 = 1_000;
/// BadNodeIdUnknown.
const UNKNOWN_NODE: u32 = 0x8034_0000;
/// Payload of a segment.
const SEGMENT: usize = 1_024;
