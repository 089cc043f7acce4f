//! Sources of packets: capture files and network interfaces, read in blocks.
//!
//! [`open`] opens paths as a [`Replay`]. In the order of the data path:
//!
//! * `input`: the bytes of a file or standard input, decompressed if they are gzip or zstd;
//! * `detect`: identifies files that are no captures;
//! * `pcap`, `pcapng`: parse records into [`Packet`]s, in place; `records` is what both share;
//! * `reader`: reads one capture directly into the caller's [`Block`];
//! * `merge`: merges several captures in order of time;
//! * `replay`: a [`Source`] of paths and folders;
//! * [`live`]: a [`Source`] of network interfaces.
//!
//! [`pcapng::write`] writes packets as the blocks of a capture file.

mod detect;
mod input;
pub mod live;
mod merge;
mod pcap;
pub mod pcapng;
mod reader;
mod records;
mod replay;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use live::{InterfaceSettings, Live};
use lockkeeper_protocols::Stamp;
pub use replay::{Replay, ReplaySettings, open};

/// A batch of packets and their bytes. Filled by a [`Source`], read by the workers, then reused.
#[derive(Debug, Default)]
pub struct Block {
    /// Captured bytes, including the record headers of the file. Only the ranges of `packets` are valid; the buffer may be
    /// longer.
    pub bytes: Vec<u8>,
    /// The packets, in the order of the capture.
    pub packets: Vec<Packet>,
    /// Decryption secrets of the captures, in their order.
    pub secrets: Vec<Secrets>,
    /// The packet clock at the end of the block, nanoseconds, if the source has one that is later than its packets: no later
    /// packet is older. A live source sets it when no packets arrive.
    pub tick: Option<i64>,
    /// Bytes of reassembled packets. Their offsets start at the end of `bytes`.
    synthesized: Vec<u8>,
    /// The captured packet that each reassembled one replaced, by index.
    replaced: Vec<(u32, Packet)>,
    /// Other readings of reassembled packets.
    readings: Vec<Packet>,
}

impl Block {
    /// The captured bytes of one of its packets, from the link layer on.
    pub fn bytes_of(&self, packet: &Packet) -> &[u8] {
        let (start, length) = (packet.offset as usize, packet.captured as usize);
        match self.bytes.get(start..start + length) {
            Some(here) => here,
            None => self.synthesized_bytes(packet),
        }
    }

    /// The bytes of a reassembled packet.
    fn synthesized_bytes(&self, packet: &Packet) -> &[u8] {
        let start = (packet.offset as usize).checked_sub(self.bytes.len());
        let rest = start.and_then(|start| self.synthesized.get(start..));
        rest.and_then(|rest| rest.get(..packet.captured as usize)).unwrap_or_default()
    }

    /// Replaces a packet, the last fragment of a datagram, by the reassembled packet.
    pub fn replace(&mut self, index: usize, bytes: &[u8]) {
        let Some(packet) = self.packets.get_mut(index) else { return };
        let (offset, length) = (self.bytes.len() + self.synthesized.len(), bytes.len() as u32);
        self.replaced.push((index as u32, *packet));
        self.synthesized.extend_from_slice(bytes);
        *packet = Packet { offset: offset as u32, captured: length, original: length, ..*packet };
    }

    /// Adds another reading of the packet with this index; returns its index for [`Block::packet`].
    pub fn add_reading(&mut self, index: usize, bytes: &[u8]) -> Option<usize> {
        let packet = *self.packets.get(index)?;
        let (offset, length) = (self.bytes.len() + self.synthesized.len(), bytes.len() as u32);
        self.synthesized.extend_from_slice(bytes);
        self.readings.push(Packet { offset: offset as u32, captured: length, original: length, ..packet });
        Some(self.packets.len() + self.readings.len() - 1)
    }

    /// The packet, or the other reading of a packet, with this index.
    pub fn packet(&self, index: usize) -> Option<&Packet> {
        self.packets.get(index).or_else(|| self.readings.get(index - self.packets.len()))
    }

    /// Removes its packets. Keeps the length of `bytes`, because growing the buffer again would zero it.
    pub fn clear(&mut self) {
        self.packets.clear();
        self.secrets.clear();
        self.tick = None;
        self.synthesized.clear();
        self.replaced.clear();
        self.readings.clear();
    }

    /// The packets as captured, without reassembled ones. All of them lie in `bytes`.
    pub fn as_captured(&self) -> impl Iterator<Item = Packet> {
        let mut replaced = self.replaced.iter().peekable();
        (0..).zip(&self.packets).map(move |(index, packet)| {
            let original = replaced.next_if(|(of, _)| *of == index);
            original.map_or(*packet, |(_, original)| *original)
        })
    }

    /// The packet clock at the end of the block, if it was `before` at its start.
    pub fn clock_after(&self, before: i64) -> i64 {
        let last = self.packets.last().map(|packet| packet.stamp.clock);
        last.into_iter().chain(self.tick).fold(before, i64::max)
    }

    /// Grows `bytes` to at least `size` bytes.
    pub(crate) fn reserve(&mut self, size: usize) {
        if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
    }
}

/// A decryption secrets block of pcapng: keys for encrypted packets behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// Index into [`Block::packets`] of the first packet behind it.
    pub before: u32,
    /// The secrets type of pcapng.
    pub kind: u32,
    /// The secrets, in the format of this type.
    pub bytes: Arc<[u8]>,
}

/// One captured packet: the position of its bytes in its [`Block`], and the metadata of the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its time and origin: the latter is an [`Origin`].
    pub stamp: Stamp,
    /// Link-layer header type.
    pub link: LinkType,
    /// Offset of its first byte in [`Block::bytes`].
    pub offset: u32,
    /// Captured length, bytes.
    pub captured: u32,
    /// Length on the wire, bytes; more than `captured` if a snap length cut the packet.
    pub original: u32,
}

impl Packet {
    /// Its capture and number.
    pub const fn origin(&self) -> Origin {
        Origin::of(&self.stamp)
    }
}

/// The capture of a packet and its number there, encoded as the origin of a [`Stamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Index into [`Source::captures`].
    pub capture: u16,
    /// Number in its capture, from 1, as in Wireshark. Below 2^48, so that the word of the next packet is one more.
    pub number: u64,
}

impl Origin {
    /// The origin of a stamp.
    pub const fn of(stamp: &Stamp) -> Self {
        Self { capture: (stamp.origin >> NUMBER_BITS) as u16, number: stamp.origin & NUMBER_MASK }
    }

    /// Both fields in one word.
    pub const fn word(self) -> u64 {
        (self.capture as u64) << NUMBER_BITS | self.number & NUMBER_MASK
    }
}

/// Bits of the word of an [`Origin`] that hold the number; the others hold the capture.
const NUMBER_BITS: u32 = 48;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;

/// Supported link-layer header types (LINKTYPE_* of tcpdump.org).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// LINKTYPE_ETHERNET (1).
    Ethernet,
    /// LINKTYPE_LINUX_SLL (113).
    LinuxSll,
    /// LINKTYPE_LINUX_SLL2 (276).
    LinuxSll2,
    /// LINKTYPE_RAW (101, also 12 and 14), LINKTYPE_IPV4 (228), LINKTYPE_IPV6 (229): no link-layer header.
    RawIp,
    /// LINKTYPE_NULL (0): a 4-byte address family in the byte order of the capturing host.
    Null,
    /// LINKTYPE_LOOP (108): a 4-byte address family, big-endian.
    Loop,
    /// Any other type: counted, not decoded.
    Other(u16),
}

impl LinkType {
    /// The type of a LINKTYPE_* number in a capture file.
    pub fn from_linktype(number: u16) -> Self {
        match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            // 12 and 14 are DLT_RAW on most systems and on OpenBSD; some programs write them instead of 101.
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            276 => Self::LinuxSll2,
            other => Self::Other(other),
        }
    }

    /// Its LINKTYPE_* number in capture files.
    pub fn linktype(self) -> u16 {
        match self {
            Self::Null => 0,
            Self::Ethernet => 1,
            Self::RawIp => 101,
            Self::Loop => 108,
            Self::LinuxSll => 113,
            Self::LinuxSll2 => 276,
            Self::Other(number) => number,
        }
    }
}

/// A source of packets.
pub trait Source: Send {
    /// Clears `block`, then fills it with the next packets, or with only a [tick](Block::tick). Returns `false`, with an empty
    /// block, if none are left.
    fn fill(&mut self, block: &mut Block) -> Result<bool, Error>;

    /// Whether [`Source::fill`] would return without waiting for packets to arrive.
    fn is_ready(&self) -> bool {
        true
    }

    /// The captures, by [`Origin::capture`]; complete once [`Source::fill`] has returned `false`.
    fn captures(&self) -> &[Capture];

    /// Bytes read so far and, if known, in total.
    fn progress(&self) -> (u64, Option<u64>);

    /// Packets that arrived and were dropped before they could be delivered. None for files.
    fn drops(&self) -> Drops {
        Drops::default()
    }
}

/// Packets dropped before they could be delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// By the kernel, because its ring was full.
    pub kernel: u64,
    /// By the interface itself.
    pub interface: u64,
    /// By the reader, because the pipeline did not keep up.
    pub channel: u64,
}

/// One capture file or interface, and how reading it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The path as given, or `-`.
    pub name: String,
    /// Its format, such as `pcapng (zstd)`.
    pub format: String,
    /// Packets read from it.
    pub packets: u64,
    /// Packets that the capturing program reports as dropped (pcapng interface statistics).
    pub dropped_at_capture: u64,
    /// Where the capture ends early, if it does: its last record is incomplete, or the rest cannot be read.
    pub cut: Option<Cut>,
}

/// Where and why a capture ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Offset of the first unused record in the uncompressed capture, bytes.
    pub offset: u64,
    /// What is wrong, as text.
    pub reason: String,
}

/// A capture that cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// The path as given.
        path: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file is not a capture.
    #[error("{path}: not a capture file: {found}")]
    NotACapture {
        /// The path as given.
        path: String,
        /// What the file is, with advice.
        found: String,
    },
    /// An interface cannot be opened.
    #[error("{name}: {reason}; {help}")]
    Interface {
        /// The interface.
        name: String,
        /// The error of the operating system.
        reason: String,
        /// Advice.
        help: String,
    },
    /// An interface was deleted and created again, and the sensor has dropped the right to open it.
    #[error(
        "{name} was deleted and made again: to listen to it takes a right that was given up at the start; start \
         lockkeeper again, as the service manager does by itself, or let it keep its rights with --no-confine"
    )]
    Replaced {
        /// The interface.
        name: String,
    },
    /// A packet filter is invalid.
    #[error("{name}: the filter `{filter}` cannot be used: {reason}; see pcap-filter(7) for the language")]
    Filter {
        /// The interface.
        name: String,
        /// The filter as given.
        filter: String,
        /// The error of libpcap.
        reason: String,
    },
    /// There are more interfaces than one sensor supports.
    #[error("{found} interfaces are too many for one sensor, which listens to at most {limit}")]
    TooManyInterfaces {
        /// Number of interfaces given.
        found: usize,
        /// Most interfaces.
        limit: usize,
    },
    /// There are more captures than [`Origin::capture`] can hold.
    #[error("{found} captures are too many for one run, which reads at most {limit}: join some with mergecap first")]
    TooMany {
        /// Number of captures given, including files of folders.
        found: usize,
        /// Most captures.
        limit: usize,
    },
}
