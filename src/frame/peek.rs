//! Finds the key that all packets of one conversation share, so that packets can be dealt to workers.

use super::host_key::{mac_key, pair_key};
use super::walk::{Context, Fragment, Leaf, Observer, Span, Walk};
use super::{Body, Layers, plain};
use crate::capture::LinkType;

/// How a packet is dealt to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek {
    /// By the key of its innermost pair of IP addresses, or of hardware addresses without IP. Equal in both directions and in
    /// any encapsulation. To be hashed with a seed.
    Key(u64),
    /// By the same key, for a packet inside a tunnel: the [`Layers`] around it are conversations, too.
    Wrapped(u64),
    /// After reassembly: it is, or is inside, an IP fragment. For the [`super::Reassembler`].
    Fragment,
}

impl Peek {
    /// The key of the innermost conversation; none for a fragment.
    pub const fn key(self) -> Option<u64> {
        match self {
            Self::Key(key) | Self::Wrapped(key) => Some(key),
            Self::Fragment => None,
        }
    }
}

/// Finds the key of a packet of `original` bytes on the wire. The key of a packet that [`super::decode`] refuses is
/// meaningless. Writes `layers` for [`Peek::Wrapped`] and [`Peek::Fragment`].
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

/// The walk of [`super::decode`], up to the first fragment.
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

/// Records whether the walk met a fragment, and the tunnels that it entered.
struct Seen<'l> {
    fragment: bool,
    layers: &'l mut Layers,
}

impl<'a> Observer<'a> for Seen<'_> {
    fn on_fragment(&mut self, _: Fragment<'a>) -> bool {
        self.fragment = true;
        false
    }

    fn on_encapsulation(&mut self, depth: u8, _: &Context, outside: &Leaf<'a>) {
        self.layers.add(depth, &outside.body);
    }
}
