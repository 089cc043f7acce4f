//! Requests that violate their specification and that some servers execute nevertheless.

use crate::evasion::speech::{in_session, opcua, s7_item, s7_pdu, text, value_of};
use crate::talk::{Talk, activate_session};
use lockkeeper_protocols::Side;

/// Builds messages of a client.
type Messages = Box<dyn Fn(&mut Talk) -> Vec<Vec<u8>>>;

/// A request that violates its specification.
pub(crate) struct Twist {
    pub name: String,
    /// The client's messages in order.
    pub messages: Messages,
}

impl Twist {
    fn new(name: &str, messages: impl Fn(&mut Talk) -> Vec<Vec<u8>> + 'static) -> Self {
        Self { name: name.to_owned(), messages: Box::new(messages) }
    }

    /// A twist of one constant message.
    fn fixed(name: &str, bytes: Vec<u8>) -> Self {
        Self::new(name, move |_| vec![bytes.clone()])
    }
}

/// The twists of a protocol.
pub(crate) fn twists(protocol: &str) -> Vec<Twist> {
    match protocol {
        "modbus" => modbus(),
        "s7comm" => s7comm(),
        _ => opc_ua(),
    }
}

/// Every write, behind every wrong header.
fn modbus() -> Vec<Twist> {
    let writes: [(&str, &[u8]); 6] = [
        ("Write Single Coil", &[5, 0, 2, 0xFF, 0]),
        ("Write Single Register", &[6, 0, 5, 0, 99]),
        ("Write Multiple Coils", &[15, 0, 1, 0, 3, 1, 7]),
        ("Write Multiple Registers", &[16, 0, 5, 0, 2, 4, 0, 99, 0, 98]),
        ("Mask Write Register", &[22, 0, 5, 0, 0, 0, 77]),
        ("Read/Write Multiple Registers", &[23, 0, 0, 0, 1, 0, 5, 0, 1, 2, 0, 99]),
    ];
    let mut twists: Vec<Twist> = writes.iter().flat_map(|(name, pdu)| lying_headers(name, pdu)).collect();
    // Transaction 3: Read Holding Registers 0, 1 register.
    let read = |length: u16| [&[0, 3, 0, 0][..], &length.to_be_bytes(), &[1, 3, 0, 0, 0, 1]].concat();
    let write = mbap(0, 6, &[6, 0, 5, 0, 99]);
    twists.push(Twist::fixed("a write behind a read in one length", [read(18), write.clone()].concat()));
    twists.push(Twist::fixed("a write behind a read whose length is 0", [read(0), write.clone()].concat()));
    twists.push(Twist::fixed("a write behind a read of length 4096", [read(4096), write.clone()].concat()));
    twists.push(Twist::fixed("a write behind two reads in one length", [read(30), read(6), write.clone()].concat()));
    twists.push(Twist::new("a write in another segment than the read whose length covers it", move |_| {
        vec![read(18), write.clone()]
    }));
    twists
}

fn lying_headers(name: &str, pdu: &[u8]) -> Vec<Twist> {
    let right = pdu.len() as u16 + 1;
    let lengths = [0, 1, right - 1, right + 1, 255, 4096];
    let lengths = lengths.map(|length| Twist::fixed(&format!("{name}, length {length}"), mbap(0, length, pdu)));
    let protocol = Twist::fixed(&format!("{name}, protocol identifier FFFF"), mbap(0xFFFF, right, pdu));
    let both = Twist::fixed(&format!("{name}, protocol identifier FFFF and length 0"), mbap(0xFFFF, 0, pdu));
    lengths.into_iter().chain([protocol, both]).collect()
}

/// Transaction 7 to unit 1.
fn mbap(protocol: u16, length: u16, pdu: &[u8]) -> Vec<u8> {
    [&[0, 7][..], &protocol.to_be_bytes(), &length.to_be_bytes(), &[1], pdu].concat()
}

/// A write and a stop behind every wrong header, and writes of more data than they declare.
fn s7comm() -> Vec<Twist> {
    let write = s7_write(&[s7_item(20, 0, 4)], &[&[0, 4, 0, 32, 9, 9, 9, 9]]);
    let headers = [("write", write), ("stop", s7_stop())].into_iter().flat_map(|(name, request)| {
        HEADERS.map(move |(lie, at, value)| {
            let mut request = request.clone();
            request[at] = value;
            Twist::fixed(&format!("{name}, {lie}"), request)
        })
    });
    headers.chain(odd_items()).collect()
}

/// Description, offset in the TPKT, and value of each wrong byte.
const HEADERS: [(&str, usize, u8); 15] = [
    ("nothing wrong", 0, 3),
    ("TPKT version 0", 0, 0),
    ("TPKT version 2", 0, 2),
    ("TPKT version 255", 0, 0xFF),
    ("reserved byte 7", 1, 7),
    ("COTP length 3", 4, 3),
    ("TPDU DT with credit 1", 5, 0xF1),
    ("TPDU number 1", 6, 0x81),
    ("protocol 00", 7, 0),
    ("protocol 72", 7, 0x72),
    ("protocol FF", 7, 0xFF),
    ("ROSCTR 0", 8, 0),
    ("ROSCTR 2", 8, 2),
    ("ROSCTR 3", 8, 3),
    ("redundancy 12", 9, 0x12),
];

/// PLC stop.
pub(crate) fn s7_stop() -> Vec<u8> {
    s7_pdu(1, 8, &[], &[&[0x29, 0, 0, 0, 0, 0, 9][..], b"P_PROGRAM"].concat(), &[])
}

fn s7_write(items: &[Vec<u8>], data: &[&[u8]]) -> Vec<u8> {
    let parameters = [&[5, items.len() as u8][..], &items.concat()].concat();
    s7_pdu(1, 7, &[], &parameters, &data.concat())
}

/// DB20 may be written from byte 24 to 27, where there is 0.
fn odd_items() -> Vec<Twist> {
    let permitted = s7_item(20, 24, 4);
    let nothing: &[u8] = &[0, 4, 0, 32, 0, 0, 0, 0];
    let nines: &[u8] = &[0, 4, 0, 32, 9, 9, 9, 9];
    let odd = |at: usize, value: u8| {
        let mut item = s7_item(20, 0, 4);
        item[at] = value;
        s7_write(&[permitted.clone(), item], &[nothing, nines])
    };
    // Eight bytes of data for the four declared ones from 24 on; the others are not permitted.
    let longer: &[u8] = &[0, 4, 0, 64, 0, 0, 0, 0, 9, 9, 9, 9];
    let mut counted = s7_write(&[permitted.clone(), s7_item(20, 0, 4)], &[nothing, nines]);
    let count = 18;
    counted[count] = 1;
    vec![
        Twist::fixed("a second item of specification 99", odd(0, 0x99)),
        Twist::fixed("a second item of length 9", odd(1, 9)),
        Twist::fixed("a second item of syntax 11", odd(2, 0x11)),
        Twist::fixed("a second item of transport size 9", odd(3, 9)),
        Twist::fixed("data longer than the item", s7_write(&[s7_item(20, 24, 4)], &[longer])),
        Twist::fixed("an item of no elements", s7_write(&[s7_item(20, 0, 0)], &[nines])),
        Twist::fixed("two items, one of which is counted", counted),
    ]
}

/// Writes of the label, which no permit covers.
fn opc_ua() -> Vec<Twist> {
    let mut twists = odd_service_ids();
    twists.extend(odd_nodes());
    twists.extend(odd_headers());
    twists.push(Twist::new("a Write in two chunks", |talk| {
        let body = in_session(&write(&[label(&opcua::node(LABEL))]), &talk.session.token);
        let (first, second) = body.split_at(body.len() - 20);
        let channel = &mut talk.session.channel;
        vec![channel.piece(Side::Client, b'C', 20, first), channel.piece(Side::Client, b'F', 20, second)]
    }));
    twists.push(Twist::new(
        "a forbidden identity whose type has the flag of a server index, then a permitted write",
        |talk| {
            let token =
                [&opcua::string("username")[..], &opcua::string("operator"), &opcua::string("weir-42"), &opcua::NULL];
            let login = activate_session(&[0x41, 0, 0x44, 1, 0, 0, 0, 0], &token.concat());
            // A UInt16 (5) of 7.
            let item = value_of(&opcua::node(COMMAND), &[5, 7, 0]);
            vec![talk.session.message(&login), talk.session.message(&write(&[item]))]
        },
    ));
    twists
}

const LABEL: &str = "Weir.Label";
const COMMAND: &str = "Weir.Command";

/// The parts of an ExpandedNodeId beyond a NodeId: flag and value.
const EXPANSIONS: [(&str, u8, &[u8]); 3] = [
    ("the flag of a server index", 0x40, &[0; 4]),
    ("the flag of a namespace", 0x80, &opcua::NULL),
    ("both flags", 0xC0, &[0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]),
];

fn odd_service_ids() -> Vec<Twist> {
    let expanded = EXPANSIONS.map(|(name, flag, more)| {
        Twist::new(&format!("a type of message with {name}"), move |talk| {
            let body = in_session(&write(&[label(&opcua::node(LABEL))]), &talk.session.token);
            vec![talk.session.piece(&[&[body[0] | flag][..], &body[1..4], more, &body[4..]].concat())]
        })
    });
    let long = Twist::new("a type of message as a number of four bytes", |talk| {
        let body = in_session(&write(&[label(&opcua::node(LABEL))]), &talk.session.token);
        vec![talk.session.piece(&[&[2, 0, 0][..], &body[2..4], &[0, 0], &body[4..]].concat())]
    });
    expanded.into_iter().chain([long]).collect()
}

fn odd_nodes() -> Vec<Twist> {
    let odd = |(flag, more): (u8, &[u8])| {
        let mut node = opcua::node(LABEL);
        node[0] |= flag;
        label(&[&node[..], more].concat())
    };
    let second = EXPANSIONS.map(|(name, flag, more)| {
        Twist::new(&format!("a permitted node, then one with {name}"), move |talk| {
            vec![talk.session.message(&write(&[permitted(), odd((flag, more))]))]
        })
    });
    let behind = EXPANSIONS.map(|(name, flag, more)| {
        Twist::new(&format!("a node behind one with {name}"), move |talk| {
            let mut node = opcua::node(COMMAND);
            node[0] |= flag;
            let fault = value_of(&[&node[..], more].concat(), &[5, 0, 0]);
            vec![talk.session.message(&write(&[permitted(), fault, label(&opcua::node(LABEL))]))]
        })
    });
    second.into_iter().chain(behind).collect()
}

/// An undeclared write with a changed body: type (4), token, time (8), handle (4), diagnostics (4), audit entry (4), timeout
/// (4), additional header (3), items.
fn odd_headers() -> Vec<Twist> {
    let changed = |name: &str, change: fn(&mut Vec<u8>, usize)| {
        Twist::new(name, move |talk| {
            let mut body = in_session(&write(&[label(&opcua::node(LABEL))]), &talk.session.token);
            change(&mut body, 4 + talk.session.token.len());
            vec![talk.session.piece(&body)]
        })
    };
    let mut twists: Vec<Twist> = vec![
        changed("the year 2500", |body, time| {
            // Units of 100 ns since 1601: the year 9999 and beyond.
            body[time..time + 8].copy_from_slice(&283_708_224_000_000_000_u64.to_le_bytes());
        }),
        changed("a time before all", |body, time| body[time..time + 8].copy_from_slice(&0_u64.to_le_bytes())),
        changed("all diagnostics", |body, time| body[time + 12..time + 16].fill(0xFF)),
        changed("an audit entry", |body, time| {
            body.splice(time + 16..time + 20, opcua::string(&"audit".repeat(100)));
        }),
        changed("no timeout", |body, time| body[time + 20..time + 24].fill(0)),
        changed("an additional header with a body", |body, time| {
            // An unassigned type with four bytes.
            body.splice(time + 24..time + 27, [1, 0, 0x77, 0x77, 1, 4, 0, 0, 0, 1, 2, 3, 4]);
        }),
    ];
    twists.extend(EXPANSIONS.map(|(name, flag, more)| {
        Twist::new(&format!("an authentication token with {name}"), move |talk| {
            let mut token = talk.session.token.clone();
            token[0] |= flag;
            token.extend(more);
            vec![talk.session.piece(&in_session(&write(&[label(&opcua::node(LABEL))]), &token))]
        })
    }));
    twists.push(Twist::new("a value with status, times and picoseconds", |talk| {
        // DataValue: value, status, source and server timestamp, both with picoseconds.
        let stamps = [&[0; 4][..], &[0; 8], &[1, 0], &[0; 8], &[1, 0]].concat();
        let item =
            [&opcua::node(LABEL)[..], &13_u32.to_le_bytes(), &opcua::NULL, &[0x3F], &text("Mine"), &stamps].concat();
        vec![talk.session.message(&write(&[item]))]
    }));
    twists
}

fn write(items: &[Vec<u8>]) -> Vec<u8> {
    opcua::request(673, 1, &opcua::array(items))
}

/// A text that differs from the node's value.
fn label(node: &[u8]) -> Vec<u8> {
    value_of(node, &text("Mine"))
}

/// A UInt16 (5) of 0, equal to the node's value.
fn permitted() -> Vec<u8> {
    value_of(&opcua::node(COMMAND), &[5, 0, 0])
}
