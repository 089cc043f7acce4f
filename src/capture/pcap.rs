//! The pcap format (draft-ietf-opsawg-pcap) with the modified headers of its relatives.

use super::LinkType;
use super::records::{ByteOrder, MAX_CAPTURED, Sink, WalkEnd};

/// What a magic number says about the rest of the file.
struct Variant {
    magic: u32,
    name: &'static str,
    /// Nanoseconds per unit of the second half of a time.
    unit: u32,
    /// Bytes of the file header.
    file_header: usize,
    /// Bytes of a record header.
    record_header: usize,
}

/// The variants whose magic number alone tells their layout.
const VARIANTS: [Variant; 5] = [
    Variant { magic: 0xa1b2_c3d4, name: "pcap", unit: 1_000, file_header: 24, record_header: 16 },
    Variant { magic: 0xa1b2_3c4d, name: "nanosecond pcap", unit: 1, file_header: 24, record_header: 16 },
    // Each record header goes on with interface index, protocol, packet type and padding.
    Variant { magic: 0xa1b2_cd34, name: "modified pcap", unit: 1_000, file_header: 24, record_header: 24 },
    // The file header ends with the size of all records.
    Variant { magic: 0x1c00_01ac, name: "Ixia lcap (hardware)", unit: 1, file_header: 28, record_header: 16 },
    Variant { magic: 0x1c00_01ab, name: "Ixia lcap (software)", unit: 1_000, file_header: 28, record_header: 16 },
];

/// Walks the records of one pcap file.
pub(super) struct Parser {
    variant: &'static Variant,
    order: ByteOrder,
    /// What the file header said, once it is read.
    header: Option<FileHeader>,
}

/// What the file header says about every record.
#[derive(Clone, Copy)]
struct FileHeader {
    link: LinkType,
    /// Written by a version before 2.4: captured and original length may have changed places.
    may_swap_lengths: bool,
}

impl Parser {
    /// The parser for a file that begins with `head`, if that is pcap.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let magic = *head.first_chunk::<4>()?;
        [ByteOrder::Little, ByteOrder::Big].into_iter().find_map(|order| {
            let variant = VARIANTS.iter().find(|variant| variant.magic == order.u32(magic))?;
            Some(Self { variant, order, header: None })
        })
    }

    /// What kind of pcap it is, for people.
    pub(super) fn name(&self) -> &'static str {
        self.variant.name
    }

    /// Hands every complete record at the start of `bytes` to `sink`. Returns the bytes used, and why it stopped.
    pub(super) fn walk(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> (usize, WalkEnd) {
        let Some(header) = self.header else {
            return self.read_file_header(bytes, sink);
        };
        self.walk_records(bytes, header, sink)
    }

    /// Section 4 of the draft: magic, versions, two words that nobody uses, snap length, link type.
    fn read_file_header(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> (usize, WalkEnd) {
        let size = self.variant.file_header;
        let Some((&header, _)) = bytes.split_first_chunk::<24>().filter(|_| bytes.len() >= size) else {
            return (0, WalkEnd::NeedsBytes(size));
        };
        let [_, _, _, _, a, b, c, d, .., e, f, g, h] = header;
        let (major, minor) = (self.order.u16([a, b]), self.order.u16([c, d]));
        if major < 2 {
            return (0, WalkEnd::Broken(format!("pcap version {major}.{minor} does not exist")));
        }
        // The upper half holds the length of the frame check sequence, which the layers above tell from padding.
        let linktype = (self.order.u32([e, f, g, h]) & 0xffff) as u16;
        let header = FileHeader { link: LinkType::from_linktype(linktype), may_swap_lengths: major == 2 && minor < 4 };
        self.header = Some(header);
        sink.position.finish_record(size);
        let (used, stop) = self.walk_records(bytes.get(size..).unwrap_or_default(), header, sink);
        (size + used, stop)
    }

    fn walk_records(&self, bytes: &[u8], header: FileHeader, sink: &mut Sink<'_>) -> (usize, WalkEnd) {
        // What nearly every capture is stands apart, so that its records are not asked for what they cannot be.
        match (self.order, header.may_swap_lengths) {
            (ByteOrder::Little, false) => self.walk_records_of(bytes, header.link, sink, u32::from_le_bytes, false),
            (ByteOrder::Little, true) => self.walk_records_of(bytes, header.link, sink, u32::from_le_bytes, true),
            (ByteOrder::Big, may_swap_lengths) => {
                self.walk_records_of(bytes, header.link, sink, u32::from_be_bytes, may_swap_lengths)
            }
        }
    }

    /// Section 5 of the draft: seconds, fraction, captured length, original length, the bytes. `may_swap_lengths`: the lengths may
    /// have changed places.
    #[inline(always)]
    fn walk_records_of(
        &self,
        bytes: &[u8],
        link: LinkType,
        sink: &mut Sink<'_>,
        number: impl Fn([u8; 4]) -> u32,
        may_swap_lengths: bool,
    ) -> (usize, WalkEnd) {
        let (header_size, unit) = (self.variant.record_header, i64::from(self.variant.unit));
        // Apart from the sink while this lasts, so that it is not written to memory at every packet.
        let (mut rest, mut position) = (bytes, sink.position);
        let stop = loop {
            let Some(([s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, o0, o1, o2, o3], _)) = rest.split_first_chunk()
            else {
                break WalkEnd::NeedsBytes(header_size);
            };
            let mut captured = number([*c0, *c1, *c2, *c3]);
            let mut original = number([*o0, *o1, *o2, *o3]);
            if may_swap_lengths && captured > original {
                (captured, original) = (original, captured);
            }
            if captured > MAX_CAPTURED {
                break WalkEnd::Broken(format!(
                    "a record claims {captured} captured bytes; {MAX_CAPTURED} is the most"
                ));
            }
            let size = header_size + captured as usize;
            let Some(next) = rest.get(size..) else {
                break WalkEnd::NeedsBytes(size);
            };
            // 2^32 seconds are 4.3e18 ns: the sum stays below i64::MAX.
            let seconds = i64::from(number([*s0, *s1, *s2, *s3]));
            let fraction = i64::from(number([*f0, *f1, *f2, *f3]));
            let time = seconds * 1_000_000_000 + fraction * unit;
            sink.packets.push(position.next_packet(time, link, header_size, captured, original));
            position.finish_record(size);
            rest = next;
        };
        sink.position = position;
        (bytes.len() - rest.len(), stop)
    }
}
