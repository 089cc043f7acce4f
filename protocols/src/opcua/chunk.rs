//! Framing: the header that every message and every chunk of one begins with (OPC 10000-6, 7.1.2 and 6.7.2.2).

use crate::dissector::FrameLen;

/// Sorts of messages, in the order in which they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// HEL: the client opens the connection.
    Hello,
    /// ACK: the server accepts it.
    Acknowledge,
    /// ERR: the server ends it.
    Error,
    /// RHE: a server has opened the TCP connection and asks the client to say hello.
    ReverseHello,
    /// OPN: opens or renews a secure channel.
    Open,
    /// MSG: a service, in one or more chunks.
    Message,
    /// CLO: closes a secure channel.
    Close,
}

impl Kind {
    /// Every sort, in order, with its three letters.
    pub(super) const ALL: [(Self, &'static str); 7] = [
        (Self::Hello, "HEL"),
        (Self::Acknowledge, "ACK"),
        (Self::Error, "ERR"),
        (Self::ReverseHello, "RHE"),
        (Self::Open, "OPN"),
        (Self::Message, "MSG"),
        (Self::Close, "CLO"),
    ];

    #[inline]
    const fn of(letters: [u8; 3]) -> Option<Self> {
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

    /// Which part of its message a chunk is, by its letter. Connection messages have one part, and servers do not look at
    /// what their letter is.
    #[inline]
    const fn part(self, letter: u8) -> Option<Part> {
        match (part_of(letter), self) {
            (None, Self::Hello | Self::Acknowledge | Self::Error | Self::ReverseHello) => Some(Part::More),
            (part, _) => part,
        }
    }

    /// The letters of the sort that is counted under this key.
    pub(super) fn name_of(key: u32) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind as u32 == key).map_or("", |(_, letters)| letters)
    }
}

/// Which part of its message a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// C: more follow.
    More,
    /// F: the last one, or the only one.
    Last,
    /// A: the sender gives the message up.
    Abort,
}

/// One chunk, header taken off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk<'f> {
    pub(super) kind: Kind,
    pub(super) part: Part,
    /// What follows the eight bytes of the header.
    pub(super) rest: &'f [u8],
    /// The whole chunk.
    pub(super) frame: &'f [u8],
}

impl<'f> Chunk<'f> {
    /// Splits the header off a whole frame.
    #[inline]
    pub(super) fn split(frame: &'f [u8]) -> Option<Self> {
        let (&[a, b, c, part, ..], rest) = frame.split_first_chunk::<HEADER>()?;
        let kind = Kind::of([a, b, c])?;
        Some(Self { kind, part: kind.part(part)?, rest, frame })
    }
}

#[inline]
const fn part_of(letter: u8) -> Option<Part> {
    match letter {
        b'F' => Some(Part::Last),
        b'C' => Some(Part::More),
        b'A' => Some(Part::Abort),
        _ => None,
    }
}

/// Where the chunk ends that begins here. A size that no chunk of its sort can have is wrong, so that zero ends nothing.
#[inline]
pub(super) fn frame_len(bytes: &[u8]) -> FrameLen {
    let Some((&[a, b, c, part, size @ ..], _)) = bytes.split_first_chunk::<HEADER>() else {
        return if may_start(bytes) { FrameLen::Unknown } else { FrameLen::Invalid("message_type") };
    };
    let Some((kind, _)) = Kind::of([a, b, c]).and_then(|kind| Some((kind, kind.part(part)?))) else {
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

/// A chunk that is longer than is kept. It is one if its channel and token are in use: 64 bits that do not match by
/// accident.
pub(super) fn oversized(bytes: &[u8], is_known: impl Fn(u32, u32) -> bool, name: &'static str) -> FrameLen {
    let Some((&[a, b, c, part, size @ ..], rest)) = bytes.split_first_chunk::<HEADER>() else {
        return FrameLen::Invalid(name);
    };
    let size = u32::from_le_bytes(size) as usize;
    if Kind::of([a, b, c]) != Some(Kind::Message)
        || part_of(part).is_none()
        || size <= MAX_CHUNK
        || size > LONGEST_SKIPPED
    {
        return FrameLen::Invalid(name);
    }
    let Some((&[a, b, c, d, e, f, g, h], _)) = rest.split_first_chunk() else { return FrameLen::Unknown };
    if is_known(u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])) {
        FrameLen::Bytes(size)
    } else {
        FrameLen::Invalid(name)
    }
}

/// The header of a message in one chunk on a channel, up to its body (OPC 10000-6, 6.7.2.2 to 6.7.2.4).
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole<'f> {
    pub(super) channel: u32,
    pub(super) token: u32,
    pub(super) sequence: u32,
    /// Number of the request.
    pub(super) request: u32,
    /// The body, if it is clear, and a signature behind it.
    pub(super) text: &'f [u8],
    /// Bytes of the chunk.
    pub(super) size: usize,
}

impl<'f> Whole<'f> {
    /// Reads one that lies at the beginning of `bytes` with all that belongs to it.
    #[inline]
    pub(super) fn read(bytes: &'f [u8]) -> Option<Self> {
        let words = bytes.as_chunks().0.first_chunk()?.map(u32::from_le_bytes);
        let [letters, size, channel, token, sequence, request] = words;
        let size = size as usize;
        let text = bytes.get(size_of_val(&words)..size).filter(|_| letters == WHOLE_MESSAGE && size <= MAX_CHUNK)?;
        Some(Self { channel, token, sequence, request, text, size })
    }
}

/// Whether a header could begin here, as far as it is there.
pub(super) fn may_start(bytes: &[u8]) -> bool {
    let known = |(kind, letters): &(Kind, &str)| {
        letters.bytes().zip(bytes).all(|(letter, byte)| letter == *byte)
            && bytes.get(3).is_none_or(|part| kind.part(*part).is_some())
    };
    Kind::ALL.iter().any(known)
}

/// The letters of a message, and of the last part of it.
const WHOLE_MESSAGE: u32 = u32::from_le_bytes(*b"MSGF");
/// Letters, part and size.
pub(super) const HEADER: usize = 8;
/// Longest chunk that is followed, bytes. Stacks agree on 64 KiB unless they are told otherwise.
pub(super) const MAX_CHUNK: usize = 256 * 1024;
/// Longest chunk that is passed over, bytes. Servers that take more than the default agree on some MiB.
const LONGEST_SKIPPED: usize = 64 * 1024 * 1024;
/// A chunk on a secure channel: the header, the channel and the token or the length of the policy.
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
    fn a_header_is_known_from_its_first_letter_on() {
        for length in 0..8 {
            assert_eq!(frame_len(&b"OPNF\x80\0\0\0"[..length]), FrameLen::Unknown, "{length}");
        }
        for wrong in [b"MSX".as_slice(), b"MSGX", b"OPN\0", b"\0", b"msgF"] {
            assert_eq!(frame_len(wrong), FrameLen::Invalid("message_type"));
        }
        assert_eq!(frame_len(b"HELX\x20\0\0\0"), FrameLen::Bytes(32), "of a hello nobody asks which part it is");
    }
}
