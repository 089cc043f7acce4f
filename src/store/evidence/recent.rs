//! The last packets of everything, as they were captured: the only thing that is done for every block.

use std::cell::OnceCell;
use std::collections::VecDeque;

use crate::capture::{Block, Origin, Packet};
use crate::frame::{self, Body, Layers, Peek};
use crate::record::Evidence;

/// How far from the packet of an alert its conversation is looked for, in packets and in captured bytes of everything,
/// whichever is reached first.
pub(super) const WINDOW: Span = Span { packets: 65_536, bytes: 16 << 20 };

/// How long before it became known the packet of an alert may lie: a hole in a stream is waited for, and a message may
/// have begun long before its end.
const LATEST: Span = Span { packets: 16_384, bytes: 4 << 20 };

/// An amount of traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// Packets of the last blocks: [`WINDOW`] and [`LATEST`] before the newest block, and that.
#[derive(Debug, Default)]
pub(super) struct Recent {
    segments: VecDeque<Segment>,
    /// Everything but the newest.
    older: Span,
}

/// The packets of one block. Offsets count from the start of its own bytes.
#[derive(Debug, Default)]
struct Segment {
    bytes: Vec<u8>,
    packets: Vec<Packet>,
    captured: u64,
    /// The keys of every packet, once somebody has asked for them.
    keys: OnceCell<Vec<Keys>>,
}

/// Where a packet is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    segment: usize,
    packet: usize,
}

/// What all packets of a conversation share: made of its pair of addresses. A packet in a tunnel is of the conversation
/// that it belongs to, and of the tunnel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// The innermost pair.
    pub(super) inner: u64,
    /// The outermost pair, if there is another.
    pub(super) outer: Option<u64>,
}

impl Keys {
    /// Whether a conversation with this key may have the packet.
    pub(super) fn contain(self, key: u64) -> bool {
        self.inner == key || self.outer == Some(key)
    }

    /// Each of them.
    pub(super) fn iter(self) -> impl Iterator<Item = u64> {
        self.outer.into_iter().chain([self.inner])
    }
}

/// A packet, its bytes, and the keys of its conversations.
pub(super) type Seen<'a> = (&'a Packet, &'a [u8], Keys);

impl Recent {
    /// Copies what was captured, and forgets what is too long ago.
    pub(super) fn take(&mut self, block: &Block) {
        self.older = self.segments.back().map_or(self.older, |newest| self.older.plus(newest.span()));
        let mut spare = Segment::default();
        while let Some(oldest) = self.segments.front() {
            let left = self.older.minus(oldest.span());
            if left.packets < WINDOW.packets + LATEST.packets && left.bytes < WINDOW.bytes + LATEST.bytes {
                break;
            }
            self.older = left;
            spare = self.segments.pop_front().unwrap_or_default();
        }
        spare.fill(block);
        self.segments.push_back(spare);
    }

    /// The packets of the newest block.
    pub(super) fn newest(&self) -> impl Iterator<Item = Seen<'_>> {
        self.segments.back().into_iter().flat_map(|segment| segment.seen(0..segment.packets.len()))
    }

    /// Where the packet of an alert is that became known with packet `known` of everything.
    pub(super) fn find(&self, evidence: Evidence, known: u64) -> Option<Place> {
        let mut passed = Span::default();
        for (segment, of) in self.segments.iter().enumerate().rev() {
            let until = of.packets.partition_point(|packet| packet.stamp.packet <= known);
            for (index, packet) in of.packets.iter().enumerate().take(until).rev() {
                if packet.origin() == (Origin { capture: evidence.capture, number: evidence.packet }) {
                    return Some(Place { segment, packet: index });
                }
                passed = passed.plus(Span { packets: 1, bytes: packet.captured.into() });
                if passed.packets > LATEST.packets || passed.bytes > LATEST.bytes {
                    return None;
                }
            }
        }
        None
    }

    /// The packet at a place, then those before it, the latest first, within the window.
    pub(super) fn backwards(&self, place: Place) -> impl Iterator<Item = Seen<'_>> {
        let Place { segment: last, packet } = place;
        let segments = self.segments.iter().enumerate().take(last + 1).rev();
        let all = segments.flat_map(move |(index, segment)| {
            let end = if index == last { packet + 1 } else { segment.packets.len() };
            segment.seen(0..end).rev()
        });
        let mut passed = Span::default();
        all.take_while(move |(packet, ..)| {
            let fits = passed.packets <= WINDOW.packets && passed.bytes <= WINDOW.bytes;
            passed = passed.plus(Span { packets: 1, bytes: packet.captured.into() });
            fits
        })
    }

    /// What came behind a place.
    pub(super) fn forwards(&self, place: Place) -> impl Iterator<Item = Seen<'_>> {
        let Place { segment: first, packet } = place;
        self.segments.iter().enumerate().skip(first).flat_map(move |(index, segment)| {
            let start = if index == first { packet + 1 } else { 0 };
            segment.seen(start..segment.packets.len())
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

    fn seen(&self, range: std::ops::Range<usize>) -> impl DoubleEndedIterator<Item = Seen<'_>> {
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
