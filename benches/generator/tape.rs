//! Writes frames to a pcap file through a tap that may lose, swap and duplicate them.

use std::io::{self, BufWriter, Write};

use super::Settings;
use super::random::Random;

/// Impairments between the wire and the file, frames per thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Impairments {
    /// Lost.
    pub(crate) loss: u32,
    /// Swapped with the next frame.
    pub(crate) reorder: u32,
    /// Duplicated, as by a mirror port that copies both ends of a link.
    pub(crate) duplicates: u32,
    /// Datagrams in IP fragments.
    pub(crate) fragments: u32,
}

/// Counts of the written file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taped {
    /// Packets in the file.
    pub(crate) packets: u64,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Lost frames.
    pub(crate) lost: u64,
    /// Frames swapped with their successor.
    pub(crate) reordered: u64,
    /// Duplicates.
    pub(crate) doubled: u64,
    /// Fragments.
    pub(crate) fragments: u64,
}

/// The recorder.
pub(super) struct Tape<W: Write> {
    out: BufWriter<W>,
    frame: Vec<u8>,
    held: Vec<u8>,
    impairments: Impairments,
    offered: u64,
    time: u64,
    interval: u64,
    /// Nanoseconds of one unit of the file's time stamps.
    unit: u64,
    taped: Taped,
}

impl<W: Write> Tape<W> {
    pub(super) fn new(out: W, settings: &Settings) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(BUFFER, out);
        let magic: u32 = if settings.nanoseconds { 0xA1B2_3C4D } else { 0xA1B2_C3D4 };
        out.write_all(&magic.to_le_bytes())?;
        out.write_all(&[2, 0, 4, 0])?; // version 2.4
        out.write_all(&[0; 8])?; // time zone and accuracy, always 0
        out.write_all(&SNAP_LENGTH.to_le_bytes())?;
        out.write_all(&1_u32.to_le_bytes())?; // LINKTYPE_ETHERNET
        Ok(Self {
            out,
            frame: Vec::with_capacity(2_048),
            held: Vec::with_capacity(2_048),
            impairments: settings.impairments,
            offered: 0,
            time: START,
            interval: settings.interval,
            unit: if settings.nanoseconds { 1 } else { 1_000 },
            taped: Taped { bytes: FILE_HEADER, ..Taped::default() },
        })
    }

    /// The buffer of the next frame.
    pub(super) fn frame(&mut self) -> &mut Vec<u8> {
        &mut self.frame
    }

    /// Frames sent so far.
    pub(super) fn offered(&self) -> u64 {
        self.offered
    }

    /// Sends the frame in the buffer.
    pub(super) fn put(&mut self, random: &mut Random) -> io::Result<()> {
        self.offered += 1;
        self.time += self.interval;
        if random.per_thousand(self.impairments.loss) {
            self.taped.lost += 1;
            return Ok(());
        }
        if self.held.is_empty() && random.per_thousand(self.impairments.reorder) {
            std::mem::swap(&mut self.frame, &mut self.held);
            self.taped.reordered += 1;
            return Ok(());
        }
        let copies = 1 + u64::from(random.per_thousand(self.impairments.duplicates));
        self.taped.doubled += copies - 1;
        for _ in 0..copies {
            record(&mut self.out, self.time, self.unit, &self.frame, &mut self.taped)?;
        }
        self.release()
    }

    /// Sends the fragment in the buffer.
    pub(super) fn put_fragment(&mut self, random: &mut Random) -> io::Result<()> {
        self.taped.fragments += 1;
        self.put(random)
    }

    /// Writes the frame that is held back for a swap.
    pub(super) fn finish(mut self) -> io::Result<Taped> {
        self.release()?;
        self.out.flush()?;
        Ok(self.taped)
    }

    fn release(&mut self) -> io::Result<()> {
        if !self.held.is_empty() {
            record(&mut self.out, self.time, self.unit, &self.held, &mut self.taped)?;
            self.held.clear();
        }
        Ok(())
    }
}

/// One packet record: a header of 16 bytes, then the frame.
fn record(out: &mut impl Write, time: u64, unit: u64, frame: &[u8], taped: &mut Taped) -> io::Result<()> {
    let length = (frame.len() as u32).to_le_bytes();
    let mut header = [0; RECORD_HEADER];
    header[..4].copy_from_slice(&((time / 1_000_000_000) as u32).to_le_bytes());
    header[4..8].copy_from_slice(&((time % 1_000_000_000 / unit) as u32).to_le_bytes());
    header[8..12].copy_from_slice(&length);
    header[12..].copy_from_slice(&length);
    taped.packets += 1;
    taped.bytes += (RECORD_HEADER + frame.len()) as u64;
    out.write_all(&header)?;
    out.write_all(frame)
}

/// 2026-01-02T03:04:05Z, nanoseconds since 1970-01-01.
const START: u64 = 1_767_323_045_000_000_000;
const FILE_HEADER: u64 = 24;
const RECORD_HEADER: usize = 16;
const SNAP_LENGTH: u32 = 262_144;
const BUFFER: usize = 1 << 20;
