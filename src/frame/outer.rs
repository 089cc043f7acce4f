//! Wrappings as conversations: who sends packets to whom inside others.
//!
//! A tunnel is traffic between its two ends, whatever is inside. The walk that leads to the innermost ip of addresses
//! passes by the outer ones; [`peek()`](super::peek()) notes them in [`Layers`], and [`outer()`] gives one of them as a
//! frame.

use std::net::IpAddr;

use super::walk::{Context, Leaf, MAX_WRAPPINGS, Observer, Span, Walk};
use super::{Body, Frame, IpHeader};
use crate::capture::LinkType;

/// A wrapping inside IP: the same for both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Outer {
    /// Its two ends, the lower address first.
    pub ends: [IpAddr; 2],
    /// What carries it.
    pub carrier: OuterCarrier,
}

/// What carries a wrapping inside IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OuterCarrier {
    /// An IP protocol of its own, by number.
    Ip(u8),
    /// UDP to this port. The port that it comes from depends on what is inside, and says nothing.
    Udp(u16),
}

impl Outer {
    /// The wrapping of a frame that is one; none without IP.
    fn of(body: &Body<'_>) -> Option<Self> {
        let (IpHeader { source, destination, .. }, carrier) = match body {
            Body::Ip(ip, other) => (ip, OuterCarrier::Ip(other.protocol)),
            Body::Udp(ip, datagram) => (ip, OuterCarrier::Udp(datagram.destination_port)),
            Body::Tcp(..) | Body::Link { .. } => return None,
        };
        Some(Self { ends: [*source.min(destination), *source.max(destination)], carrier })
    }
}

/// The wrappings inside IP around one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    outers: [Option<(u8, Outer)>; MAX_WRAPPINGS],
    count: usize,
}

impl Layers {
    /// Forgets them.
    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Notes one more, with the number of wrappings around it.
    pub(super) fn add(&mut self, depth: u8, body: &Body<'_>) {
        if let (Some(outer), Some(place)) = (Outer::of(body), self.outers.get_mut(self.count)) {
            *place = Some((depth, outer));
            self.count += 1;
        }
    }

    /// All of them, the innermost first, each with the number of wrappings around it, which is its name for [`outer()`].
    pub fn iter(&self) -> impl Iterator<Item = (u8, Outer)> {
        self.outers.into_iter().take(self.count).flatten()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The wrapping with so many others around it, as the frame that it would be if nobody could look inside.
pub fn outer<'a>(link: LinkType, bytes: &'a [u8], original: u32, depth: u8) -> Option<Frame<'a>> {
    let mut walk = Walk::new(Find { depth, found: None });
    walk.link(link, Span::of_packet(bytes, original as usize)).ok()?;
    walk.observer.found
}

/// Waits for one wrapping.
struct Find<'a> {
    depth: u8,
    found: Option<Frame<'a>>,
}

impl<'a> Observer<'a> for Find<'a> {
    fn on_wrapping(&mut self, depth: u8, context: &Context, outside: &Leaf<'a>) {
        if depth == self.depth {
            self.found = Some(context.frame(&Leaf { undecoded: None, ..*outside }));
        }
    }
}
