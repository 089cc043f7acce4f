//! Recognises OPC UA in the first bytes of a flow, and the side that sent them.

use super::binary::Bytes;
use super::chunk::{self, Chunk, HEADER, Kind, Part};
use super::cleartext;
use crate::dissector::{FrameLen, Probe, Side};
use crate::reader::Reader;

/// Judges the first bytes that one side sent.
pub(super) fn probe(bytes: &[u8]) -> Probe {
    let length = match chunk::frame_len(bytes) {
        FrameLen::Bytes(length) => length,
        FrameLen::Unknown => return Probe::More,
        FrameLen::Invalid(_) => return Probe::No,
    };
    let (head, next) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
    let Some(chunk) = Chunk::split(head) else { return Probe::No };
    let is_whole = head.len() == length;
    match chunk.kind {
        Kind::Hello => probe_hello(&chunk, length),
        Kind::Acknowledge if is_whole => probe_exact(&chunk, 20, 0, Side::Server),
        Kind::Error if is_whole => probe_exact(&chunk, 4, 1, Side::Server),
        Kind::ReverseHello if is_whole => probe_reverse_hello(&chunk, next),
        Kind::Open => probe_open(&chunk, is_whole),
        Kind::Close if length >= SHORTEST_MESSAGE => Probe::Yes { sender: Some(Side::Client) },
        Kind::Message if length >= SHORTEST_MESSAGE => probe_message(&chunk, is_whole),
        Kind::Close | Kind::Message => Probe::Maybe { sender: None },
        _ => Probe::More,
    }
}

/// HEL: numbers, then a URL up to the end, which may still be arriving.
fn probe_hello(chunk: &Chunk<'_>, length: usize) -> Probe {
    let sender = Some(Side::Client);
    let Some((head, _)) = chunk.rest.split_first_chunk::<HELLO_HEAD>() else {
        return if HEADER + chunk.rest.len() == length { Probe::Maybe { sender } } else { Probe::More };
    };
    let [.., a, b, c, d] = *head;
    // A length of -1 stands for null.
    let url = i32::from_le_bytes([a, b, c, d]).max(0) as usize;
    if HEADER + HELLO_HEAD + url == length && chunk.part == Part::Last {
        Probe::Yes { sender }
    } else {
        Probe::Maybe { sender }
    }
}

/// A connection message of `numbers` bytes and `texts` texts that end exactly with it.
fn probe_exact(chunk: &Chunk<'_>, numbers: usize, texts: usize, side: Side) -> Probe {
    let mut reader = Reader::new(chunk.rest);
    let is_exact = reader.bytes(numbers, "numbers").is_ok()
        && (0..texts).all(|_| Bytes::read_as(&mut reader, "text").is_ok())
        && reader.left() == 0
        && chunk.part == Part::Last;
    if is_exact { Probe::Yes { sender: Some(side) } } else { Probe::Maybe { sender: Some(side) } }
}

/// RHE: a server opened the TCP connection. The handshake suggests the opposite, so that both sides are needed to decide;
/// the bytes behind it, if any, answer a Hello.
fn probe_reverse_hello(chunk: &Chunk<'_>, next: &[u8]) -> Probe {
    match probe_exact(chunk, 0, 2, Side::Server) {
        Probe::Yes { sender } if next.is_empty() => Probe::Wait { sender },
        judged => judged,
    }
}

/// OPN: channel, URI of the policy, certificate, thumbprint, then a body which may be encrypted.
fn probe_open(chunk: &Chunk<'_>, is_whole: bool) -> Probe {
    let mut reader = Reader::new(chunk.rest);
    let channel = reader.u32_le("channel_id");
    let uri = Bytes::read_as(&mut reader, "security_policy_uri");
    if uri.is_ok_and(|uri| uri.or_empty().starts_with(b"http://opcfoundation.org/UA/SecurityPolicy#")) {
        let rest = Bytes::read_as(&mut reader, "certificate").and(Bytes::read_as(&mut reader, "thumbprint"));
        let body = rest.ok().and_then(|_| reader.rest().get(SEQUENCE_HEADER..));
        // Only the first request for a channel has no channel id yet.
        let asks = (channel == Ok(0)).then_some(Side::Client);
        return Probe::Yes { sender: asks.or_else(|| body.and_then(cleartext::sender)) };
    }
    if is_whole || uri.is_ok() { Probe::Maybe { sender: None } } else { Probe::More }
}

/// MSG: cleartext reveals its sender, an encrypted message only its header.
fn probe_message(chunk: &Chunk<'_>, is_whole: bool) -> Probe {
    let sender = chunk.rest.get(SHORTEST_MESSAGE - HEADER..).and_then(cleartext::sender);
    match sender {
        Some(_) => Probe::Yes { sender },
        None if is_whole || chunk.rest.len() >= ENOUGH => Probe::Yes { sender: None },
        None => Probe::More,
    }
}

/// Size of the numbers of a Hello and the length of its URL, bytes.
const HELLO_HEAD: usize = 24;
/// Size of header, channel, token and sequence header, bytes.
const SHORTEST_MESSAGE: usize = 24;
const SEQUENCE_HEADER: usize = 8;
/// Bytes behind the header that are enough to recognise a cleartext message.
const ENOUGH: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_messages_reveal_their_sender() {
        // version 0, buffers 65536, no limits, no URL
        let hello = b"HELF\x20\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff";
        assert_eq!(probe(hello), Probe::Yes { sender: Some(Side::Client) });
        assert_eq!(probe(&hello[..20]), Probe::More);
        // A URL of 5000 bytes, of which the first is there
        let long = b"HELF\xa8\x13\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\x88\x13\0\0o";
        assert_eq!(probe(long), Probe::Yes { sender: Some(Side::Client) });
        assert_eq!(
            probe(b"HELX\x1c\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0"),
            Probe::Maybe { sender: Some(Side::Client) }
        );
        let acknowledge = b"ACKF\x1c\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0";
        assert_eq!(probe(acknowledge), Probe::Yes { sender: Some(Side::Server) });
        assert_eq!(probe(b"GET / HTTP/1.1\r\n"), Probe::No);
    }

    #[test]
    fn a_reverse_hello_alone_needs_the_other_side_to_decide() {
        let reverse = b"RHEF\x12\0\0\0\x01\0\0\0s\x01\0\0\0e";
        assert_eq!(probe(reverse), Probe::Wait { sender: Some(Side::Server) });
        let with_answer = [reverse.as_slice(), b"ACKF"].concat();
        assert_eq!(probe(&with_answer), Probe::Yes { sender: Some(Side::Server) });
    }
}
