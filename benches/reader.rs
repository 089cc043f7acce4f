//! What reading a capture costs: the floor (bytes into a buffer, nothing else) beside the whole reader, by block size.
//!
//! `cargo bench --bench reader` writes a pcap file of 200 MB with small packets and one with large packets into the
//! temporary folder, reads each several times from the page cache, and prints the median in nanoseconds per packet.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use lockkeeper::capture::{Block, ReplaySettings, Source, open};

/// Bytes of one generated file.
const FILE_SIZE: usize = 200_000_000;

/// Times that each file is read with each block size.
const ROUNDS: usize = 5;

const KIB: usize = 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut out = std::io::stderr();
    for packet_size in [76, 1400] {
        let path = folder.path().join(format!("{packet_size}.pcap"));
        let packets = generate(&path, packet_size)?;
        writeln!(out, "{packets} packets of {packet_size} bytes")?;
        writeln!(out, "{:>10} {:>14} {:>14} {:>14}", "block", "read() ns", "reader ns", "merged ns")?;
        for block_size in [32 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, 1024 * KIB, 4096 * KIB] {
            let floor = median(packets, || read_only(&path, block_size))?;
            let whole = median(packets, || replay(std::slice::from_ref(&path), block_size))?;
            let two = median(2 * packets, || replay(&[path.clone(), path.clone()], block_size))?;
            writeln!(out, "{:>6} KiB {floor:>14.1} {whole:>14.1} {two:>14.1}", block_size / KIB)?;
        }
    }
    Ok(())
}

/// Writes a little-endian pcap file, returns the number of its packets.
fn generate(path: &Path, packet_size: usize) -> Result<usize, Box<dyn Error>> {
    let mut file = BufWriter::with_capacity(KIB * KIB, File::create(path)?);
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.write_all(&word.to_le_bytes())?;
    }
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(packet_size).collect();
    let packets = FILE_SIZE / (16 + packet_size);
    for number in 0..packets as u32 {
        for word in [number / 10_000, number % 10_000 * 100, packet_size as u32, packet_size as u32] {
            file.write_all(&word.to_le_bytes())?;
        }
        file.write_all(&bytes)?;
    }
    file.flush()?;
    Ok(packets)
}

/// The floor: all bytes of the file into one buffer, again and again.
fn read_only(path: &Path, size: usize) -> Result<u64, Box<dyn Error>> {
    let (mut file, mut buffer, mut total) = (File::open(path)?, vec![0; size], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(total),
            count => total += count as u64,
        }
    }
}

/// What the pipeline gets: every packet, its length looked at.
fn replay(paths: &[PathBuf], block_size: usize) -> Result<u64, Box<dyn Error>> {
    let mut source = open(paths, &ReplaySettings { block_size, ..ReplaySettings::default() })?;
    let (mut block, mut total) = (Block::default(), 0);
    while source.fill(&mut block)? {
        total += block.packets.iter().map(|packet| u64::from(packet.captured)).sum::<u64>();
    }
    Ok(total)
}

/// Median over the rounds, in nanoseconds per packet.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn median(packets: usize, mut run: impl FnMut() -> Result<u64, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        std::hint::black_box(run()?);
        rounds.push(start.elapsed().as_nanos() as f64 / packets as f64);
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds.get(ROUNDS / 2).copied().unwrap_or_default())
}
