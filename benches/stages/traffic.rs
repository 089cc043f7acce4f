//! Generated traffic in memory, decoded up to the layer that a stage needs.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use hashbrown::HashMap;
use lockkeeper::capture::{Block, Packet, ReplaySettings, Source, open};
use lockkeeper::flow::{End, FlowKey};
use lockkeeper::frame::{self, Body, Frame};
use lockkeeper_protocols::{Side, Stamp};

use crate::generator::{Settings, generate};

/// A capture in memory.
pub(crate) struct Traffic {
    blocks: Vec<Block>,
}

/// One packet, with the conversation that it belongs to.
pub(crate) struct Heard<'a> {
    /// Number of the conversation, from 0.
    pub(crate) flow: usize,
    pub(crate) key: FlowKey,
    pub(crate) from: End,
    /// The sending side; the client sent the first packet.
    pub(crate) side: Side,
    pub(crate) frame: Frame<'a>,
    pub(crate) stamp: Stamp,
}

impl Traffic {
    /// Generates a capture and reads it.
    pub(crate) fn generated(settings: &Settings, folder: &Path) -> Result<Self, Box<dyn Error>> {
        let path = folder.join("traffic.pcap");
        generate(settings, File::create(&path)?)?;
        let mut source = open(&[path], &ReplaySettings::default())?;
        let mut blocks = Vec::new();
        loop {
            let mut block = Block::default();
            if !source.fill(&mut block)? {
                return Ok(Self { blocks });
            }
            blocks.push(block);
        }
    }

    /// Number of packets.
    pub(crate) fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.packets.len()).sum()
    }

    /// Every packet with its bytes.
    pub(crate) fn packets(&self) -> impl Iterator<Item = (&Packet, &[u8])> {
        self.blocks.iter().flat_map(|block| block.packets.iter().map(|packet| (packet, block.bytes_of(packet))))
    }

    /// Every packet of a conversation, decoded.
    pub(crate) fn heard(&self) -> Vec<Heard<'_>> {
        let mut known: HashMap<String, (usize, End)> = HashMap::new();
        let heard = self.packets().filter_map(|(packet, bytes)| {
            let frame = frame::decode(packet.link, bytes, packet.original).ok()?;
            let (key, from) = FlowKey::of(&frame)?;
            let next = known.len();
            let (flow, client) = *known.entry(format!("{key:?}")).or_insert((next, from));
            let side = if from == client { Side::Client } else { Side::Server };
            let stamp = packet.stamp;
            Some(Heard { flow, key, from, side, frame, stamp })
        });
        heard.collect()
    }
}

impl<'a> Heard<'a> {
    /// Payload of the transport.
    pub(crate) fn payload(&self) -> &'a [u8] {
        match self.frame.body {
            Body::Tcp(_, segment) => segment.payload,
            Body::Udp(_, datagram) => datagram.payload,
            Body::Ip(..) | Body::Link { .. } => &[],
        }
    }
}

/// Number of conversations.
pub(crate) fn flows(heard: &[Heard<'_>]) -> usize {
    heard.iter().map(|one| one.flow + 1).max().unwrap_or(0)
}

/// The first packet of each conversation.
pub(crate) fn first_of_each<'h, 'a>(heard: &'h [Heard<'a>]) -> Vec<&'h Heard<'a>> {
    let mut first: Vec<&Heard<'_>> = Vec::new();
    for one in heard {
        if one.flow == first.len() {
            first.push(one);
        }
    }
    first
}

/// Writes a capture of packets of the largest Ethernet size, to time reading alone.
pub(crate) fn write_long(path: &Path, packets: usize) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for word in [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.write_all(&word.to_le_bytes())?;
    }
    for number in 0..packets as u32 {
        for word in [number / 10_000, number % 10_000 * 100, LONG as u32, LONG as u32] {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(&[0x2A; LONG])?;
    }
    file.flush()
}

/// Header and payload of Ethernet without a tag (IEEE 802.3).
pub(crate) const LONG: usize = 1_514;
