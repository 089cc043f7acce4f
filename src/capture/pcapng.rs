//! The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks, each interface with its own link and clock. Here it
//! is read; [`mod@write`] has the other way.

pub mod write;

use super::LinkType;
use super::records::{ByteOrder, MAX_CAPTURED, MAX_RECORD, Sink, WalkEnd};

/// Walks the blocks of one pcapng file.
pub(super) struct Parser {
    /// Byte order of the current section: `None` before the first.
    order: Option<ByteOrder>,
    /// Interfaces of the current section, in the order of their descriptions.
    interfaces: Vec<Interface>,
    /// Drops that the interfaces of earlier sections reported.
    dropped_before: u64,
}

/// What one interface description block (section 4.2) says about the packets of its interface.
struct Interface {
    link: LinkType,
    snaplen: u32,
    resolution: Resolution,
    /// Nanoseconds to be added to every time (`if_tsoffset`).
    offset: i64,
    /// The last word of its statistics on packets dropped.
    dropped: u64,
}

/// How a time in units of the interface becomes nanoseconds (`if_tsresol`).
#[derive(Clone, Copy)]
enum Resolution {
    /// A unit is this many nanoseconds.
    Multiply(u64),
    /// A nanosecond is this many units.
    Divide(u64),
    /// A second is two to this power of units.
    Binary(u32),
}

/// One block with its lengths checked.
struct CheckedBlock<'a> {
    order: ByteOrder,
    kind: u32,
    /// Between the two lengths.
    body: &'a [u8],
}

/// A block cannot be right: why.
type Invalid = String;

impl Parser {
    /// The parser for a file that begins with `head`, if that is pcapng.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let parser = Self { order: None, interfaces: Vec::new(), dropped_before: 0 };
        head.starts_with(&SECTION_HEADER.to_be_bytes()).then_some(parser)
    }

    /// Packets that the capturing program says it dropped: the last statistics of each interface.
    pub(super) fn dropped(&self) -> u64 {
        self.interfaces.iter().fold(self.dropped_before, |sum, interface| sum.saturating_add(interface.dropped))
    }

    /// Hands the packets of every complete block at the start of `bytes` to `sink`. Returns the bytes used, and why it
    /// stopped.
    pub(super) fn walk(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> (usize, WalkEnd) {
        let mut rest = bytes;
        let stop = loop {
            let (order, kind, size) = match self.block_header(rest) {
                Ok(header) => header,
                Err(stop) => break stop,
            };
            let Some((block, next)) = rest.split_at_checked(size) else {
                break if size > MAX_RECORD { WalkEnd::Skip(size as u64) } else { WalkEnd::NeedsBytes(size) };
            };
            // A larger one is of no interest, and passed over alike whether it fits into this buffer or not.
            if size <= MAX_RECORD {
                let taken = checked(order, kind, block).and_then(|block| self.parse_block(&block, sink));
                if let Err(reason) = taken {
                    break WalkEnd::Broken(reason);
                }
            }
            sink.position.finish_record(size);
            rest = next;
        };
        (bytes.len() - rest.len(), stop)
    }

    /// Section 3.1: type and total length. A section header brings its own byte order (section 4.1).
    #[inline]
    fn block_header(&self, bytes: &[u8]) -> Result<(ByteOrder, u32, usize), WalkEnd> {
        let Some(([k0, k1, k2, k3, l0, l1, l2, l3, m0, m1, m2, m3], _)) = bytes.split_first_chunk() else {
            return Err(WalkEnd::NeedsBytes(MIN_BLOCK));
        };
        let kind = [*k0, *k1, *k2, *k3];
        let order = if kind == SECTION_HEADER.to_be_bytes() {
            section_order([*m0, *m1, *m2, *m3]).map_err(WalkEnd::Broken)?
        } else {
            self.order.ok_or_else(|| WalkEnd::Broken("the first block is no section header".to_owned()))?
        };
        let size = order.u32([*l0, *l1, *l2, *l3]) as usize;
        if size < MIN_BLOCK {
            return Err(WalkEnd::Broken(format!("a block claims a length of {size}; {MIN_BLOCK} is the least")));
        }
        let kind = order.u32(kind);
        if size > MAX_RECORD && is_parsed(kind) {
            return Err(WalkEnd::Broken(format!("a block claims a length of {size}; {MAX_RECORD} is the most")));
        }
        Ok((order, kind, size))
    }

    #[inline]
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

    /// A new section forgets the interfaces of the one before.
    fn start_section(&mut self, order: ByteOrder) {
        self.dropped_before = self.dropped();
        self.interfaces.clear();
        self.order = Some(order);
    }

    /// Enhanced packet block (section 4.3) and obsolete packet block (appendix A): they differ in where the interface is.
    #[inline]
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

    /// Section 4.4: only the original length; the interface is the first, the time is unknown.
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
                (IF_TSRESOL, [resolution, ..]) => interface.resolution = Resolution::of(*resolution),
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

    /// Section 4.6: what the interface, and what the system on top of it, dropped since the capture began.
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

/// Whether blocks of this type must be looked into. One of decryption secrets is where it is no longer than a packet.
fn is_parsed(kind: u32) -> bool {
    matches!(kind, ENHANCED_PACKET | PACKET | SIMPLE_PACKET | INTERFACE | STATISTICS | SECTION_HEADER)
}

/// Section 3.1: the total length stands at both ends of a block, and must be the same.
#[inline]
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

    /// Section 3.5: code, length, value padded to four bytes. Options that run out of the block are left out.
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
    /// Units of this interface as nanoseconds since 1970; beyond what 64 bits hold, the nearest that they do.
    #[inline]
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
    /// What holds when `if_tsresol` is not there.
    const MICROSECONDS: Self = Self::Multiply(1_000);

    /// Section 4.2: the most significant bit says whether the rest is a negative power of 2 or of 10.
    fn of(byte: u8) -> Self {
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

/// Type and both lengths.
const MIN_BLOCK: usize = 12;

const SHORT: &str = "a block is too short for its type";

/// Most interfaces of one section.
const MAX_INTERFACES: usize = 4096;
