//! Where packets come from: blocks of bytes with the packets that lie in them.
//!
//! [`open`] turns paths into a [`Replay`]. What happens on the way, in path order:
//!
//! * `input`: a file or standard input, decompressed where its content says gzip or zstd;
//! * `detect`: whether that is a capture, and what it is instead;
//! * `pcap`, `pcapng`: records into [`Packet`]s, in place; `records`: what both share;
//! * `reader`: one capture, read straight into the caller's [`Block`];
//! * `merge`: several captures, in order of time;
//! * `replay`: paths and folders into one [`Source`];
//! * [`live`]: network interfaces into another.
//!
//! And back: [`pcapng::write`] makes the blocks of a capture file out of packets.

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

/// A batch of packets and the bytes they lie in. Filled by a [`Source`], read by the workers, then recycled.
#[derive(Debug, Default)]
pub struct Block {
    /// Captured bytes, record headers of the file included. May be longer than what is in use: only the ranges that
    /// `packets` name mean anything.
    pub bytes: Vec<u8>,
    /// The packets, in the order of the capture.
    pub packets: Vec<Packet>,
    /// Decryption secrets that the captures brought, in their order.
    pub secrets: Vec<Secrets>,
    /// Nothing that comes later is from before this time: what the packet clock is at the end of the block, where a source
    /// knows better than its packets. A live source goes on telling the time when nothing arrives.
    pub tick: Option<i64>,
    /// Packets that were put together from others. They lie behind `bytes`: their offset counts on from its end.
    synthesized: Vec<u8>,
    /// What was in the place of each of those, by index.
    replaced: Vec<(u32, Packet)>,
    /// Other readings of packets that were put together.
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

    #[cold]
    fn synthesized_bytes(&self, packet: &Packet) -> &[u8] {
        let start = (packet.offset as usize).checked_sub(self.bytes.len());
        let rest = start.and_then(|start| self.synthesized.get(start..));
        rest.and_then(|rest| rest.get(..packet.captured as usize)).unwrap_or_default()
    }

    /// Puts other bytes in the place of a packet: the datagram of which it was the last fragment.
    pub fn replace(&mut self, index: usize, bytes: &[u8]) {
        let Some(packet) = self.packets.get_mut(index) else { return };
        let (offset, length) = (self.bytes.len() + self.synthesized.len(), bytes.len() as u32);
        self.replaced.push((index as u32, *packet));
        self.synthesized.extend_from_slice(bytes);
        *packet = Packet { offset: offset as u32, captured: length, original: length, ..*packet };
    }

    /// Adds another reading of the packet with this index; says the index by which [`Block::packet`] knows it.
    pub fn add_reading(&mut self, index: usize, bytes: &[u8]) -> Option<usize> {
        let packet = *self.packets.get(index)?;
        let (offset, length) = (self.bytes.len() + self.synthesized.len(), bytes.len() as u32);
        self.synthesized.extend_from_slice(bytes);
        self.readings.push(Packet { offset: offset as u32, captured: length, original: length, ..packet });
        Some(self.packets.len() + self.readings.len() - 1)
    }

    /// The packet with this index, or another reading of one.
    #[inline]
    pub fn packet(&self, index: usize) -> Option<&Packet> {
        self.packets.get(index).or_else(|| self.readings.get(index - self.packets.len()))
    }

    /// Forgets its packets. The bytes stay as they are, to be written over: emptying them would cost a zeroing of the
    /// whole buffer each time that it is filled again.
    pub fn clear(&mut self) {
        self.packets.clear();
        self.secrets.clear();
        self.tick = None;
        self.synthesized.clear();
        self.replaced.clear();
        self.readings.clear();
    }

    /// The packets as they were captured, whatever was put in the place of some. All of them lie in `bytes`.
    pub fn as_captured(&self) -> impl Iterator<Item = Packet> {
        let mut replaced = self.replaced.iter().peekable();
        (0..).zip(&self.packets).map(move |(index, packet)| {
            let original = replaced.next_if(|(of, _)| *of == index);
            original.map_or(*packet, |(_, original)| *original)
        })
    }

    /// The packet clock at the end of the block, when it was `before` at its beginning.
    pub fn clock_after(&self, before: i64) -> i64 {
        let last = self.packets.last().map(|packet| packet.stamp.clock);
        last.into_iter().chain(self.tick).fold(before, i64::max)
    }

    /// Makes sure that at least `size` bytes can be written to `bytes`.
    pub(crate) fn reserve(&mut self, size: usize) {
        if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
    }
}

/// A block of decryption secrets (pcapng): keys for what is encrypted in the packets behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// Index into [`Block::packets`] of the first packet behind it.
    pub before: u32,
    /// What they are for, by the number that pcapng gives it.
    pub kind: u32,
    /// They themselves, as a program wrote them down.
    pub bytes: Arc<[u8]>,
}

/// One captured packet: where its bytes lie in its [`Block`], and what the capture says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When it was seen, and where: its origin is an [`Origin`]. Made once, for everybody who needs one.
    pub stamp: Stamp,
    /// What the first byte is.
    pub link: LinkType,
    /// First byte in [`Block::bytes`].
    pub offset: u32,
    /// Bytes that were captured.
    pub captured: u32,
    /// Bytes that were on the wire: more than `captured` when a snap length cut the packet.
    pub original: u32,
}

impl Packet {
    /// Where it is found again.
    #[inline]
    pub const fn origin(&self) -> Origin {
        Origin::of(&self.stamp)
    }
}

/// Where a packet is found again. Its word is the origin of a [`Stamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Which capture: index into [`Source::captures`].
    pub capture: u16,
    /// Number in its capture, from 1, as Wireshark shows it: less than 2^48, so that the word of the packet behind it is
    /// one more.
    pub number: u64,
}

impl Origin {
    /// Of what a stamp speaks of.
    #[inline]
    pub const fn of(stamp: &Stamp) -> Self {
        Self { capture: (stamp.origin >> NUMBER_BITS) as u16, number: stamp.origin & NUMBER_MASK }
    }

    /// Both in one word.
    #[inline]
    pub const fn word(self) -> u64 {
        (self.capture as u64) << NUMBER_BITS | self.number & NUMBER_MASK
    }
}

/// Bits of the word of an [`Origin`] that hold the number; the others hold the capture.
const NUMBER_BITS: u32 = 48;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;

/// Link-layer header types that are understood (LINKTYPE_* of tcpdump.org).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// LINKTYPE_ETHERNET (1).
    Ethernet,
    /// LINKTYPE_LINUX_SLL (113).
    LinuxSll,
    /// LINKTYPE_LINUX_SLL2 (276).
    LinuxSll2,
    /// LINKTYPE_RAW (101, also 12 and 14), LINKTYPE_IPV4 (228), LINKTYPE_IPV6 (229): an IP header at once.
    RawIp,
    /// LINKTYPE_NULL (0): a 4-byte address family in the byte order of the capturing host.
    Null,
    /// LINKTYPE_LOOP (108): a 4-byte address family, big-endian.
    Loop,
    /// Any other type: counted, not decoded.
    Other(u16),
}

impl LinkType {
    /// The link of a LINKTYPE_* number, as capture files carry it.
    pub fn from_linktype(number: u16) -> Self {
        match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            // 12 and 14 are DLT_RAW of most systems and of OpenBSD, which some programs write instead of 101.
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            276 => Self::LinuxSll2,
            other => Self::Other(other),
        }
    }

    /// The LINKTYPE_* number under which capture files carry it.
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

/// Something that yields packets in blocks.
pub trait Source: Send {
    /// Clears `block`, then fills it with the next packets, or with a [tick](Block::tick) alone. `false`: nothing is left,
    /// and `block` is empty.
    fn fill(&mut self, block: &mut Block) -> Result<bool, Error>;

    /// Whether [`Source::fill`] would return without waiting for packets that have yet to come.
    fn is_ready(&self) -> bool {
        true
    }

    /// What is being read, in the order of [`Origin::capture`]; complete once [`Source::fill`] has returned `false`.
    fn captures(&self) -> &[Capture];

    /// Bytes read so far and, where it is known, in total.
    fn progress(&self) -> (u64, Option<u64>);

    /// Packets that arrived and were lost before they could be delivered. A file has none but those that it tells of.
    fn drops(&self) -> Drops {
        Drops::default()
    }
}

/// Packets that were lost on their way in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// By the kernel, because its ring was full.
    pub kernel: u64,
    /// By the interface itself.
    pub interface: u64,
    /// By the reader, because the pipeline was behind.
    pub channel: u64,
}

/// One capture file, and what was found wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The path as given, or `-`.
    pub name: String,
    /// What it turned out to be, such as `pcapng (zstd)`.
    pub format: String,
    /// Packets read from it.
    pub packets: u64,
    /// Packets that the capturing program itself reports as dropped (pcapng interface statistics).
    pub dropped_at_capture: u64,
    /// The capture ends too early: its last record is incomplete, or what follows cannot be read.
    pub cut: Option<Cut>,
}

/// Where and how a capture ends too early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Offset of the first record that was not used, bytes from the start of the uncompressed capture.
    pub offset: u64,
    /// What is wrong, for people.
    pub reason: String,
}

/// A capture that cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// The path as given.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no capture.
    #[error("{path}: not a capture file: {found}")]
    NotACapture {
        /// The path as given.
        path: String,
        /// What it looks like instead, and what to do.
        found: String,
    },
    /// An interface cannot be listened to.
    #[error("{name}: {reason}; {help}")]
    Interface {
        /// The interface.
        name: String,
        /// What the system said.
        reason: String,
        /// What to do.
        help: String,
    },
    /// An interface was deleted and made again, and the right to open it was given up.
    #[error(
        "{name} was deleted and made again: to listen to it takes a right that was given up at the start; start \
         lockkeeper again, as the service manager does by itself, or let it keep its rights with --no-confine"
    )]
    Replaced {
        /// The interface.
        name: String,
    },
    /// A filter for packets is not one.
    #[error("{name}: the filter `{filter}` cannot be used: {reason}; see pcap-filter(7) for the language")]
    Filter {
        /// The interface.
        name: String,
        /// The filter as given.
        filter: String,
        /// What libpcap said.
        reason: String,
    },
    /// More interfaces than one sensor listens to.
    #[error("{found} interfaces are too many for one sensor, which listens to at most {limit}")]
    TooManyInterfaces {
        /// How many were given.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// More captures than [`Origin::capture`] can tell apart.
    #[error("{found} captures are too many for one run, which reads at most {limit}: join some with mergecap first")]
    TooMany {
        /// How many were given, files of folders included.
        found: usize,
        /// How many can be read.
        limit: usize,
    },
}
