//! Writes blocks of pcapng: little-endian, with times in nanoseconds.
//!
//! Each function appends one whole block to `out`. A file is a section header followed by any blocks, each interface before
//! its first packet.

use super::{
    BYTE_ORDER_MAGIC, ENHANCED_PACKET, IF_TSRESOL, INTERFACE, ISB_IFDROP, ISB_OSDROP, OPT_ENDOFOPT, SECTION_HEADER,
    STATISTICS,
};
use crate::capture::{LinkType, Packet};

/// The interfaces of one section, in the order of their descriptions: one for each capture and link type.
#[derive(Clone, Debug, Default)]
pub struct Interfaces(Vec<(u16, LinkType)>);

/// Statistics of an interface for one section (section 4.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Times of the first and the last packet, nanoseconds since 1970.
    pub span: (i64, i64),
    /// Packets received.
    pub received: u64,
    /// Packets dropped by the interface.
    pub dropped_by_interface: u64,
    /// Packets dropped after the interface delivered them.
    pub dropped_behind: u64,
    /// Packets written to the section.
    pub written: u64,
}

impl Interfaces {
    /// The index of the interface of a packet. `Err` with the index of a new interface, whose description the caller writes
    /// before the packet.
    pub fn find_or_add(&mut self, packet: &Packet) -> Result<u32, u32> {
        let wanted = (packet.origin().capture, packet.link);
        match self.0.iter().position(|known| *known == wanted) {
            Some(index) => Ok(index as u32),
            None => {
                self.0.push(wanted);
                Err((self.0.len() - 1) as u32)
            }
        }
    }
}

/// Writes a section header (section 4.1).
pub fn section(out: &mut Vec<u8>) {
    block(out, SECTION_HEADER, |body| {
        body.extend_from_slice(&BYTE_ORDER_MAGIC.to_le_bytes());
        // Version 1.0, then an unknown section length.
        body.extend_from_slice(&[1, 0, 0, 0]);
        body.extend_from_slice(&[0xFF; 8]);
        option(body, SHB_USERAPPL, concat!("Lockkeeper ", env!("CARGO_PKG_VERSION")).as_bytes());
        option(body, OPT_ENDOFOPT, &[]);
    });
}

/// Writes an interface description (section 4.2). A snap length of 0 is unknown or unlimited.
pub fn interface(out: &mut Vec<u8>, link: LinkType, snap_length: u32, name: Option<&str>) {
    block(out, INTERFACE, |body| {
        body.extend_from_slice(&link.linktype().to_le_bytes());
        body.extend_from_slice(&[0; 2]);
        body.extend_from_slice(&snap_length.to_le_bytes());
        if let Some(name) = name {
            option(body, IF_NAME, cut(name).as_bytes());
        }
        option(body, IF_TSRESOL, &[NANOSECONDS]);
        option(body, OPT_ENDOFOPT, &[]);
    });
}

/// Writes an enhanced packet (section 4.3) of a described interface, with an optional comment.
pub fn packet(out: &mut Vec<u8>, interface: u32, packet: &Packet, bytes: &[u8], comment: Option<&str>) {
    block(out, ENHANCED_PACKET, |body| {
        let words = [interface, 0, 0, bytes.len() as u32, packet.original];
        let mut head = [0; 20];
        for (place, word) in head.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        head[4..12].copy_from_slice(&time(packet.stamp.time));
        body.extend_from_slice(&head);
        padded(body, bytes);
        if let Some(comment) = comment {
            option(body, OPT_COMMENT, cut(comment).as_bytes());
            option(body, OPT_ENDOFOPT, &[]);
        }
    });
}

/// Writes the statistics of an interface (section 4.6).
pub fn statistics(out: &mut Vec<u8>, interface: u32, counted: &Statistics) {
    block(out, STATISTICS, |body| {
        body.extend_from_slice(&interface.to_le_bytes());
        let (first, last) = counted.span;
        body.extend_from_slice(&time(last));
        option(body, ISB_STARTTIME, &time(first));
        option(body, ISB_ENDTIME, &time(last));
        option(body, ISB_IFRECV, &counted.received.to_le_bytes());
        option(body, ISB_IFDROP, &counted.dropped_by_interface.to_le_bytes());
        option(body, ISB_OSDROP, &counted.dropped_behind.to_le_bytes());
        option(body, ISB_USRDELIV, &counted.written.to_le_bytes());
        option(body, OPT_ENDOFOPT, &[]);
    });
}

/// Bytes of a packet block in addition to those of the packet.
pub const PACKET_OVERHEAD: usize = 32 + 3;

/// Writes a block (section 3.1): type, length, body, length.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = ((out.len() - start + 4) as u32).to_le_bytes();
    out.extend_from_slice(&length);
    if let Some(place) = out.get_mut(start + 4..start + 8) {
        place.copy_from_slice(&length);
    }
}

/// Encodes a time (section 4.3): upper half, then lower half.
fn time(nanoseconds: i64) -> [u8; 8] {
    let time = nanoseconds.max(0).cast_unsigned();
    time.rotate_left(32).to_le_bytes()
}

/// Writes an option (section 3.5): code, length, value padded to four bytes.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    padded(out, value);
}

fn padded(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(value);
    let missing = value.len().next_multiple_of(4) - value.len();
    out.extend_from_slice([0; 3].get(..missing).unwrap_or_default());
}

/// The start of a text, as much as fits in an option.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST_TEXT)).unwrap_or_default()
}

/// Option codes (sections 3.5, 4.1, 4.2 and 4.6) that the parser does not use.
const OPT_COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
const SHB_USERAPPL: u16 = 4;
const ISB_STARTTIME: u16 = 2;
const ISB_ENDTIME: u16 = 3;
const ISB_IFRECV: u16 = 4;
const ISB_USRDELIV: u16 = 8;

/// Value of `if_tsresol`: 10 to the power of -9 seconds.
const NANOSECONDS: u8 = 9;

const LONGEST_TEXT: usize = 32_768;
