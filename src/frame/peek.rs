//! Which packets belong together: one cheap look for whoever gives packets to the workers.

use super::host_key::{mac_key, pair_key};
use super::walk::{Context, Fragment, Leaf, Observer, Span, Walk};
use super::{Body, Layers, plain};
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
            plain::host_key_untagged(bytes).map_or_else(|| peek_tagged(bytes, original, layers), Peek::Key)
        }
        _ => peek_by_walk(link, bytes, original, layers),
    }
}

#[inline(never)]
fn peek_tagged(bytes: &[u8], original: u32, layers: &mut Layers) -> Peek {
    plain::host_key(bytes).map_or_else(|| peek_by_walk(LinkType::Ethernet, bytes, original, layers), Peek::Key)
}

/// The same walk as [`super::decode`] takes, up to the first fragment.
#[inline(never)]
fn peek_by_walk(link: LinkType, bytes: &[u8], original: u32, layers: &mut Layers) -> Peek {
    layers.clear();
    let mut walk = Walk::new(Seen { fragment: false, layers });
    let leaf = walk.link(link, Span::of_packet(bytes, original as usize));
    if walk.observer.fragment {
        return Peek::Fragment;
    }
    let key = match leaf.map(|leaf| leaf.body) {
        Ok(Body::Tcp(ip, _) | Body::Udp(ip, _) | Body::Ip(ip, _)) => pair_key(ip.source, ip.destination),
        Ok(Body::Link { .. }) | Err(_) => walk.context.mac.map_or(0, mac_key),
    };
    if walk.observer.layers.is_empty() { Peek::Key(key) } else { Peek::Wrapped(key) }
}

/// Whether a fragment was met, and what was unwrapped.
struct Seen<'l> {
    fragment: bool,
    layers: &'l mut Layers,
}

impl<'a> Observer<'a> for Seen<'_> {
    fn on_fragment(&mut self, _: Fragment<'a>) -> bool {
        self.fragment = true;
        false
    }

    fn on_wrapping(&mut self, depth: u8, _: &Context, outside: &Leaf<'a>) {
        self.layers.add(depth, &outside.body);
    }
}
