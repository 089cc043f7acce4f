//! Errors for files that are no captures.

use super::*;
use crate::capture::Error;

/// The error for a file with these bytes.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let (_folder, paths) = folder(&[(name, bytes.to_vec())]);
    let error = open(&paths, &ReplaySettings::default()).err().expect(name);
    let Error::NotACapture { path, found } = error else { panic!("{error}") };
    assert_eq!(path, paths[0].display().to_string());
    found
}

#[test]
fn a_file_that_is_no_capture_is_identified() {
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let cases: &[(&[u8], &str)] = &[
        (b"", "it is empty"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG image; give a pcap or pcapng file"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"PK\x03\x04\x14\0", "a ZIP archive; unpack it first"),
        (&tar, "a tar archive; unpack it first"),
        (b"\x7fELF\x02\x01\x01\0", "an ELF program"),
        (b"snoop\0\0\0\0\0\0\x02", "a Solaris snoop capture; convert it with: editcap -F pcapng"),
        (b"GMBU\0\x02", "Microsoft Network Monitor 2 capture; convert it"),
        (b"[zones.lock]\nnetworks = []\n", "TOML text; a policy is given with --policy"),
        (b"# a policy\n\nschema = 1\n", "TOML text"),
        (b"{\"schema\":\"lockkeeper/alert/1\"}\n", "JSON text"),
        (b"[\n  {\"_index\": 1}\n]", "JSON text"),
        (b"[1, 2]", "JSON text"),
        (b"<?xml version=\"1.0\"?><pdml/>", "XML text"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        ("10:00:00 IP 10.0.0.1 > 10.0.0.2: p\u{e9}".as_bytes(), "text; what tcpdump or tshark print"),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07\x08", "the bytes 00 01 02 03 04 05 06 07, which no capture format does"),
    ];
    for (bytes, expected) in cases {
        let found = refusal("day.pcap", bytes);
        assert!(found.contains(expected), "{found:?} does not say {expected:?}");
    }
    let cut_character = [&[b'a'; 4095][..], "\u{e9}".as_bytes()].concat();
    assert!(refusal("day.pcap", &cut_character).contains("it is text"));
    assert!(refusal("trace.etl", &[0, 0, 1, 0, 9]).contains("etl2pcapng"));
}

#[test]
fn the_content_of_a_compressed_file_is_identified() {
    assert!(refusal("a.gz", &gzip(b"")).contains("inside the gzip stream, it is empty"));
    assert!(refusal("a.zst", &zstd(b"hello")).contains("inside the zstd stream, it is text"));
    let twice = gzip(&gzip(&pcap(ByteOrder::Little, MICROSECONDS, &samples())));
    assert!(refusal("a.gz", &twice).contains("inside the gzip stream, it is packed with gzip"));
    assert_eq!(refusal("a.gz", &gzip(b"hello")[..5]), "the gzip stream is cut off");
    assert!(refusal("a.gz", &[0x1f, 0x8b, 0x08, 0xff, 0xff]).contains("gzip stream"));
}

#[test]
fn a_missing_file_is_named_with_the_error_of_the_system() {
    let path = PathBuf::from("no/such/file.pcap");
    let error = open(&[path], &ReplaySettings::default()).err().unwrap();
    assert!(matches!(&error, Error::Io { .. }));
    assert!(error.to_string().starts_with("no/such/file.pcap: No such file"), "{error}");
}

#[test]
fn one_bad_file_among_good_ones_is_an_error() {
    let good = pcap(ByteOrder::Little, MICROSECONDS, &samples());
    let (_folder, paths) = folder(&[("a", good.clone()), ("b", vec![0xff, 0xd8, 0xff]), ("c", good)]);
    assert!(open(&paths, &ReplaySettings::default()).is_err());
}
