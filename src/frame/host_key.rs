//! A key for a pair of hosts, the same in both directions.

use std::net::IpAddr;

use super::Macs;

/// The [`super::Peek::Key`] of a pair of IP addresses.
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

/// Unique for each pair.
pub(super) fn key4(source: u32, destination: u32) -> u64 {
    u64::from(source.min(destination)) << 32 | u64::from(source.max(destination))
}

/// A hash: there are more pairs than keys.
pub(super) fn key6(source: u128, destination: u128) -> u64 {
    fold(source.min(destination)).wrapping_mul(MULTIPLIER) ^ fold(source.max(destination))
}

/// The [`super::Peek::Key`] of a pair of hardware addresses.
pub fn mac_key(Macs { source, destination }: Macs) -> u64 {
    let (low, high) = if source < destination { (source, destination) } else { (destination, source) };
    number(low).wrapping_mul(MULTIPLIER) ^ number(high)
}

fn number([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// Folds 128 bits into 64 so that addresses of one network, which share the upper half, stay distinct.
fn fold(value: u128) -> u64 {
    let [upper, lower] = [(value >> 64) as u64, value as u64];
    upper.wrapping_mul(MULTIPLIER).rotate_left(32) ^ lower
}

/// 2^64 divided by the golden ratio, made odd: spreads adjacent values.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
