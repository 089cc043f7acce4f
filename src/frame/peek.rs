//! Which packets belong together: one cheap look for whoever gives packets to the workers.

use std::net::IpAddr;

use super::walk::{Context, Fragment, Leaf, Span, Walk, Witness};
use super::{Body, Layers, Macs, plain};
use crate::capture::LinkType;

/// What must be known of a packet to give it to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek {
    /// The same for both directions of the innermost conversation, whatever it is wrapped in: made of its pair of IP
    /// addresses, or of its pair of hardware addresses where there is no IP. To be hashed with a seed.
    Key(u64),
    /// The same of a packet that is wrapped inside IP: the [`Layers`] around it are conversations, too.
    Wrapped(u64),
    /// A part of an IP datagram, or something wrapped in one: for the [`super::Reassembler`].
    Fragment,
}

impl Peek {
    /// The key of the innermost conversation; none of a fragment.
    pub const fn key(self) -> Option<u64> {
        match self {
            Self::Key(key) | Self::Wrapped(key) => Some(key),
            Self::Fragment => None,
        }
    }
}

/// One cheap look at a packet of `original` bytes on the wire. Of what [`super::decode`] refuses, the key means nothing.
/// `layers` is written to where it is [`Peek::Wrapped`] or a fragment.
#[inline(always)]
pub fn peek(link: LinkType, bytes: &[u8], original: u32, layers: &mut Layers) -> Peek {
    match link {
        LinkType::Ethernet => {
            plain::key_of_untagged(bytes).map_or_else(|| peek_further(bytes, original, layers), Peek::Key)
        }
        _ => walked(link, bytes, original, layers),
    }
}

#[inline(never)]
fn peek_further(bytes: &[u8], original: u32, layers: &mut Layers) -> Peek {
    plain::key(bytes).map_or_else(|| walked(LinkType::Ethernet, bytes, original, layers), Peek::Key)
}

/// The same walk as [`super::decode`] takes, up to the first fragment.
#[inline(never)]
fn walked(link: LinkType, bytes: &[u8], original: u32, layers: &mut Layers) -> Peek {
    layers.clear();
    let mut walk = Walk::new(Seen { fragment: false, layers });
    let leaf = walk.link(link, Span::of_packet(bytes, original as usize));
    if walk.witness.fragment {
        return Peek::Fragment;
    }
    let key = match leaf.map(|leaf| leaf.body) {
        Ok(Body::Tcp(pair, _) | Body::Udp(pair, _) | Body::Ip(pair, _)) => pair_key(pair.source, pair.destination),
        Ok(Body::Link { .. }) | Err(_) => walk.context.mac.map_or(0, mac_key),
    };
    if walk.witness.layers.is_empty() { Peek::Key(key) } else { Peek::Wrapped(key) }
}

/// Whether a fragment was met, and what was unwrapped.
struct Seen<'l> {
    fragment: bool,
    layers: &'l mut Layers,
}

impl<'a> Witness<'a> for Seen<'_> {
    fn fragment(&mut self, _: Fragment<'a>) -> bool {
        self.fragment = true;
        false
    }

    fn wrapping(&mut self, depth: u8, _: &Context, outside: &Leaf<'a>) {
        self.layers.add(depth, &outside.body);
    }
}

/// The [`Peek::Key`] of a pair of IP addresses.
pub fn pair_key(source: IpAddr, destination: IpAddr) -> u64 {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => key4(source.to_bits(), destination.to_bits()),
        (source, destination) => key6(bits(source), bits(destination)),
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// No two pairs share a key.
pub(super) fn key4(source: u32, destination: u32) -> u64 {
    u64::from(source.min(destination)) << 32 | u64::from(source.max(destination))
}

/// A good mixture: there are more pairs than keys.
pub(super) fn key6(source: u128, destination: u128) -> u64 {
    fold(source.min(destination)).wrapping_mul(MULTIPLIER) ^ fold(source.max(destination))
}

/// The [`Peek::Key`] of a pair of hardware addresses.
pub fn mac_key(Macs { source, destination }: Macs) -> u64 {
    let (low, high) = if source < destination { (source, destination) } else { (destination, source) };
    number(low).wrapping_mul(MULTIPLIER) ^ number(high)
}

fn number([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// 128 bits in 64, so that addresses of one network, which share the upper half, stay apart.
fn fold(value: u128) -> u64 {
    let [upper, lower] = [(value >> 64) as u64, value as u64];
    upper.wrapping_mul(MULTIPLIER).rotate_left(32) ^ lower
}

/// 2^64 divided by the golden ratio, odd: spreads neighbours.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
