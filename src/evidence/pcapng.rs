//! Packets as a pcapng file (draft-ietf-opsawg-pcapng), little-endian, with times in nanoseconds.

use crate::capture::{Link, Packet};

/// A packet with bytes of its own.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    packet: Packet,
    bytes: Box<[u8]>,
}

impl Kept {
    pub(super) fn new(packet: &Packet, bytes: &[u8]) -> Self {
        Self { packet: *packet, bytes: bytes.into() }
    }
}

/// A whole file: one section, an interface for each capture and link that its packets come from. `comment` says what is
/// to be said of a packet, by its index.
pub(super) fn file<'a>(packets: &[Kept], captures: &[String], comment: impl Fn(usize) -> Option<&'a str>) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (index, kept) in packets.iter().enumerate() {
        writer.packet(&kept.packet, &kept.bytes, captures, comment(index));
    }
    writer.out
}

/// Writes one section.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) out: Vec<u8>,
    interfaces: Vec<(u16, Link)>,
}

impl Writer {
    /// Begins a section behind what `out` holds.
    pub(super) fn new(mut out: Vec<u8>) -> Self {
        block(&mut out, SECTION_HEADER, |body| {
            body.extend_from_slice(&BYTE_ORDER_MAGIC.to_le_bytes());
            // Version 1.0; the length of the section is not told.
            body.extend_from_slice(&[1, 0, 0, 0]);
            body.extend_from_slice(&[0xFF; 8]);
            option(body, SHB_USERAPPL, concat!("Lockkeeper ", env!("CARGO_PKG_VERSION")).as_bytes());
            option(body, OPT_ENDOFOPT, &[]);
        });
        Self { out, interfaces: Vec::new() }
    }

    /// Adds a packet, with the description of its interface before its first.
    pub(super) fn packet(&mut self, packet: &Packet, bytes: &[u8], captures: &[String], comment: Option<&str>) {
        let interface = self.interface(packet, captures);
        block(&mut self.out, ENHANCED_PACKET, |body| {
            let time = packet.time.max(0).cast_unsigned();
            for word in [interface, (time >> 32) as u32, time as u32, bytes.len() as u32, packet.original] {
                body.extend_from_slice(&word.to_le_bytes());
            }
            padded(body, bytes);
            if let Some(comment) = comment {
                option(body, OPT_COMMENT, cut(comment).as_bytes());
                option(body, OPT_ENDOFOPT, &[]);
            }
        });
    }

    fn interface(&mut self, packet: &Packet, captures: &[String]) -> u32 {
        let wanted = (packet.capture, packet.link);
        let known = self.interfaces.iter().position(|interface| *interface == wanted);
        let index = known.unwrap_or_else(|| {
            block(&mut self.out, INTERFACE, |body| {
                body.extend_from_slice(&packet.link.linktype().to_le_bytes());
                // Reserved; no snap length that would be known.
                body.extend_from_slice(&[0; 6]);
                if let Some(name) = captures.get(usize::from(packet.capture)) {
                    option(body, IF_NAME, cut(name).as_bytes());
                }
                option(body, IF_TSRESOL, &[NANOSECONDS]);
                option(body, OPT_ENDOFOPT, &[]);
            });
            self.interfaces.push(wanted);
            self.interfaces.len() - 1
        });
        index as u32
    }
}

/// Section 3.1: type, length, body, length.
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

/// Section 3.5: code, length, value padded to four bytes.
fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    padded(out, value);
}

fn padded(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(value);
    out.resize(out.len() + (value.len().next_multiple_of(4) - value.len()), 0);
}

/// As much of a text as an option holds.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST_TEXT)).unwrap_or_default()
}

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

const OPT_ENDOFOPT: u16 = 0;
const OPT_COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
const SHB_USERAPPL: u16 = 4;
const IF_TSRESOL: u16 = 9;

/// Ten to the power of minus this many seconds.
const NANOSECONDS: u8 = 9;

const LONGEST_TEXT: usize = 32_768;
