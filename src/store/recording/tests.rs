//! Recordings in a folder of a test.

use std::fs;
use std::path::Path;

use lockkeeper_protocols::Stamp;

use super::*;
use crate::capture::{self, Origin, ReplaySettings, Source};

/// A recorder of two interfaces.
fn recorder(folder: &Path, mebibytes: u64) -> Recorder {
    let interface = |name: &str| Interface { name: name.to_owned(), snap_length: 2048, counters: Arc::default() };
    let interfaces = vec![interface("east"), interface("west")];
    let settings = Settings { folder: folder.to_owned(), bytes: mebibytes << 20, file_bytes: 1 << 20, interfaces };
    Recorder::prepare(settings).and_then(Prepared::start).expect("a folder")
}

/// Packets of 1000 bytes, from this number on: one each millisecond, from each interface in turn.
fn block(first: u64, count: u64) -> Block {
    let mut block = Block::default();
    for number in first..first + count {
        let offset = block.bytes.len() as u32;
        block.bytes.resize(block.bytes.len() + 1000, number as u8);
        let time = number as i64 * 1_000_000;
        let origin = Origin { capture: (number % 2) as u16, number: number + 1 }.word();
        block.packets.push(Packet {
            stamp: Stamp { time, clock: time, packet: number, origin },
            link: LinkType::Ethernet,
            offset,
            captured: 1000,
            original: 1400,
        });
    }
    block
}

fn record(recorder: &mut Recorder, numbers: std::ops::Range<u64>) {
    for first in numbers.clone().step_by(100) {
        let block = block(first, 100.min(numbers.end - first));
        recorder.take_block(&block);
        recorder.end_block(block.clock_after(i64::MIN));
    }
}

/// Names and sizes of the files, in the order of the names.
fn files(folder: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let named = |entry: fs::DirEntry| {
        (entry.file_name().into_string().expect("UTF-8"), entry.metadata().expect("a file").len())
    };
    let mut files: Vec<_> = entries.map(named).collect();
    files.sort();
    files
}

/// The numbers of the packets that a replay of the folder finds, by their times.
fn found(folder: &Path) -> Vec<u64> {
    let mut source = capture::open(&[folder.to_owned()], &ReplaySettings::default()).expect("captures");
    let (mut block, mut numbers) = (Block::default(), Vec::new());
    while source.fill(&mut block).expect("readable") {
        for packet in &block.packets {
            let number = packet.stamp.time as u64 / 1_000_000;
            assert!(block.bytes_of(packet).iter().all(|byte| *byte == number as u8), "its own bytes");
            assert_eq!((packet.original, packet.link), (1400, LinkType::Ethernet));
            numbers.push(number);
        }
    }
    assert!(source.captures().iter().all(|capture| capture.cut.is_none()), "every file is whole");
    numbers
}

#[test]
fn captured_packets_are_on_disk_and_the_oldest_file_is_deleted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut one = recorder(folder.path(), 3);
    record(&mut one, 0..5000);
    one.finish().expect("written");
    let (names, found) = (files(folder.path()), found(folder.path()));
    assert!(names.len() == 3 && names.iter().all(|(_, size)| *size <= 1 << 20), "{names:?}");
    assert!(
        found.len() > 2000 && found.iter().eq(&(5000 - found.len() as u64..5000).collect::<Vec<_>>()),
        "the latest"
    );
    assert_eq!((one.counters().dropped, one.status().files), (0, 3));
    assert_eq!(one.status().oldest.as_ref(), names.first().map(|(name, _)| name));

    let mut again = recorder(folder.path(), 3);
    record(&mut again, 5000..5100);
    again.finish().expect("written");
    let after = files(folder.path());
    assert_eq!(after.len(), 3, "a new file, and the oldest has gone: {after:?}");
    assert_eq!(&after[..2], &names[1..], "the others are as they were");
}

#[test]
fn a_file_can_be_read_while_it_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut recorder = recorder(folder.path(), 3);
    record(&mut recorder, 0..10);
    recorder.end_block(1_000_000_000);
    let deadline = crate::clock::now() + 30_000_000_000;
    while files(folder.path()).is_empty() || found(folder.path()).len() < 10 {
        assert!(crate::clock::now() < deadline, "not written: {:?}", files(folder.path()));
        thread::yield_now();
    }
    recorder.finish().expect("written");
}

#[test]
fn packets_wait_for_a_failing_disk_and_are_counted_when_they_are_dropped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("packets");
    let mut broken = recorder(&path, 64);
    fs::remove_dir(&path).and_then(|()| fs::write(&path, "in the way")).expect("in the way");
    record(&mut broken, 0..40_000);
    let most = (CHUNKS * CHUNK_BYTES / 1032) as u64;
    let waiting = 40_000 - broken.counters().dropped;
    assert!((most - 1000..=most).contains(&waiting), "{waiting} wait, of {most} that can");
    let deadline = crate::clock::now() + 30_000_000_000;
    while broken.fault().is_none() {
        assert!(crate::clock::now() < deadline, "no fault is reported");
        broken.end_block(0);
    }
    assert_eq!(broken.fault().map(|fault| fault.what), Some("recording.failed"));
    fs::remove_file(&path).expect("out of the way");
    broken.finish().expect("written at last");
    assert_eq!(found(&path).len() as u64 + broken.counters().dropped, 40_000);

    fs::remove_dir_all(&path).expect("removed");
    let mut broken = recorder(&path, 64);
    fs::remove_dir(&path).and_then(|()| fs::write(&path, "in the way")).expect("in the way");
    record(&mut broken, 0..500);
    assert!(broken.finish().expect_err("never written").to_string().starts_with("recording "));
    assert_eq!(broken.counters().dropped, 500);
}

#[test]
fn a_folder_that_was_removed_is_created_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("packets");
    let mut recorder = recorder(&path, 64);
    record(&mut recorder, 0..300);
    let deadline = crate::clock::now() + 30_000_000_000;
    while recorder.status().files == 0 {
        assert!(crate::clock::now() < deadline, "nothing is written");
        recorder.end_block(i64::MAX);
    }
    fs::remove_dir_all(&path).expect("removed");
    record(&mut recorder, 300..600);
    recorder.finish().expect("written");
    let found = found(&path);
    assert!(found.ends_with(&(500..600).collect::<Vec<_>>()), "{found:?}");
    assert_eq!(recorder.counters().dropped, 0);
}

#[test]
fn a_file_ends_with_what_each_interface_lost() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut recorder = recorder(folder.path(), 3);
    record(&mut recorder, 0..100);
    recorder.finish().expect("written");
    let (name, _) = files(folder.path()).remove(0);
    let content = fs::read(folder.path().join(name)).expect("a file");
    let statistics = content.len() - 2 * 100;
    // Section 4.6: an interface statistics block is of type 5; its last option here is 8, packets delivered.
    assert_eq!(content[statistics..statistics + 12], [5, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(content[statistics + 80..statistics + 92], [8, 0, 8, 0, 50, 0, 0, 0, 0, 0, 0, 0]);
}
