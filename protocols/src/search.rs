//! Late identification: searches an unidentified flow, on which a protocol is expected, for frames of that protocol.

use alloc::vec::Vec;

use crate::REGISTRY;
use crate::candidate::{Candidate, Match, Proof};
use crate::dissector::{Protocol, Side, Stamp, Transport};
use crate::identify::Hints;

/// Searches both sides of a flow for exact frames of the expected protocols, at every byte. Keeps at most two kilobytes of
/// each side.
#[derive(Debug)]
pub struct Search {
    rows: Hints,
    transport: Transport,
    /// The last bytes of each side, in which a frame may begin.
    partial: [Vec<u8>; 2],
    /// Stamp of the latest of them.
    latest: [Stamp; 2],
}

/// A protocol that was found.
#[derive(Debug)]
pub struct Found {
    /// The registry row.
    pub protocol: &'static Protocol,
    /// Kept bytes of each side, with the stamp of the latest: of the side `on` from its first frame on, of the other side
    /// those in which a frame may begin.
    pub bytes: [(Vec<u8>, Stamp); 2],
    /// The side whose bytes begin with a frame.
    pub on: Side,
}

impl Search {
    /// A search for the expected rows; none if no row is expected on this transport.
    pub fn new(transport: Transport, rows: Hints) -> Option<Self> {
        let is_possible = REGISTRY.iter().any(|row| rows.has(row) && row.transports.contains(&transport));
        is_possible.then(|| Self { rows, transport, partial: Default::default(), latest: Default::default() })
    }

    /// Memory of the search, bytes.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.partial.iter().map(Vec::capacity).sum::<usize>()
    }

    /// Searches the next bytes of a side, or one datagram. Returns the number of bytes that were dropped, and the protocol
    /// that was found.
    pub fn feed(&mut self, from: Side, bytes: &[u8], stamp: &Stamp) -> (usize, Option<Found>) {
        let side = from.index();
        if let (Some(partial), Some(latest)) = (self.partial.get_mut(side), self.latest.get_mut(side)) {
            partial.extend_from_slice(bytes);
            *latest = *stamp;
        }
        self.search_kept(from, self.transport == Transport::Udp)
    }

    /// Searches the kept bytes of a side for the last time: the stream ends or has a gap after them.
    pub fn settle(&mut self, from: Side) -> (usize, Option<Found>) {
        self.search_kept(from, true)
    }

    fn search_kept(&mut self, from: Side, is_last: bool) -> (usize, Option<Found>) {
        let Some(partial) = self.partial.get(from.index()) else { return (0, None) };
        // A datagram begins with a frame or holds none.
        let (proof, starts) = match self.transport {
            Transport::Udp => (Proof::Aligned, 1),
            Transport::Tcp => (Proof::Anywhere, partial.len()),
        };
        let mut start = 0;
        let found = loop {
            let Some(bytes) = partial.get(start..).filter(|_| start < starts.min(partial.len())) else { break None };
            let candidate = Candidate { transport: self.transport, from, bytes, is_last };
            match candidate.first_match(self.expected(), proof) {
                (Match::No, _) => start += 1,
                (_, protocol) => break protocol,
            }
        };
        if found.is_none() && is_last {
            start = partial.len();
        }
        if let Some(partial) = self.partial.get_mut(from.index()) {
            partial.drain(..start);
        }
        (start, found.map(|protocol| self.take_found(protocol, from)))
    }

    fn expected(&self) -> impl Iterator<Item = &'static Protocol> + use<> {
        let Self { rows, transport, .. } = *self;
        REGISTRY.iter().copied().filter(move |row| rows.has(row) && row.transports.contains(&transport))
    }

    fn take_found(&mut self, protocol: &'static Protocol, on: Side) -> Found {
        let ([client, server], [asked, answered]) = (core::mem::take(&mut self.partial), self.latest);
        Found { protocol, bytes: [(client, asked), (server, answered)], on }
    }
}
