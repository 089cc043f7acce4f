//! Tunnels as conversations of their own.
//!
//! A tunnel is traffic between its two endpoints, whatever it carries. The walk to the innermost addresses passes the outer
//! ones: [`peek()`](super::peek()) records them in [`Layers`], and [`outer()`] returns one of them as a frame.

use std::net::IpAddr;

use super::walk::{Context, Leaf, MAX_ENCAPSULATIONS, Observer, Span, Walk};
use super::{Body, Frame, IpHeader};
use crate::capture::LinkType;

/// A tunnel over IP, the same value for both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Outer {
    /// Addresses of its endpoints, the lower one first.
    pub ends: [IpAddr; 2],
    /// What carries it.
    pub carrier: OuterCarrier,
}

/// What carries a tunnel over IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OuterCarrier {
    /// An IP protocol, by number.
    Ip(u8),
    /// UDP to this port. The source port is a hash of the inner flow, so it is not part of the tunnel.
    Udp(u16),
}

impl Outer {
    /// The tunnel whose outer layer is `body`; none without IP.
    fn of(body: &Body<'_>) -> Option<Self> {
        let (IpHeader { source, destination, .. }, carrier) = match body {
            Body::Ip(ip, other) => (ip, OuterCarrier::Ip(other.protocol)),
            Body::Udp(ip, datagram) => (ip, OuterCarrier::Udp(datagram.destination_port)),
            Body::Tcp(..) | Body::Link { .. } => return None,
        };
        Some(Self { ends: [*source.min(destination), *source.max(destination)], carrier })
    }
}

/// The tunnels around the innermost layer of one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    outers: [Option<(u8, Outer)>; MAX_ENCAPSULATIONS],
    count: usize,
}

impl Layers {
    /// Removes all of them.
    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds a tunnel that has `depth` encapsulations around it.
    pub(super) fn add(&mut self, depth: u8, body: &Body<'_>) {
        if let (Some(outer), Some(place)) = (Outer::of(body), self.outers.get_mut(self.count)) {
            *place = Some((depth, outer));
            self.count += 1;
        }
    }

    /// All of them, the innermost first, each with its depth: the number of encapsulations around it, which [`outer()`]
    /// takes.
    pub fn iter(&self) -> impl Iterator<Item = (u8, Outer)> {
        self.outers.into_iter().take(self.count).flatten()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The tunnel at this depth as a frame: the frame that [`super::decode`] would return if its content were not decoded.
pub fn outer<'a>(link: LinkType, bytes: &'a [u8], original: u32, depth: u8) -> Option<Frame<'a>> {
    let mut walk = Walk::new(Find { depth, found: None });
    walk.link(link, Span::of_packet(bytes, original as usize)).ok()?;
    walk.observer.found
}

/// Finds the encapsulation at one depth.
struct Find<'a> {
    depth: u8,
    found: Option<Frame<'a>>,
}

impl<'a> Observer<'a> for Find<'a> {
    fn on_encapsulation(&mut self, depth: u8, context: &Context, outside: &Leaf<'a>) {
        if depth == self.depth {
            self.found = Some(context.frame(&Leaf { undecoded: None, ..*outside }));
        }
    }
}
