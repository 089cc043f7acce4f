//! Files, folders, and several captures.

use proptest::prelude::*;

use super::*;
use crate::capture::Error;

/// A capture with packets at these microseconds, each holding its capture's letter and its own number.
fn at(letter: u8, times: &[u64]) -> Vec<u8> {
    let samples: Vec<Sample> = (1u8..).zip(times).map(|(number, &time)| (time, vec![letter, number], 2)).collect();
    pcap(ByteOrder::Little, MICROSECONDS, &samples)
}

/// The bytes of all packets as text: `a1 b1 a2`.
fn told(packets: &[Read]) -> String {
    let words: Vec<String> = packets.iter().map(|(_, bytes)| format!("{}{}", bytes[0] as char, bytes[1])).collect();
    words.join(" ")
}

#[test]
fn one_file_is_read_from_disk_as_from_memory() {
    let file = pcap(ByteOrder::Little, MICROSECONDS, &samples());
    let (_folder, paths) = folder(&[("day.pcap", file.clone())]);
    let (packets, replay) = replay(&paths);
    assert_eq!(packets, without_place(&read(&file).0));
    assert_eq!(replay.captures()[0].name, paths[0].display().to_string());
    assert_eq!(replay.captures()[0].packets, 5);
    assert_eq!(replay.progress(), (file.len() as u64, Some(file.len() as u64)));
}

#[test]
fn several_captures_are_merged_by_time_and_ties_go_to_the_first_given() {
    let (_folder, paths) = folder(&[
        ("a", at(b'a', &[10, 20, 30, 40])),
        ("b", gzip(&at(b'b', &[20, 20, 35]))),
        ("c", zstd(&at(b'c', &[5, 50]))),
        ("d", at(b'd', &[])),
    ]);
    let (packets, replay) = replay(&paths);
    assert_eq!(told(&packets), "c1 a1 a2 b1 b2 a3 b3 a4 c2");
    let sequences: Vec<u64> = packets.iter().map(|(packet, _)| packet.stamp.packet).collect();
    assert_eq!(sequences, (0..9).collect::<Vec<_>>());
    let captures: Vec<u16> = packets.iter().map(|(packet, _)| packet.origin().capture).collect();
    assert_eq!(captures, [2, 0, 0, 1, 1, 0, 1, 0, 2]);
    let counts: Vec<u64> = replay.captures().iter().map(|capture| capture.packets).collect();
    assert_eq!(counts, [4, 3, 2, 0]);
    let sizes: u64 = paths.iter().map(|path| std::fs::metadata(path).unwrap().len()).sum();
    assert_eq!(replay.progress(), (sizes, Some(sizes)));
}

#[test]
fn a_capture_keeps_its_own_order_when_merged() {
    let (_folder, paths) = folder(&[("a", at(b'a', &[30, 10, 40])), ("b", at(b'b', &[20, 35]))]);
    let (packets, _) = replay(&paths);
    assert_eq!(told(&packets), "b1 a1 a2 b2 a3");
    let clocks: Vec<i64> = packets.iter().map(|(packet, _)| packet.stamp.clock / 1000).collect();
    assert_eq!(clocks, [20, 30, 30, 35, 40]);
}

#[test]
fn hundreds_of_captures_are_merged_whatever_the_size_of_blocks() {
    let files: Vec<(String, Vec<u8>)> = (0..300u64)
        .map(|index| (format!("{index:03}"), at(b'x', &[index * 10, index * 10 + 1, 5_000 - index])))
        .collect();
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let (folder, paths) = folder(&files);
    let (packets, _) = replay(&paths);
    assert_eq!(packets.len(), 900);
    let settings = ReplaySettings { block_size: 7, merge_size: 1 };
    let mut small = open(&[folder.path().to_owned()], &settings).unwrap();
    assert_eq!(drain(&mut small), packets);
}

#[test]
fn a_cut_capture_does_not_end_the_others() {
    let mut cut = at(b'a', &[10, 20]);
    cut.pop();
    let (_folder, paths) = folder(&[("a", cut), ("b", at(b'b', &[15, 25]))]);
    let (packets, replay) = replay(&paths);
    assert_eq!(told(&packets), "a1 b1 b2");
    assert_eq!(replay.captures()[0].cut.as_ref().unwrap().offset, 24 + 18);
    assert_eq!(replay.captures()[1].cut, None);
}

#[test]
fn a_folder_stands_for_its_captures_by_name() {
    let (folder, _) = folder(&[
        ("2.pcap", at(b'b', &[1])),
        ("1.anything", zstd(&at(b'a', &[1]))),
        ("notes.txt", b"the pumps were off".to_vec()),
        ("empty.pcap", vec![]),
    ]);
    std::fs::create_dir(folder.path().join("0")).unwrap();
    let (packets, replay) = replay(&[folder.path().to_owned()]);
    assert_eq!(told(&packets), "a1 b1");
    let [empty, notes] = replay.skipped() else { panic!("{:?}", replay.skipped()) };
    assert!(empty.contains("empty.pcap: not a capture file: it is empty"), "{empty}");
    assert!(notes.contains("notes.txt: not a capture file: it is text"), "{notes}");
}

#[test]
fn a_folder_without_captures_is_an_error() {
    let (folder, _) = folder(&[("notes.txt", b"the pumps were off".to_vec())]);
    let error = open(&[folder.path().to_owned()], &ReplaySettings::default()).err().unwrap();
    assert!(matches!(error, Error::NotACapture { .. }));
    assert!(error.to_string().contains("a folder of 1 files, none of them a capture"), "{error}");
}

/// A pipe in `folder` that delivers these bytes once.
fn pipe(folder: &std::path::Path, bytes: Vec<u8>) -> PathBuf {
    let path = folder.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let writer = path.clone();
    std::thread::spawn(move || std::fs::write(writer, bytes));
    path
}

#[test]
fn a_pipe_is_read_once_and_its_size_is_unknown() {
    let file = at(b'p', &[10, 30]);
    let (folder, paths) = folder(&[("a", at(b'a', &[20]))]);
    let (packets, alone) = replay(&[pipe(folder.path(), zstd(&file))]);
    assert_eq!((told(&packets).as_str(), alone.progress()), ("p1 p2", (zstd(&file).len() as u64, None)));

    std::fs::remove_file(folder.path().join("pipe")).unwrap();
    let (packets, merged) = replay(&[pipe(folder.path(), file), paths[0].clone()]);
    assert_eq!((told(&packets).as_str(), merged.progress().1), ("p1 a1 p2", None));
}

#[test]
fn a_capture_that_is_gone_when_its_turn_comes_is_a_cut() {
    let (_folder, paths) = folder(&[("a", at(b'a', &[10])), ("b", at(b'b', &[20]))]);
    let mut replay = open(&paths, &ReplaySettings::default()).unwrap();
    std::fs::remove_file(&paths[1]).unwrap();
    assert_eq!(told(&drain(&mut replay)), "a1");
    let gone = &replay.captures()[1];
    assert!(gone.cut.as_ref().unwrap().reason.contains("cannot be opened a second time"), "{gone:?}");
    assert_eq!(gone.packets, 0);
}

#[test]
fn no_paths_are_no_packets() {
    assert!(replay(&[]).0.is_empty());
}

#[test]
fn a_block_is_not_zeroed_again() {
    let (_folder, paths) = folder(&[("a", at(b'a', &[1]))]);
    let mut replay = open(&paths, &ReplaySettings::default()).unwrap();
    let mut block = Block::default();
    assert!(replay.fill(&mut block).unwrap());
    let size = block.bytes.len();
    block.clear();
    assert_eq!((block.bytes.len(), block.packets.len()), (size, 0));
    assert!(size >= ReplaySettings::default().block_size);
}

#[test]
fn bytes_lie_in_pages_of_memory_as_in_those_of_the_file() {
    let samples: Vec<Sample> = (0..1_000).map(|time| (time, vec![7; 1 + time as usize % 5], 5)).collect();
    let (_folder, paths) = folder(&[("a", pcap(ByteOrder::Little, MICROSECONDS, &samples))]);
    let file = std::fs::read(&paths[0]).unwrap();
    let mut replay = open(&paths, &ReplaySettings { block_size: 4096, merge_size: 1 }).unwrap();
    let (mut block, mut record, mut blocks) = (Block::default(), 24, 0);
    while replay.fill(&mut block).unwrap() {
        blocks += 1;
        for packet in &block.packets {
            let bytes = block.bytes_of(packet);
            assert_eq!(bytes, &file[record + 16..][..bytes.len()], "behind the header of its record");
            assert_eq!(bytes.as_ptr().addr() % 4096, (record + 16) % 4096, "block {blocks}");
            record += 16 + bytes.len();
        }
    }
    assert!(blocks > 3 && record == file.len(), "{blocks}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_merge_is_a_stable_sort_of_captures_that_are_sorted(
        mut times in proptest::collection::vec(proptest::collection::vec(0u64..40, 0..12), 2..6),
        block_size in 1usize..64,
    ) {
        times.iter_mut().for_each(|times| times.sort());
        let files: Vec<(String, Vec<u8>)> =
            (b'a'..).zip(&times).map(|(letter, times)| ((letter as char).to_string(), at(letter, times))).collect();
        let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
        let (_folder, paths) = folder(&files);
        let packets = drain(&mut open(&paths, &ReplaySettings { block_size, merge_size: 20 }).unwrap());
        let key = |(packet, _): &Read| (packet.stamp.time, packet.origin().capture, packet.origin().number);
        prop_assert!(packets.is_sorted_by_key(key));
        prop_assert_eq!(packets.len(), times.iter().map(Vec::len).sum::<usize>());
    }
}
