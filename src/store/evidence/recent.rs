//! The latest packets of all traffic, as captured. Copying them is all the work that evidence needs for each block.

use std::cell::OnceCell;
use std::collections::VecDeque;

use crate::capture::{Block, Origin, Packet};
use crate::frame::{self, Body, Layers, Peek};
use crate::record::Evidence;

/// The traffic around a proving packet in which its conversation is searched, in packets and in captured bytes, whichever
/// is reached first.
pub(super) const WINDOW: Span = Span { packets: 65_536, bytes: 16 << 20 };

/// The traffic between a proving packet and the detection of its alert, at most: a gap in a stream delays the detection, and
/// so does a long message.
const MAX_DELAY: Span = Span { packets: 16_384, bytes: 4 << 20 };

/// An amount of traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// The newest block, and [`WINDOW`] and [`MAX_DELAY`] of traffic before it.
#[derive(Debug, Default)]
pub(super) struct Recent {
    segments: VecDeque<Segment>,
    /// The traffic of all segments but the newest.
    older: Span,
}

/// The packets of one block. Offsets count from the start of its own bytes.
#[derive(Debug, Default)]
struct Segment {
    bytes: Vec<u8>,
    packets: Vec<Packet>,
    captured: u64,
    /// The keys of every packet, once they are needed.
    keys: OnceCell<Vec<Keys>>,
}

/// The position of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    segment: usize,
    packet: usize,
}

/// Hashes of the address pairs of a packet. All packets of a conversation share one. A packet inside a tunnel belongs to its
/// own conversation and to the tunnel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// The innermost pair.
    pub(super) inner: u64,
    /// The outermost pair, if it differs.
    pub(super) outer: Option<u64>,
}

impl Keys {
    /// Whether the packet may belong to a conversation with this key.
    pub(super) fn contain(self, key: u64) -> bool {
        self.inner == key || self.outer == Some(key)
    }

    /// All keys.
    pub(super) fn iter(self) -> impl Iterator<Item = u64> {
        self.outer.into_iter().chain([self.inner])
    }
}

/// A packet, its bytes and its keys.
pub(super) type KeyedPacket<'a> = (&'a Packet, &'a [u8], Keys);

impl Recent {
    /// Copies the captured packets of a block, and drops the oldest blocks.
    pub(super) fn push(&mut self, block: &Block) {
        self.older = self.segments.back().map_or(self.older, |newest| self.older.plus(newest.span()));
        let mut spare = Segment::default();
        while let Some(oldest) = self.segments.front() {
            let left = self.older.minus(oldest.span());
            if left.packets < WINDOW.packets + MAX_DELAY.packets && left.bytes < WINDOW.bytes + MAX_DELAY.bytes {
                break;
            }
            self.older = left;
            spare = self.segments.pop_front().unwrap_or_default();
        }
        spare.fill(block);
        self.segments.push_back(spare);
    }

    /// The packets of the newest block.
    pub(super) fn newest(&self) -> impl Iterator<Item = KeyedPacket<'_>> {
        self.segments.back().into_iter().flat_map(|segment| segment.keyed(0..segment.packets.len()))
    }

    /// The position of a proving packet, searched backwards from packet `known`, with which the alert was detected.
    pub(super) fn find(&self, evidence: Evidence, known: u64) -> Option<Position> {
        let mut passed = Span::default();
        for (segment, of) in self.segments.iter().enumerate().rev() {
            let until = of.packets.partition_point(|packet| packet.stamp.packet <= known);
            for (index, packet) in of.packets.iter().enumerate().take(until).rev() {
                if packet.origin() == (Origin { capture: evidence.capture, number: evidence.packet }) {
                    return Some(Position { segment, packet: index });
                }
                passed = passed.plus(Span { packets: 1, bytes: packet.captured.into() });
                if passed.packets > MAX_DELAY.packets || passed.bytes > MAX_DELAY.bytes {
                    return None;
                }
            }
        }
        None
    }

    /// The packet at a position, then those before it within [`WINDOW`], the latest first.
    pub(super) fn backwards(&self, position: Position) -> impl Iterator<Item = KeyedPacket<'_>> {
        let Position { segment: last, packet } = position;
        let segments = self.segments.iter().enumerate().take(last + 1).rev();
        let all = segments.flat_map(move |(index, segment)| {
            let end = if index == last { packet + 1 } else { segment.packets.len() };
            segment.keyed(0..end).rev()
        });
        let mut passed = Span::default();
        all.take_while(move |(packet, ..)| {
            let fits = passed.packets <= WINDOW.packets && passed.bytes <= WINDOW.bytes;
            passed = passed.plus(Span { packets: 1, bytes: packet.captured.into() });
            fits
        })
    }

    /// The packets after a position.
    pub(super) fn forwards(&self, position: Position) -> impl Iterator<Item = KeyedPacket<'_>> {
        let Position { segment: first, packet } = position;
        self.segments.iter().enumerate().skip(first).flat_map(move |(index, segment)| {
            let start = if index == first { packet + 1 } else { 0 };
            segment.keyed(start..segment.packets.len())
        })
    }
}

impl Segment {
    fn fill(&mut self, block: &Block) {
        self.bytes.clear();
        self.packets.clear();
        self.keys.take();
        let start = block.as_captured().map(|packet| packet.offset).min().unwrap_or_default();
        let end = block.as_captured().map(|packet| packet.offset + packet.captured).max().unwrap_or_default();
        self.bytes.extend_from_slice(block.bytes.get(start as usize..end as usize).unwrap_or_default());
        self.packets.extend(block.as_captured().map(|packet| Packet { offset: packet.offset - start, ..packet }));
        self.captured = self.packets.iter().map(|packet| u64::from(packet.captured)).sum();
    }

    fn span(&self) -> Span {
        Span { packets: self.packets.len() as u64, bytes: self.captured }
    }

    fn keyed(&self, range: std::ops::Range<usize>) -> impl DoubleEndedIterator<Item = KeyedPacket<'_>> {
        let keys = self.keys.get_or_init(|| self.packets.iter().map(|one| keys_of(one, self.bytes_of(one))).collect());
        let packets = self.packets.get(range.clone()).unwrap_or_default();
        let keys = keys.get(range).unwrap_or_default();
        packets.iter().zip(keys).map(|(packet, keys)| (packet, self.bytes_of(packet), *keys))
    }

    fn bytes_of(&self, packet: &Packet) -> &[u8] {
        let (start, length) = (packet.offset as usize, packet.captured as usize);
        self.bytes.get(start..start + length).unwrap_or_default()
    }
}

impl Span {
    const fn plus(self, other: Self) -> Self {
        Self { packets: self.packets + other.packets, bytes: self.bytes + other.bytes }
    }

    const fn minus(self, other: Self) -> Self {
        Self { packets: self.packets.saturating_sub(other.packets), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

fn keys_of(packet: &Packet, bytes: &[u8]) -> Keys {
    let mut layers = Layers::default();
    match frame::peek(packet.link, bytes, packet.original, &mut layers) {
        Peek::Key(inner) => Keys { inner, outer: None },
        Peek::Wrapped(inner) => {
            let outermost = layers.iter().last().map(|(_, tunnel)| tunnel.ends);
            let outer = outermost.map(|[one, other]| frame::pair_key(one, other)).filter(|outer| *outer != inner);
            Keys { inner, outer }
        }
        Peek::Fragment => match frame::decode(packet.link, bytes, packet.original).map(|frame| frame.body) {
            Ok(Body::Tcp(pair, _) | Body::Udp(pair, _) | Body::Ip(pair, _)) => {
                Keys { inner: frame::pair_key(pair.source, pair.destination), outer: None }
            }
            Ok(Body::Link { .. }) | Err(_) => Keys { inner: 0, outer: None },
        },
    }
}
