//! What the parsers of both capture formats share: the sink for packets, and the reason why parsing stopped.

use lockkeeper_protocols::Stamp;

use super::{LinkType, Packet, Secrets};

/// Why parsing stopped.
#[derive(Debug)]
pub(super) enum ParseEnd {
    /// The next record needs at least this many bytes, and at most [`MAX_RECORD`].
    NeedsBytes(usize),
    /// The next record is not needed, and has this length, which is more than the bytes at hand.
    Skip(u64),
    /// The next record is invalid for this reason, so that the one after it cannot be found.
    Broken(String),
}

/// Receives the packets and secrets of one block.
pub(super) struct Sink<'a> {
    pub(super) packets: &'a mut Vec<Packet>,
    pub(super) secrets: &'a mut Vec<Secrets>,
    pub(super) position: RecordPosition,
}

/// The position of a parser in a block.
#[derive(Clone, Copy)]
pub(super) struct RecordPosition {
    /// The stamp of the next packet, without its time.
    pub(super) next: Stamp,
    /// Offset of the current record in the block.
    pub(super) at: usize,
}

impl RecordPosition {
    /// The packet whose bytes start `header` bytes into the current record.
    pub(super) fn next_packet(
        &mut self,
        time: i64,
        link: LinkType,
        header: usize,
        captured: u32,
        original: u32,
    ) -> Packet {
        let Stamp { clock, packet, origin, .. } = self.next;
        let stamp = Stamp { time, clock: clock.max(time), packet, origin };
        self.next = Stamp { packet: packet + 1, origin: origin + 1, ..stamp };
        Packet { stamp, link, offset: (self.at + header) as u32, captured, original: original.max(captured) }
    }

    /// Moves to the next record, `size` bytes after the current one.
    pub(super) fn finish_record(&mut self, size: usize) {
        self.at += size;
    }

    /// Latest time so far, for packets without one.
    pub(super) fn latest_time(&self) -> i64 {
        if self.next.packet == 0 { 0 } else { self.next.clock }
    }
}

impl Sink<'_> {
    /// Adds a packet: see [`RecordPosition::next_packet`].
    pub(super) fn push_packet(&mut self, time: i64, link: LinkType, header: usize, captured: u32, original: u32) {
        let packet = self.position.next_packet(time, link, header, captured, original);
        self.packets.push(packet);
    }

    /// Adds decryption secrets for the packets behind them.
    pub(super) fn push_secrets(&mut self, kind: u32, bytes: &[u8]) {
        self.secrets.push(Secrets { before: self.packets.len() as u32, kind, bytes: bytes.into() });
    }
}

/// Byte order of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl ByteOrder {
    /// Two bytes as a number.
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    /// Four bytes as a number.
    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    /// Eight bytes as a number.
    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }
}

/// Most captured bytes of one packet: MAXIMUM_SNAPLEN of libpcap. A record with more is invalid.
pub(super) const MAX_CAPTURED: u32 = 262_144;

/// Most bytes of one record that are stored, including headers and options.
pub(super) const MAX_RECORD: usize = 2 * MAX_CAPTURED as usize;
