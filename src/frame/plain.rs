//! The short cuts for what nearly all packets are: Ethernet with at most two VLAN tags, IP in it that is no fragment, and
//! TCP or UDP in that which wraps nothing. They say what the walk would say, or nothing; tests hold them to it.
//!
//! Decoding is inlined as a whole, so that the frame is written once, in its place: each copy of a value written field
//! by field a moment ago waits for the stores, and a handful of them cost more than the decoding (a quarter of the time
//! is left without them).

use std::net::IpAddr;

use etherparse::{Ipv4HeaderSlice, TcpHeaderSlice, UdpHeaderSlice, ip_number};

use super::link::{IPV4, IPV6, SERVICE_VLAN, VLAN};
use super::peek::{key4, key6};
use super::transport::{GENEVE_PORT, VXLAN_PORT, datagram, segment};
use super::{Body, Frame, IpPair, Macs, redundancy};

/// What follows the tags, and what they say.
struct Untagged<'a> {
    vlan: Option<u16>,
    ether_type: u16,
    rest: &'a [u8],
}

/// Decodes IPv4 that was captured whole.
#[inline(always)]
pub(super) fn frame(bytes: &[u8], original: u32) -> Option<Frame<'_>> {
    let (&[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5], rest) = bytes.split_first_chunk()?;
    let Untagged { vlan, ether_type: IPV4, rest } = untagged(rest)? else { return None };
    let header = Ipv4HeaderSlice::from_slice(rest).ok()?;
    if header.is_fragmenting_payload() || bytes.len() < original as usize || may_have_trailer(bytes) {
        return None;
    }
    let payload = rest.get(header.slice().len()..usize::from(header.total_len()))?;
    let pair = IpPair {
        source: IpAddr::V4(header.source_addr()),
        destination: IpAddr::V4(header.destination_addr()),
        identification: header.identification(),
    };
    let mac = Macs { source: [s0, s1, s2, s3, s4, s5], destination: [d0, d1, d2, d3, d4, d5] };
    let body = match header.protocol() {
        ip_number::TCP => tcp(pair, payload)?,
        ip_number::UDP => udp(pair, payload)?,
        _ => return None,
    };
    Some(Frame { mac: Some(mac), vlan, tunnel: None, redundancy: None, body, cut: 0 })
}

#[inline(always)]
fn tcp(pair: IpPair, bytes: &[u8]) -> Option<Body<'_>> {
    let header = TcpHeaderSlice::from_slice(bytes).ok()?;
    let payload = bytes.get(header.slice().len()..)?;
    Some(Body::Tcp(pair, segment(&header, payload, payload.len())))
}

#[inline(always)]
fn udp(pair: IpPair, bytes: &[u8]) -> Option<Body<'_>> {
    let header = UdpHeaderSlice::from_slice(bytes).ok()?;
    if usize::from(header.length()) != bytes.len() || is_tunnel(header.destination_port()) {
        return None;
    }
    let payload = bytes.get(header.slice().len()..)?;
    Some(Body::Udp(pair, datagram(&header, payload, payload.len())))
}

/// The key of [`super::peek()`].
pub(super) fn key(bytes: &[u8]) -> Option<u64> {
    let (_, rest) = bytes.split_at_checked(12)?;
    match untagged(rest)? {
        Untagged { ether_type: IPV4, rest, .. } => key_of_ipv4(rest),
        Untagged { ether_type: IPV6, rest, .. } => key_of_ipv6(rest),
        _ => None,
    }
}

/// IPv4 without options.
fn key_of_ipv4(bytes: &[u8]) -> Option<u64> {
    let (&[version, _, _, _, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3], payload) =
        bytes.split_first_chunk()?;
    let part = u16::from_be_bytes([f0, f1]) & 0x3FFF;
    if version != 0x45 || part != 0 || !is_innermost(protocol, payload) {
        return None;
    }
    Some(key4(u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([d0, d1, d2, d3])))
}

/// IPv6 without extension headers.
fn key_of_ipv6(bytes: &[u8]) -> Option<u64> {
    let (header, payload) = bytes.split_first_chunk::<40>()?;
    let (&[version, _, _, _, _, _, protocol, _], addresses) = header.split_first_chunk()?;
    let (source, destination) = addresses.split_first_chunk()?;
    if version >> 4 != 6 || !is_innermost(protocol, payload) {
        return None;
    }
    Some(key6(u128::from_be_bytes(*source), u128::from_be_bytes(*destination.first_chunk()?)))
}

/// Past at most two VLAN tags.
#[inline(always)]
fn untagged(mut bytes: &[u8]) -> Option<Untagged<'_>> {
    let mut vlan = None;
    for _ in 0..3 {
        let (&[t0, t1], rest) = bytes.split_first_chunk()?;
        let ether_type = u16::from_be_bytes([t0, t1]);
        if !matches!(ether_type, VLAN | SERVICE_VLAN) {
            return Some(Untagged { vlan, ether_type, rest });
        }
        let (&[c0, c1], rest) = rest.split_first_chunk()?;
        let id = u16::from_be_bytes([c0, c1]) & 0x0FFF;
        vlan = if id == 0 { vlan } else { Some(id) };
        bytes = rest;
    }
    None
}

fn may_have_trailer(bytes: &[u8]) -> bool {
    bytes.last_chunk() == Some(&redundancy::SUPERVISION.to_be_bytes())
}

/// TCP, or UDP that wraps nothing.
fn is_innermost(protocol: u8, payload: &[u8]) -> bool {
    match (protocol, payload) {
        (6, _) => true,
        (17, &[_, _, d0, d1, ..]) => !is_tunnel(u16::from_be_bytes([d0, d1])),
        _ => false,
    }
}

fn is_tunnel(destination_port: u16) -> bool {
    matches!(destination_port, VXLAN_PORT | GENEVE_PORT)
}
