//! Redundant frames: the PRP trailer and the HSR tag (IEC 62439-3).

use super::Redundancy;
use super::walk::Span;

/// EtherType of the HSR tag.
pub(super) const HSR: u16 = 0x892F;
/// EtherType of supervision frames, and the suffix of the PRP trailer.
pub(super) const SUPERVISION: u16 = 0x88FB;
/// Length of the PRP trailer (RCT), bytes.
pub(super) const TRAILER: usize = 6;
/// The size that supervision frames declare, whatever their length (IEC 62439-3, 4.3).
const SUPERVISION_SIZE: usize = 52;

/// The redundancy control trailer at the end of a link service data unit: sequence (16 bits), LAN (4 bits: A or B), size
/// (12 bits: bytes after the EtherType, padding and trailer included, VLAN tags excluded), suffix 0x88FB.
pub(super) fn trailer(ether_type: u16, lsdu: Span<'_>) -> Option<Redundancy> {
    let &[s0, s1, z0, z1, x0, x1] = lsdu.bytes.last_chunk()?;
    let size = usize::from(u16::from_be_bytes([z0, z1]) & 0x0FFF);
    let lan = z0 >> 4;
    let fits = size == lsdu.wire || (ether_type == SUPERVISION && size == SUPERVISION_SIZE);
    let whole = lsdu.bytes.len() == lsdu.wire;
    (u16::from_be_bytes([x0, x1]) == SUPERVISION && matches!(lan, 0xA | 0xB) && fits && whole)
        .then_some(Redundancy { sequence: u16::from_be_bytes([s0, s1]), lan })
}

/// The HSR tag, after its EtherType: path (4 bits), size (12), sequence (16), the next EtherType.
pub(super) fn hsr_tag(&[p0, _, s0, s1, t0, t1]: &[u8; 6]) -> (Redundancy, u16) {
    let redundancy = Redundancy { sequence: u16::from_be_bytes([s0, s1]), lan: p0 >> 4 };
    (redundancy, u16::from_be_bytes([t0, t1]))
}
