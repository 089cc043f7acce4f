//! The part of the binary encoding of OPC UA (OPC 10000-6, 5.2) that the generator uses, little-endian.

/// A string, or a byte string.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    number(text.len() as u32, out);
    out.extend(text.as_bytes());
}

/// A null string, byte string or array.
pub(super) fn null(out: &mut Vec<u8>) {
    out.extend([0xFF; 4]);
}

pub(super) fn number(value: u32, out: &mut Vec<u8>) {
    out.extend(value.to_le_bytes());
}

pub(super) fn double(value: f64, out: &mut Vec<u8>) {
    out.extend(value.to_le_bytes());
}

/// A number in a namespace, in four bytes (5.2.2.9).
pub(super) fn node(namespace: u8, id: u16, out: &mut Vec<u8>) {
    out.extend([0x01, namespace]);
    out.extend(id.to_le_bytes());
}

/// A DateTime in units of 100 ns since 1601, constant.
pub(super) fn moment(tick: u32, out: &mut Vec<u8>) {
    out.extend((134_118_720_000_000_000_i64 + i64::from(tick) * 10_000).to_le_bytes());
}

/// An empty extension object.
pub(super) fn nothing(out: &mut Vec<u8>) {
    out.extend([0, 0, 0]);
}

/// A value with both times (5.2.2.17): a Double.
pub(super) fn value(value: f64, tick: u32, out: &mut Vec<u8>) {
    out.extend([0x0D, 11]); // value, source and server time; type Double
    double(value, out);
    moment(tick, out);
    moment(tick, out);
}

/// A status instead of a value.
pub(super) fn no_value(status: u32, out: &mut Vec<u8>) {
    out.push(0x02);
    number(status, out);
}

/// A node of the plant, by its number or by its name.
pub(super) fn place(namespace: u8, id: u16, named: bool, out: &mut Vec<u8>) {
    if named {
        out.extend([0x03, namespace, 0]);
        string(&name(id), out);
    } else {
        node(namespace, id, out);
    }
}

/// The name of a node.
pub(super) fn name(id: u16) -> String {
    format!("Hall{}.Drive{:02}.Value{}", id / 100, id / 10 % 10, id % 10)
}

/// A ReadValueId: the whole value of a node without data encoding.
pub(super) fn read_value_id(id: u16, named: bool, out: &mut Vec<u8>) {
    place(NAMESPACE, id, named, out);
    number(VALUE, out);
    null(out);
    out.extend([0, 0]);
    null(out);
}

/// One message as chunks of at most [`BUFFER`] bytes, each with the next sequence number of its sender.
pub(super) fn chunks(request: u32, sequence: &mut u32, body: &[u8], out: &mut Vec<u8>) -> u64 {
    let parts = body.chunks(BUFFER - HEADERS);
    let count = parts.len();
    for (index, part) in parts.enumerate() {
        let is_last = index + 1 == count;
        out.extend(if is_last { *b"MSGF" } else { *b"MSGC" });
        number((HEADERS + part.len()) as u32, out);
        number(CHANNEL, out);
        number(TOKEN, out);
        number(*sequence, out);
        number(request, out);
        out.extend(part);
        *sequence += 1;
    }
    count as u64
}

/// A message that is one chunk of another type: `HEL`, `ACK`, `OPN`.
pub(super) fn message(kind: &[u8; 4], body: &[u8], out: &mut Vec<u8>) {
    out.extend(kind);
    number((8 + body.len()) as u32, out);
    out.extend(body);
}

/// Chunk header, channel, token, sequence number, request id.
pub(super) const HEADERS: usize = 24;
/// The negotiated buffer: the smallest that the standard allows.
pub(super) const BUFFER: usize = 8_192;
pub(super) const CHANNEL: u32 = 1;
pub(super) const TOKEN: u32 = 1;
/// Namespace of all nodes; the policy permits no other.
pub(in super::super) const NAMESPACE: u8 = 2;
/// Attribute 13.
pub(super) const VALUE: u32 = 13;
