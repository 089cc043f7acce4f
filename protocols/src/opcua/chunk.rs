//! Framing: the header of every message and chunk (OPC 10000-6, 7.1.2 and 6.7.2.2).

use crate::dissector::FrameLen;

/// Message types, in the order in which they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// HEL: the client opens the connection.
    Hello,
    /// ACK: the server accepts it.
    Acknowledge,
    /// ERR: the server ends it.
    Error,
    /// RHE: a server that opened the TCP connection itself asks the client for a Hello.
    ReverseHello,
    /// OPN: opens or renews a secure channel.
    Open,
    /// MSG: a service request or response, in one or more chunks.
    Message,
    /// CLO: closes a secure channel.
    Close,
}

impl Kind {
    /// Every type, in order, with its three letters.
    pub(super) const ALL: [(Self, &'static str); 7] = [
        (Self::Hello, "HEL"),
        (Self::Acknowledge, "ACK"),
        (Self::Error, "ERR"),
        (Self::ReverseHello, "RHE"),
        (Self::Open, "OPN"),
        (Self::Message, "MSG"),
        (Self::Close, "CLO"),
    ];

    /// The type with these three letters.
    #[inline]
    const fn from_letters(letters: [u8; 3]) -> Option<Self> {
        match &letters {
            b"MSG" => Some(Self::Message),
            b"OPN" => Some(Self::Open),
            b"CLO" => Some(Self::Close),
            b"HEL" => Some(Self::Hello),
            b"ACK" => Some(Self::Acknowledge),
            b"ERR" => Some(Self::Error),
            b"RHE" => Some(Self::ReverseHello),
            _ => None,
        }
    }

    /// The part of its message that a chunk is, by its letter. Connection messages have a single part, and servers ignore
    /// its letter.
    #[inline]
    const fn part(self, letter: u8) -> Option<Part> {
        match (part_from_letter(letter), self) {
            (None, Self::Hello | Self::Acknowledge | Self::Error | Self::ReverseHello) => Some(Part::More),
            (part, _) => part,
        }
    }

    /// The letters of the type counted under this key.
    pub(super) fn letters_of_key(key: u32) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind as u32 == key).map_or("", |(_, letters)| letters)
    }
}

/// The part of its message that a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// C: more chunks follow.
    More,
    /// F: the last or only chunk.
    Last,
    /// A: the sender aborts the message.
    Abort,
}

/// One chunk, split from its header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk<'f> {
    pub(super) kind: Kind,
    pub(super) part: Part,
    /// The bytes behind the eight bytes of the header.
    pub(super) rest: &'f [u8],
    /// The whole chunk, header included.
    pub(super) frame: &'f [u8],
}

impl<'f> Chunk<'f> {
    /// Splits the header off a whole frame; `None` if its type or part is unknown.
    #[inline]
    pub(super) fn split(frame: &'f [u8]) -> Option<Self> {
        let (&[a, b, c, part, ..], rest) = frame.split_first_chunk::<HEADER>()?;
        let kind = Kind::from_letters([a, b, c])?;
        Some(Self { kind, part: kind.part(part)?, rest, frame })
    }
}

/// The part with this letter.
#[inline]
const fn part_from_letter(letter: u8) -> Option<Part> {
    match letter {
        b'F' => Some(Part::Last),
        b'C' => Some(Part::More),
        b'A' => Some(Part::Abort),
        _ => None,
    }
}

/// Length of the chunk that begins here. A size that no chunk of its type can have is invalid, so that a frame is never
/// empty.
#[inline]
pub(super) fn frame_len(bytes: &[u8]) -> FrameLen {
    let Some((&[a, b, c, part, size @ ..], _)) = bytes.split_first_chunk::<HEADER>() else {
        return if may_start(bytes) { FrameLen::Unknown } else { FrameLen::Invalid("message_type") };
    };
    let Some((kind, _)) = Kind::from_letters([a, b, c]).and_then(|kind| Some((kind, kind.part(part)?))) else {
        return FrameLen::Invalid("message_type");
    };
    let size = u32::from_le_bytes(size) as usize;
    let allowed = match kind {
        Kind::Message | Kind::Open | Kind::Close => size >= SHORTEST_SECURED,
        Kind::Hello | Kind::ReverseHello | Kind::Acknowledge | Kind::Error => true,
    };
    if allowed && (HEADER..=MAX_CHUNK).contains(&size) {
        FrameLen::Bytes(size)
    } else {
        FrameLen::Invalid("message_size")
    }
}

/// Length of a chunk that is too long to keep. It is accepted only with a channel and token in use: 64 bits that do not
/// match by accident. `name`: the fault otherwise.
pub(super) fn oversized_len(bytes: &[u8], is_known: impl Fn(u32, u32) -> bool, name: &'static str) -> FrameLen {
    let Some((&[a, b, c, part, size @ ..], rest)) = bytes.split_first_chunk::<HEADER>() else {
        return FrameLen::Invalid(name);
    };
    let size = u32::from_le_bytes(size) as usize;
    if Kind::from_letters([a, b, c]) != Some(Kind::Message)
        || part_from_letter(part).is_none()
        || size <= MAX_CHUNK
        || size > LONGEST_SKIPPED
    {
        return FrameLen::Invalid(name);
    }
    let Some((channel, token, _)) = split_numbers(rest) else { return FrameLen::Unknown };
    if is_known(channel, token) { FrameLen::Bytes(size) } else { FrameLen::Invalid(name) }
}

/// Splits two numbers off the beginning of `bytes`: channel id and token id, or sequence number and request id.
#[inline]
pub(super) fn split_numbers(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (&[a, b, c, d, e, f, g, h], rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]), rest))
}

/// A message in one chunk on a secure channel, split from its headers (OPC 10000-6, 6.7.2.2 to 6.7.2.4).
#[derive(Clone, Copy, Debug)]
pub(super) struct SingleChunkMessage<'f> {
    pub(super) channel: u32,
    pub(super) token: u32,
    pub(super) sequence: u32,
    /// Request id.
    pub(super) request: u32,
    /// The body, if it is cleartext, and the signature behind it.
    pub(super) text: &'f [u8],
    /// Size of the chunk, bytes.
    pub(super) size: usize,
}

impl<'f> SingleChunkMessage<'f> {
    /// Reads the message at the beginning of `bytes`; `None` if it is incomplete or of another kind.
    #[inline]
    pub(super) fn read(bytes: &'f [u8]) -> Option<Self> {
        let words = bytes.as_chunks().0.first_chunk()?.map(u32::from_le_bytes);
        let [letters, size, channel, token, sequence, request] = words;
        let size = size as usize;
        let text = bytes.get(size_of_val(&words)..size).filter(|_| letters == FINAL_MESSAGE && size <= MAX_CHUNK)?;
        Some(Self { channel, token, sequence, request, text, size })
    }
}

/// Whether `bytes`, however few, may be the beginning of a header.
pub(super) fn may_start(bytes: &[u8]) -> bool {
    let known = |(kind, letters): &(Kind, &str)| {
        letters.bytes().zip(bytes).all(|(letter, byte)| letter == *byte)
            && bytes.get(3).is_none_or(|part| kind.part(*part).is_some())
    };
    Kind::ALL.iter().any(known)
}

/// `MSG` with the letter of a last or only chunk.
const FINAL_MESSAGE: u32 = u32::from_le_bytes(*b"MSGF");
/// Size of the header, bytes: letters, part, size.
pub(super) const HEADER: usize = 8;
/// Longest chunk that is decoded whole, bytes. Stacks negotiate 64 KiB by default.
pub(super) const MAX_CHUNK: usize = 256 * 1024;
/// Longest chunk that is skipped, bytes. Servers configured above the default negotiate a few MiB.
const LONGEST_SKIPPED: usize = 64 * 1024 * 1024;
/// Shortest chunk on a secure channel, bytes: the header, the channel id, and the token id or the length of the policy URI.
const SHORTEST_SECURED: usize = HEADER + 8;

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_ends_nothing_or_asks_for_gigabytes_is_no_frame() {
        for size in [0_u32, 7, 8, 15, 0x7FFF_FFFF, 0xFFFF_FFFF] {
            let header = [b"MSGF".as_slice(), &size.to_le_bytes()].concat();
            assert_eq!(frame_len(&header), FrameLen::Invalid("message_size"), "{size}");
        }
        assert_eq!(frame_len(b"MSGF\x18\0\0\0"), FrameLen::Bytes(24));
        assert_eq!(frame_len(b"HELF\0\0\x01\0"), FrameLen::Bytes(65_536), "a hello with a long URL");
    }

    #[test]
    fn a_header_is_recognised_from_its_first_letter_on() {
        for length in 0..8 {
            assert_eq!(frame_len(&b"OPNF\x80\0\0\0"[..length]), FrameLen::Unknown, "{length}");
        }
        for wrong in [b"MSX".as_slice(), b"MSGX", b"OPN\0", b"\0", b"msgF"] {
            assert_eq!(frame_len(wrong), FrameLen::Invalid("message_type"));
        }
        assert_eq!(frame_len(b"HELX\x20\0\0\0"), FrameLen::Bytes(32), "servers ignore the part letter of a Hello");
    }
}
