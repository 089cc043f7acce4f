//! The pcap format (draft-ietf-opsawg-pcap) and its variants with modified headers.

use super::LinkType;
use super::records::{ByteOrder, MAX_CAPTURED, ParseEnd, Sink};

/// The layout of a file by its magic number.
struct Variant {
    magic: u32,
    name: &'static str,
    /// Nanoseconds per unit of the fraction of a time.
    unit: u32,
    /// Length of the file header, bytes.
    file_header: usize,
    /// Length of a record header, bytes.
    record_header: usize,
}

/// The variants that are identified by their magic number alone.
const VARIANTS: [Variant; 5] = [
    Variant { magic: 0xa1b2_c3d4, name: "pcap", unit: 1_000, file_header: 24, record_header: 16 },
    Variant { magic: 0xa1b2_3c4d, name: "nanosecond pcap", unit: 1, file_header: 24, record_header: 16 },
    // Each record header also has interface index, protocol, packet type and padding.
    Variant { magic: 0xa1b2_cd34, name: "modified pcap", unit: 1_000, file_header: 24, record_header: 24 },
    // The file header ends with the size of all records.
    Variant { magic: 0x1c00_01ac, name: "Ixia lcap (hardware)", unit: 1, file_header: 28, record_header: 16 },
    Variant { magic: 0x1c00_01ab, name: "Ixia lcap (software)", unit: 1_000, file_header: 28, record_header: 16 },
];

/// Parses the records of one pcap file.
pub(super) struct Parser {
    variant: &'static Variant,
    order: ByteOrder,
    /// The file header, once it is read.
    header: Option<FileHeader>,
}

/// The fields of the file header that apply to every record.
#[derive(Clone, Copy)]
struct FileHeader {
    link: LinkType,
    /// The file was written by a version before 2.4: captured and original length may be swapped.
    may_swap_lengths: bool,
}

impl Parser {
    /// The parser for a file that starts with `head`, if that is pcap.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let magic = *head.first_chunk::<4>()?;
        [ByteOrder::Little, ByteOrder::Big].into_iter().find_map(|order| {
            let variant = VARIANTS.iter().find(|variant| variant.magic == order.u32(magic))?;
            Some(Self { variant, order, header: None })
        })
    }

    /// Display name of the variant.
    pub(super) fn name(&self) -> &'static str {
        self.variant.name
    }

    /// Passes every complete record at the start of `bytes` to `sink`. Returns the number of bytes used, and why it stopped.
    pub(super) fn parse(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> (usize, ParseEnd) {
        let Some(header) = self.header else {
            return self.read_file_header(bytes, sink);
        };
        self.parse_records(bytes, header, sink)
    }

    /// Section 4 of the draft: magic, versions, two unused words, snap length, link type.
    fn read_file_header(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> (usize, ParseEnd) {
        let size = self.variant.file_header;
        let Some((&header, _)) = bytes.split_first_chunk::<24>().filter(|_| bytes.len() >= size) else {
            return (0, ParseEnd::NeedsBytes(size));
        };
        let [_, _, _, _, a, b, c, d, .., e, f, g, h] = header;
        let (major, minor) = (self.order.u16([a, b]), self.order.u16([c, d]));
        if major < 2 {
            return (0, ParseEnd::Broken(format!("pcap version {major}.{minor} does not exist")));
        }
        // The upper half holds the length of the frame check sequence, which counts as padding.
        let linktype = (self.order.u32([e, f, g, h]) & 0xffff) as u16;
        let header = FileHeader { link: LinkType::from_linktype(linktype), may_swap_lengths: major == 2 && minor < 4 };
        self.header = Some(header);
        sink.position.finish_record(size);
        let (used, stop) = self.parse_records(bytes.get(size..).unwrap_or_default(), header, sink);
        (size + used, stop)
    }

    /// Parses records in the byte order and version of the file.
    fn parse_records(&self, bytes: &[u8], header: FileHeader, sink: &mut Sink<'_>) -> (usize, ParseEnd) {
        // A specialised loop for nearly every capture, without tests of the byte order and the version for each record.
        match (self.order, header.may_swap_lengths) {
            (ByteOrder::Little, false) => self.parse_records_of(bytes, header.link, sink, u32::from_le_bytes, false),
            (ByteOrder::Little, true) => self.parse_records_of(bytes, header.link, sink, u32::from_le_bytes, true),
            (ByteOrder::Big, may_swap_lengths) => {
                self.parse_records_of(bytes, header.link, sink, u32::from_be_bytes, may_swap_lengths)
            }
        }
    }

    /// Section 5 of the draft: seconds, fraction, captured length, original length, the bytes. With `may_swap_lengths`, the
    /// smaller length is the captured one.
    fn parse_records_of(
        &self,
        bytes: &[u8],
        link: LinkType,
        sink: &mut Sink<'_>,
        number: impl Fn([u8; 4]) -> u32,
        may_swap_lengths: bool,
    ) -> (usize, ParseEnd) {
        let (header_size, unit) = (self.variant.record_header, i64::from(self.variant.unit));
        // A local copy, so that it stays in registers.
        let (mut rest, mut position) = (bytes, sink.position);
        let stop = loop {
            let Some(([s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, o0, o1, o2, o3], _)) = rest.split_first_chunk()
            else {
                break ParseEnd::NeedsBytes(header_size);
            };
            let mut captured = number([*c0, *c1, *c2, *c3]);
            let mut original = number([*o0, *o1, *o2, *o3]);
            if may_swap_lengths && captured > original {
                (captured, original) = (original, captured);
            }
            if captured > MAX_CAPTURED {
                break ParseEnd::Broken(format!(
                    "a record claims {captured} captured bytes; {MAX_CAPTURED} is the most"
                ));
            }
            let size = header_size + captured as usize;
            let Some(next) = rest.get(size..) else {
                break ParseEnd::NeedsBytes(size);
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
