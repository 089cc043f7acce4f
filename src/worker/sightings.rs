//! Hardware addresses and VLANs of senders, reported to the correlator, which sees all shards and judges them.

use std::net::Ipv4Addr;

use hashbrown::HashSet;
use lockkeeper_protocols::Stamp;

use super::state::{Between, WorkerState};
use crate::frame::{Body, Frame, IpHeader};
use crate::policy::{Carrier, Host, is_routable};
use crate::record::{Endpoint, Event, Fact};

/// Senders that one shard has reported. Cleared when there are too many.
#[derive(Default)]
pub(super) struct Sightings {
    reported: HashSet<(Host, bool)>,
}

impl Sightings {
    /// Reports the sender of a frame where it is new and the policy declares hardware or VLANs.
    pub(super) fn observe(&mut self, frame: &Frame<'_>, stamp: &Stamp, state: &mut WorkerState) {
        let is_watched = state.watches_hardware || state.watches_vlans && frame.vlan.is_some();
        if !is_watched || !shows_link(frame) {
            return;
        }
        let Some((between, claim)) = sender(frame) else { return };
        let sender = between.client.host;
        if sender.ip.is_some_and(is_routable) && self.add(sender, claim) {
            let flow_verdict = state.policy.flow_verdict(&between.tuple(), None);
            let sighting = |base| Event::Fact(base, Fact::Sighting { claim });
            state.report_between(&between, flow_verdict, stamp.packet, stamp, sighting);
        }
    }

    /// Forgets all senders, so that they are reported under another policy.
    pub(super) fn forget(&mut self) {
        self.reported.clear();
    }

    /// Adds a sender, and returns whether it is new.
    fn add(&mut self, sender: Host, claim: bool) -> bool {
        if self.reported.len() >= MOST {
            self.reported.clear();
        }
        self.reported.insert((sender, claim))
    }
}

/// Whether a frame shows the link of its sender: in a tunnel, only a frame with an Ethernet header of its own does.
const fn shows_link(frame: &Frame<'_>) -> bool {
    frame.tunnel.is_none() || frame.mac.is_some()
}

/// Sender and receiver of a frame, and whether the frame is a mere claim of an address (ARP, neighbour advertisement).
fn sender(frame: &Frame<'_>) -> Option<(Between, bool)> {
    let [source, destination] = [frame.mac.map(|macs| macs.source), frame.mac.map(|macs| macs.destination)];
    let end = |ip, mac, port| Endpoint { host: Host { ip: Some(ip), mac, vlan: frame.vlan }, port };
    let between = |pair: &IpHeader, ports: (u16, u16), carrier| Between {
        client: end(pair.source, source, ports.0),
        server: end(pair.destination, destination, ports.1),
        carrier,
    };
    Some(match &frame.body {
        Body::Tcp(pair, segment) => {
            (between(pair, (segment.source_port, segment.destination_port), Carrier::Tcp), false)
        }
        Body::Udp(pair, datagram) => {
            (between(pair, (datagram.source_port, datagram.destination_port), Carrier::Udp), false)
        }
        Body::Ip(pair, other) => {
            let carrier = Carrier::Ip(other.protocol);
            match other.advertised {
                Some((ip, mac)) => {
                    let client = end(ip.into(), mac.or(source), 0);
                    (Between { client, server: end(pair.destination, destination, 0), carrier }, true)
                }
                None => (between(pair, (0, 0), carrier), false),
            }
        }
        Body::Link { ether_type: ARP, payload } => {
            let (claimed, hardware, target) = arp(payload)?;
            let carrier = Carrier::Ethernet(ARP);
            let client = end(claimed.into(), Some(hardware), 0);
            (Between { client, server: end(target.into(), destination, 0), carrier }, true)
        }
        Body::Link { .. } => return None,
    })
}

/// Sender address, sender hardware and target address of an ARP message for IPv4 on Ethernet (RFC 826).
fn arp(payload: &[u8]) -> Option<(Ipv4Addr, [u8; 6], Ipv4Addr)> {
    // Hardware 1, protocol 0x0800, 6 and 4 bytes of address, operation; sender's hardware and IP; target's.
    let (&[0, 1, 0x08, 0, 6, 4, _, _, m0, m1, m2, m3, m4, m5, s0, s1, s2, s3, _, _, _, _, _, _, t0, t1, t2, t3], _) =
        payload.split_first_chunk()?
    else {
        return None;
    };
    Some((Ipv4Addr::new(s0, s1, s2, s3), [m0, m1, m2, m3, m4, m5], Ipv4Addr::new(t0, t1, t2, t3)))
}

const ARP: u16 = 0x0806;

/// Senders that one shard remembers, 36 bytes each.
const MOST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_of_an_arp_message_is_read_and_nothing_of_another_network() {
        #[rustfmt::skip]
        let mut message = [
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02, // Ethernet, IPv4, 6 and 4 bytes, reply
            0x02, 0x00, 0x00, 0xBA, 0xD0, 0x01, 10, 0, 1, 10, // sender
            0x02, 0x00, 0x0A, 0x00, 0x02, 0x0A, 10, 0, 2, 10, // target
        ];
        let read = (Ipv4Addr::new(10, 0, 1, 10), [2, 0, 0, 0xBA, 0xD0, 1], Ipv4Addr::new(10, 0, 2, 10));
        assert_eq!(arp(&message), Some(read));
        assert_eq!(arp(&message[..27]), None, "cut");
        message[3] = 0x06;
        assert_eq!(arp(&message), None, "not IPv4");
    }

    #[test]
    fn a_sender_is_reported_once_until_there_are_too_many() {
        let host = |number: u32| Host { ip: Some(Ipv4Addr::from_bits(number).into()), mac: None, vlan: None };
        let mut sightings = Sightings::default();
        assert!(sightings.add(host(1), false) && !sightings.add(host(1), false));
        assert!(sightings.add(host(1), true), "a claim is something else");
        (0..MOST as u32).for_each(|number| _ = sightings.add(host(1000 + number), false));
        assert!(sightings.add(host(1), false) && sightings.reported.len() <= MOST);
    }
}
