//! Tests of this stage, with shared fixtures: five packets, and captures of them in every format.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its ground is missing")]

mod corpus;
mod cuts;
mod formats;
mod paths;
mod refusals;

use std::io::{Cursor, Write};
use std::path::PathBuf;

use super::input::Input;
use super::reader::Reader;
use super::records::ByteOrder;
use super::{Block, Capture, Packet, Replay, ReplaySettings, Source, open};

/// A packet with its bytes.
type Read = (Packet, Vec<u8>);

/// Time in microseconds, bytes, length on the wire.
type Sample = (u64, Vec<u8>, u32);

/// Five packets: whole, cut by a snap length, empty, earlier than the one before, large.
fn samples() -> Vec<Sample> {
    vec![
        (1_700_000_000_000_001, vec![0x01; 60], 60),
        (1_700_000_000_500_000, vec![0x02; 33], 1514),
        (1_700_000_001_000_000, vec![], 64),
        (1_699_999_999_999_999, vec![0x04; 61], 61),
        (1_700_000_002_000_000, (0..=255).cycle().take(1500).collect(), 1500),
    ]
}

/// Writes numbers in one byte order.
#[derive(Clone)]
struct Writer {
    order: ByteOrder,
    bytes: Vec<u8>,
}

impl Writer {
    fn new(order: ByteOrder) -> Self {
        Self { order, bytes: Vec::new() }
    }

    fn u16(mut self, number: u16) -> Self {
        let bytes = if self.order == ByteOrder::Big { number.to_be_bytes() } else { number.to_le_bytes() };
        self.bytes.extend(bytes);
        self
    }

    fn u32(mut self, number: u32) -> Self {
        let bytes = if self.order == ByteOrder::Big { number.to_be_bytes() } else { number.to_le_bytes() };
        self.bytes.extend(bytes);
        self
    }

    fn u64(mut self, number: u64) -> Self {
        let bytes = if self.order == ByteOrder::Big { number.to_be_bytes() } else { number.to_le_bytes() };
        self.bytes.extend(bytes);
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    fn padded(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// A pcapng block around `body`.
    fn block(self, kind: u32, body: impl FnOnce(Self) -> Self) -> Self {
        let body = body(Self::new(self.order)).bytes;
        let size = 12 + body.len() as u32;
        self.u32(kind).u32(size).raw(&body).u32(size)
    }

    fn section(self) -> Self {
        self.block(0x0a0d_0d0a, |body| body.u32(0x1a2b_3c4d).u16(1).u16(0).u64(u64::MAX))
    }

    fn interface(self, linktype: u16, options: &[(u16, &[u8])]) -> Self {
        self.block(1, |body| {
            let body = body.u16(linktype).u16(0).u32(262_144);
            options.iter().fold(body, |body, (code, value)| body.u16(*code).u16(value.len() as u16).padded(value))
        })
    }

    fn enhanced(self, interface: u32, units: u64, bytes: &[u8], original: u32) -> Self {
        self.block(6, |body| {
            let body = body.u32(interface).u32((units >> 32) as u32).u32(units as u32);
            body.u32(bytes.len() as u32).u32(original).padded(bytes)
        })
    }
}

/// The samples as pcap: times are multiplied for the unit of the magic number.
fn pcap(order: ByteOrder, magic: u32, samples: &[Sample]) -> Vec<u8> {
    let unit = if magic == 0xa1b2_3c4d { 1000 } else { 1 };
    let head = Writer::new(order).u32(magic).u16(2).u16(4).u32(0).u32(0).u32(262_144).u32(1);
    let all = samples.iter().fold(head, |file, (time, bytes, original)| {
        let file = file.u32((time / 1_000_000) as u32).u32((time % 1_000_000) as u32 * unit);
        file.u32(bytes.len() as u32).u32(*original).raw(bytes)
    });
    all.bytes
}

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;

/// The samples as one pcapng section with one interface.
fn pcapng(order: ByteOrder, samples: &[Sample]) -> Vec<u8> {
    let head = Writer::new(order).section().interface(1, &[]);
    samples.iter().fold(head, |file, (time, bytes, original)| file.enhanced(0, *time, bytes, *original)).bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// Reads a capture from memory in blocks of `size` bytes; `None` if it is no capture.
fn read_in_blocks(bytes: &[u8], size: usize) -> Option<(Vec<Read>, Capture)> {
    let input = Input::new(Cursor::new(bytes.to_vec()), &Default::default()).unwrap();
    let mut reader = Reader::new(input, 0).ok()?;
    let mut capture =
        Capture { name: "-".to_owned(), format: reader.format(), packets: 0, dropped_at_capture: 0, cut: None };
    let (mut block, mut all) = (Block::default(), Vec::new());
    while reader.fill(&mut block, size, &mut capture) {
        all.extend(contents(&block));
    }
    assert!(!reader.fill(&mut block, size, &mut capture), "the end stays the end");
    assert_eq!(capture.packets, all.len() as u64);
    Some((all, capture))
}

/// Reads a capture with several block sizes, which must not change the result.
fn read(bytes: &[u8]) -> (Vec<Read>, Capture) {
    let (packets, capture) = read_in_blocks(bytes, 512 * 1024).expect("a capture");
    for size in [1, 100, 1000] {
        let (others, other) = read_in_blocks(bytes, size).expect("a capture");
        assert_eq!(without_place(&others), without_place(&packets), "blocks of {size} bytes");
        assert_eq!(other, capture, "blocks of {size} bytes");
    }
    (packets, capture)
}

/// Packets with their bytes, without their offsets in the block.
fn without_place(packets: &[Read]) -> Vec<Read> {
    packets.iter().map(|(packet, bytes)| (Packet { offset: 0, ..*packet }, bytes.clone())).collect()
}

fn contents(block: &Block) -> impl Iterator<Item = Read> {
    block.packets.iter().map(|packet| {
        let bytes = block.bytes_of(packet).to_vec();
        assert_eq!(bytes.len(), packet.captured as usize);
        (*packet, bytes)
    })
}

/// Reads all packets of a replay into one reused block, like the pipeline.
fn drain(replay: &mut Replay) -> Vec<Read> {
    let (mut block, mut all) = (Block::default(), Vec::new());
    while replay.fill(&mut block).unwrap() {
        assert!(!block.packets.is_empty());
        all.extend(contents(&block));
        block.clear();
    }
    assert!(block.packets.is_empty());
    without_place(&all)
}

fn replay(paths: &[PathBuf]) -> (Vec<Read>, Replay) {
    let mut replay = open(paths, &ReplaySettings::default()).unwrap();
    let packets = drain(&mut replay);
    (packets, replay)
}

/// A folder with these files.
fn folder(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |(name, bytes): &(&str, Vec<u8>)| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let paths = files.iter().map(write).collect();
    (folder, paths)
}
