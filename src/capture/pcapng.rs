//! The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks, each interface with its own link type and time
//! resolution. This module parses it; [`mod@write`] writes it.

pub mod write;

use super::LinkType;
use super::records::{ByteOrder, MAX_CAPTURED, MAX_RECORD, ParseEnd, Sink};

/// Parses the blocks of one pcapng file.
pub(super) struct Parser {
    /// Byte order of the current section; `None` before the first.
    order: Option<ByteOrder>,
    /// Interfaces of the current section, in the order of their descriptions.
    interfaces: Vec<Interface>,
    /// Drops of the interfaces of earlier sections.
    dropped_before: u64,
}

/// An interface by its description block (section 4.2).
struct Interface {
    link: LinkType,
    snaplen: u32,
    resolution: Resolution,
    /// Nanoseconds to add to every time (`if_tsoffset`).
    offset: i64,
    /// Packets dropped, by its latest statistics.
    dropped: u64,
}

/// The time resolution of an interface (`if_tsresol`).
#[derive(Clone, Copy)]
enum Resolution {
    /// A unit is this many nanoseconds.
    Multiply(u64),
    /// A nanosecond is this many units.
    Divide(u64),
    /// A second is 2 to this power units.
    Binary(u32),
}

/// A block whose lengths are valid.
struct CheckedBlock<'a> {
    order: ByteOrder,
    kind: u32,
    /// The bytes between the two lengths.
    body: &'a [u8],
}

/// Why a block is invalid.
type Invalid = String;

impl Parser {
    /// The parser for a file that starts with `head`, if that is pcapng.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let parser = Self { order: None, interfaces: Vec::new(), dropped_before: 0 };
        head.starts_with(&SECTION_HEADER.to_be_bytes()).then_some(parser)
    }

    /// Packets dropped by the capturing program, by the latest statistics of each interface.
    pub(super) fn dropped(&self) -> u64 {
        self.interfaces.iter().fold(self.dropped_before, |sum, interface| sum.saturating_add(interface.dropped))
    }

    /// Passes the packets of every complete block at the start of `bytes` to `sink`. Returns the number of bytes used, and why
    /// it stopped.
    pub(super) fn parse(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> (usize, ParseEnd) {
        let mut rest = bytes;
        let stop = loop {
            let (order, kind, size) = match self.block_header(rest) {
                Ok(header) => header,
                Err(stop) => break stop,
            };
            let Some((block, next)) = rest.split_at_checked(size) else {
                break if size > MAX_RECORD { ParseEnd::Skip(size as u64) } else { ParseEnd::NeedsBytes(size) };
            };
            // Larger blocks are skipped, whether they fit in this buffer or not.
            if size <= MAX_RECORD {
                let taken = checked(order, kind, block).and_then(|block| self.parse_block(&block, sink));
                if let Err(reason) = taken {
                    break ParseEnd::Broken(reason);
                }
            }
            sink.position.finish_record(size);
            rest = next;
        };
        (bytes.len() - rest.len(), stop)
    }

    /// Section 3.1: type and total length. A section header declares its own byte order (section 4.1).
    fn block_header(&self, bytes: &[u8]) -> Result<(ByteOrder, u32, usize), ParseEnd> {
        let Some(([k0, k1, k2, k3, l0, l1, l2, l3, m0, m1, m2, m3], _)) = bytes.split_first_chunk() else {
            return Err(ParseEnd::NeedsBytes(MIN_BLOCK));
        };
        let kind = [*k0, *k1, *k2, *k3];
        let order = if kind == SECTION_HEADER.to_be_bytes() {
            section_order([*m0, *m1, *m2, *m3]).map_err(ParseEnd::Broken)?
        } else {
            self.order.ok_or_else(|| ParseEnd::Broken("the first block is no section header".to_owned()))?
        };
        let size = order.u32([*l0, *l1, *l2, *l3]) as usize;
        if size < MIN_BLOCK {
            return Err(ParseEnd::Broken(format!("a block claims a length of {size}; {MIN_BLOCK} is the least")));
        }
        let kind = order.u32(kind);
        if size > MAX_RECORD && is_parsed(kind) {
            return Err(ParseEnd::Broken(format!("a block claims a length of {size}; {MAX_RECORD} is the most")));
        }
        Ok((order, kind, size))
    }

    /// Parses a block by its type; ignores unknown ones.
    fn parse_block(&mut self, block: &CheckedBlock<'_>, sink: &mut Sink<'_>) -> Result<(), Invalid> {
        match block.kind {
            ENHANCED_PACKET => {
                let id = block.u32_at(0).ok_or(SHORT)? as usize;
                self.parse_packet(block, id, sink)
            }
            PACKET => {
                let id = block.u16_at(0).ok_or(SHORT)? as usize;
                self.parse_packet(block, id, sink)
            }
            SIMPLE_PACKET => self.parse_simple_packet(block, sink),
            INTERFACE => self.parse_interface(block),
            STATISTICS => self.parse_statistics(block),
            SECRETS => parse_secrets(block, sink),
            SECTION_HEADER => {
                self.start_section(block.order);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Starts a section, which has interfaces of its own.
    fn start_section(&mut self, order: ByteOrder) {
        self.dropped_before = self.dropped();
        self.interfaces.clear();
        self.order = Some(order);
    }

    /// Enhanced packet block (section 4.3) or obsolete packet block (appendix A): they differ in the position of the interface
    /// `id`.
    fn parse_packet(&mut self, block: &CheckedBlock<'_>, id: usize, sink: &mut Sink<'_>) -> Result<(), Invalid> {
        let Some(([_, _, _, _, h0, h1, h2, h3, l0, l1, l2, l3, c0, c1, c2, c3, o0, o1, o2, o3], data)) =
            block.body.split_first_chunk()
        else {
            return Err(SHORT.to_owned());
        };
        let interface = self.interfaces.get(id).ok_or_else(|| no_interface(id))?;
        let order = block.order;
        let high = u64::from(order.u32([*h0, *h1, *h2, *h3]));
        let low = u64::from(order.u32([*l0, *l1, *l2, *l3]));
        let captured = order.u32([*c0, *c1, *c2, *c3]);
        if captured > MAX_CAPTURED || captured as usize > data.len() {
            return Err(format!("a packet claims {captured} captured bytes in a block with room for {}", data.len()));
        }
        let time = interface.nanoseconds(high << 32 | low);
        sink.push_packet(time, interface.link, 8 + 20, captured, order.u32([*o0, *o1, *o2, *o3]));
        Ok(())
    }

    /// Section 4.4: only the original length. The interface is the first one; without a time, the packet has the latest one.
    fn parse_simple_packet(&mut self, block: &CheckedBlock<'_>, sink: &mut Sink<'_>) -> Result<(), Invalid> {
        let original = block.u32_at(0).ok_or(SHORT)?;
        let interface = self.interfaces.first().ok_or_else(|| no_interface(0))?;
        let limit = if interface.snaplen == 0 { original } else { interface.snaplen };
        let captured = original.min(limit);
        let room = block.body.len().saturating_sub(4);
        if captured > MAX_CAPTURED || captured as usize > room {
            return Err(format!("a packet claims {captured} captured bytes in a block with room for {room}"));
        }
        sink.push_packet(sink.position.latest_time(), interface.link, 8 + 4, captured, original);
        Ok(())
    }

    /// Section 4.2: link type, snap length, options.
    fn parse_interface(&mut self, block: &CheckedBlock<'_>) -> Result<(), Invalid> {
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(format!("a section describes more than {MAX_INTERFACES} interfaces"));
        }
        let link = LinkType::from_linktype(block.u16_at(0).ok_or(SHORT)?);
        let snaplen = block.u32_at(4).ok_or(SHORT)?;
        let mut interface = Interface { link, snaplen, resolution: Resolution::MICROSECONDS, offset: 0, dropped: 0 };
        for (code, value) in block.options(8) {
            match (code, value) {
                (IF_TSRESOL, [resolution, ..]) => interface.resolution = Resolution::from_tsresol(*resolution),
                (IF_TSOFFSET, value) => {
                    let seconds = value.first_chunk().map(|&value| block.order.u64(value).cast_signed());
                    interface.offset = seconds.unwrap_or_default().saturating_mul(NANOSECONDS);
                }
                _ => {}
            }
        }
        self.interfaces.push(interface);
        Ok(())
    }

    /// Section 4.6: packets dropped by the interface and by the operating system since the start of the capture.
    fn parse_statistics(&mut self, block: &CheckedBlock<'_>) -> Result<(), Invalid> {
        let id = block.u32_at(0).ok_or(SHORT)? as usize;
        let interface = self.interfaces.get_mut(id).ok_or_else(|| no_interface(id))?;
        let dropped = block.options(12).filter(|(code, _)| matches!(*code, ISB_IFDROP | ISB_OSDROP));
        let counts = dropped.filter_map(|(_, value)| value.first_chunk().map(|&value| block.order.u64(value)));
        if let Some(count) = counts.reduce(u64::saturating_add) {
            interface.dropped = count;
        }
        Ok(())
    }
}

/// Section 4.7: type, length, the secrets.
fn parse_secrets(block: &CheckedBlock<'_>, sink: &mut Sink<'_>) -> Result<(), Invalid> {
    let kind = block.u32_at(0).ok_or(SHORT)?;
    let length = block.u32_at(4).ok_or(SHORT)? as usize;
    let bytes = block.body.get(8..).and_then(|rest| rest.get(..length)).ok_or(SHORT)?;
    sink.push_secrets(kind, bytes);
    Ok(())
}

/// Whether blocks of this type must be parsed, so that a too large one is an error. Too large decryption secrets are skipped.
fn is_parsed(kind: u32) -> bool {
    matches!(kind, ENHANCED_PACKET | PACKET | SIMPLE_PACKET | INTERFACE | STATISTICS | SECTION_HEADER)
}

/// Section 3.1: both ends of a block must have the same total length.
fn checked(order: ByteOrder, kind: u32, block: &[u8]) -> Result<CheckedBlock<'_>, Invalid> {
    let (front, trailer) = block.split_last_chunk::<4>().ok_or(SHORT)?;
    let trailer = order.u32(*trailer) as usize;
    if trailer != block.len() {
        return Err(format!("a block of {} bytes ends with a length of {trailer}", block.len()));
    }
    Ok(CheckedBlock { order, kind, body: front.get(8..).unwrap_or_default() })
}

/// Section 4.1: the byte-order magic.
fn section_order(magic: [u8; 4]) -> Result<ByteOrder, Invalid> {
    let orders = [ByteOrder::Little, ByteOrder::Big];
    let found = orders.into_iter().find(|order| order.u32(magic) == BYTE_ORDER_MAGIC);
    found.ok_or_else(|| "a section header without the byte-order magic".to_owned())
}

fn no_interface(id: usize) -> Invalid {
    format!("a block speaks of interface {id}, which no earlier block describes")
}

impl CheckedBlock<'_> {
    fn u16_at(&self, offset: usize) -> Option<u16> {
        self.body.get(offset..)?.first_chunk().map(|&bytes| self.order.u16(bytes))
    }

    fn u32_at(&self, offset: usize) -> Option<u32> {
        self.body.get(offset..)?.first_chunk().map(|&bytes| self.order.u32(bytes))
    }

    /// The options from `offset` on (section 3.5): code, length, value padded to four bytes. Ends at an incomplete option.
    fn options(&self, offset: usize) -> impl Iterator<Item = (u16, &[u8])> {
        let mut rest = self.body.get(offset..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (&[c0, c1, l0, l1], after) = rest.split_first_chunk()?;
            let (code, length) = (self.order.u16([c0, c1]), usize::from(self.order.u16([l0, l1])));
            let value = after.get(..length)?;
            rest = after.get(length.next_multiple_of(4)..).unwrap_or_default();
            (code != OPT_ENDOFOPT).then_some((code, value))
        })
    }
}

impl Interface {
    /// Converts units of this interface to nanoseconds since 1970, saturating.
    fn nanoseconds(&self, units: u64) -> i64 {
        let nanoseconds = match self.resolution {
            Resolution::Multiply(factor) => units.saturating_mul(factor),
            Resolution::Divide(divisor) => units / divisor,
            Resolution::Binary(power) => {
                let scaled = (u128::from(units) * u128::from(NANOSECONDS.unsigned_abs())) >> power;
                u64::try_from(scaled).unwrap_or(u64::MAX)
            }
        };
        i64::try_from(nanoseconds).unwrap_or(i64::MAX).saturating_add(self.offset)
    }
}

impl Resolution {
    /// The default without `if_tsresol`.
    const MICROSECONDS: Self = Self::Multiply(1_000);

    /// The conversion to nanoseconds for an option `if_tsresol` (pcapng, section 4.2): the most significant bit selects a negative
    /// power of 2 instead of 10; the other bits are the exponent.
    fn from_tsresol(byte: u8) -> Self {
        let power = u32::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            return Self::Binary(power);
        }
        match power.checked_sub(9) {
            None => Self::Multiply(10u64.saturating_pow(9 - power)),
            Some(0) => Self::Multiply(1),
            Some(more) => Self::Divide(10u64.saturating_pow(more)),
        }
    }
}

const NANOSECONDS: i64 = 1_000_000_000;

/// Block types (section 11.1 of the draft).
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const SECRETS: u32 = 10;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Option codes (sections 3.5, 4.2 and 4.6).
const OPT_ENDOFOPT: u16 = 0;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
const ISB_IFDROP: u16 = 5;
const ISB_OSDROP: u16 = 7;

/// Length of an empty block: type and both lengths.
const MIN_BLOCK: usize = 12;

const SHORT: &str = "a block is too short for its type";

/// Most interfaces of one section.
const MAX_INTERFACES: usize = 4096;
