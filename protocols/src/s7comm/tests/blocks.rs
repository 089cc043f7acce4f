//! Uploads and downloads, in both directions.

use super::*;

#[test]
fn an_upload_names_its_block_in_every_step() {
    // 0x1D, status, two bytes, id 0, length 9, name; the answer holds the id 7 and the length of the block.
    let start = job(1, b"\x1D\0\0\0\0\0\0\0\x09_0A00042A", &[]);
    let started = ack_data(1, b"\x1D\0\x01\0\0\0\0\x07\x070000216", &[]);
    let piece = ack_data(2, &[0x1E, 0], &[0, 2, 0, 0xFB, 0x70, 0x70]);
    let log = decode_conversation(&[
        (Client, start),
        (Server, started),
        (Client, job(2, &[0x1E, 0, 0, 0, 0, 0, 0, 7], &[])),
        (Server, piece),
        (Client, job(3, &[0x1F, 0, 0, 0, 0, 0, 0, 7], &[])),
        (Server, ack_data(3, &[0x1F], &[])),
    ]);
    assert_eq!(
        reported(&log, "asks"),
        [
            "0.0 program-upload start_upload 29 block=DB number=42 = 0x5f3041303030343241",
            "1.0 program-upload upload 30 block=DB number=42",
            "2.0 program-upload end_upload 31 block=DB number=42",
        ]
    );
    assert!(reported(&log, "accepted")[1].ends_with("block=DB number=42 = 0x7070"), "{:?}", log.lines);
}

#[test]
fn a_download_that_the_controller_drives_is_the_clients() {
    let name = b"\0\0\0\0\0\0\0\x09_0800001P";
    let step = |code: u8, rest: &[u8]| [&[code], name.as_slice(), rest].concat();
    let log = decode_conversation(&[
        (Client, job(1, &step(0x1A, b"\x0D1000094000022"), &[])),
        (Server, ack_data(1, &[0x1A], &[])),
        (Server, job(0xC1, &step(0x1B, b""), &[])),
        (Client, ack_data(0xC1, &[0x1B, 0], &[0, 2, 0, 0xFB, 0x70, 0x70])),
        (Server, job(0xC2, &step(0x1C, b""), &[])),
        (Client, ack_data(0xC2, &[0x1C], &[])),
    ]);
    let asked = reported(&log, "asks");
    assert!(asked[0].starts_with("0.0 program request_download 26 block=OB number=1"), "{asked:?}");
    assert!(asked[1].starts_with("1.0 program download_block 27 block=OB number=1"), "{asked:?}");
    assert!(asked[2].starts_with("2.0 program download_ended 28 block=OB number=1"), "{asked:?}");
    assert_eq!(reported(&log, "accepted").len(), 3);
    assert!(reported(&log, "accepted")[1].ends_with("= 0x7070"), "what was loaded");
    assert!(log.lines_of("Malformed").is_empty() && log.lines_of("Unmatched").is_empty(), "{:?}", log.lines);
}

#[test]
fn a_path_of_a_numerical_control_is_no_block_and_still_a_download() {
    let log = decode_conversation(&[(Client, job(1, b"\x1A\0\0\0\0\0\0\0\x0B/_N_MPF_DIR", &[]))]);
    assert_eq!(reported(&log, "asks"), ["0.0 program request_download 26 = 0x2f5f4e5f4d50465f444952"]);
}
