use aes::{Aes128, Aes256};
use cbc::Encryptor;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use lockkeeper_protocols::{Keys, Sealed, Side};

use super::{KeyCounters, KeyLog, KeyName, KeyRing};

const LOG: &str = "\
# of a recording
client_iv_7_1: 000102030405060708090A0B0C0D0E0F
client_key_7_1: 101112131415161718191a1b1c1d1e1f
client_siglen_7_1: 32

server_iv_7_1: 202122232425262728292A2B2C2D2E2F
server_key_7_1: 303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F
server_siglen_7_1: 32\r
";

/// Sequence number 5, request 2, a body of six bytes.
const CONTENT: &[u8] = &[5, 0, 0, 0, 2, 0, 0, 0, b'b', b'o', b'd', b'y', b'.', b'.'];

#[test]
fn a_log_has_keys_by_channel_token_and_side() {
    let log = KeyLog::parse(LOG.as_bytes()).expect("a key log");
    let names: Vec<_> = log.keys.iter().map(|(name, _)| *name).collect();
    let name = |is_client| KeyName { channel: 7, token: 1, is_client };
    assert_eq!(names, [name(true), name(false)]);
    assert_eq!(log.keys.iter().map(|(_, key)| key.key.len()).collect::<Vec<_>>(), [16, 32]);
    assert_eq!(log.keys[1].1.vector[0], 0x20);
}

#[test]
fn a_line_that_is_wrong_is_named_by_its_number_and_no_key_is_in_the_message() {
    for (line, text, what) in [
        (2, "# fine\nclient_key_7_1 1011", "without a colon"),
        (1, "klient_key_7_1: 10", "no name of a key"),
        (1, "client_key_7: 10", "no name of a key"),
        (1, "client_key_7_1_1: 10", "no name of a key"),
        (1, "client_key_7_-1: 10", "no name of a key"),
        (1, "client_mac_7_1: 10", "no name of a key"),
        (1, "client_key_7_1: 1", "hexadecimal"),
        (1, "client_key_7_1: 1g", "hexadecimal"),
        (1, "client_key_7_1: 1011", "2 bytes"),
        (1, "client_iv_7_1: 101112", "3 bytes"),
        (1, "client_siglen_7_1: 0", "from 1 to 64"),
        (1, "client_siglen_7_1: many", "from 1 to 64"),
        (2, "client_siglen_7_1: 32\nclient_siglen_7_1: 32", "the same line again"),
        (3, "\n\nserver_siglen_9_4: 32\n", "no server_key_9_4 and no server_iv_9_4"),
    ] {
        let wrong = KeyLog::parse(text.as_bytes()).expect_err(text);
        assert_eq!(wrong.number, line, "{text}: {wrong}");
        assert!(wrong.reason.contains(what), "{text}: {wrong}");
        assert!(!wrong.reason.contains("1011"), "{wrong}");
    }
    assert_eq!(KeyLog::parse(b"\n\xFF\xFE").expect_err("no text").number, 2);
    let many: String = (0..300).map(|channel| format!("client_siglen_{channel}_1: 32\n")).collect();
    assert!(KeyLog::parse(many.as_bytes()).expect_err("too many").reason.contains("256"));
}

#[test]
fn a_chunk_of_either_length_of_key_is_opened_without_padding_and_signature() {
    let ring = ring();
    for (from, suite) in [(Side::Client, "Aes128_Sha256_RsaOaep"), (Side::Server, "Basic256Sha256")] {
        // Bodies longer by 0 to 15 bytes cover padding of every length.
        for more in 0..16 {
            let content = [CONTENT, &vec![b'.'; more]].concat();
            let text = seal(from, &content);
            let mut clear = b"kept".to_vec();
            assert!(ring.open(&sealed(from, Some(suite), &text), &mut clear));
            assert_eq!(clear, [b"kept", content.as_slice()].concat());
        }
    }
    assert_eq!(ring.counters(), KeyCounters::default());
}

#[test]
fn a_chunk_that_no_key_decrypts_is_counted() {
    let ring = ring();
    let text = seal(Side::Client, CONTENT);
    let fitting = sealed(Side::Client, None, &text);
    let mut clear = b"kept".to_vec();
    for closed in [
        Sealed { channel: 8, ..fitting },
        Sealed { token: 2, ..fitting },
        Sealed { from: Side::Server, ..fitting },
        Sealed { suite: Some("Basic256Sha256"), ..fitting }, // of which keys are longer
        Sealed { suite: Some("ECC_nistP256"), ..fitting },   // which is not AES in CBC mode
        Sealed { text: &text[..text.len() - 1], ..fitting },
        Sealed { text: &[], ..fitting },
    ] {
        assert!(!ring.open(&closed, &mut clear), "{closed:?}");
        assert_eq!(clear, b"kept");
    }
    assert_eq!(ring.counters(), KeyCounters { missing: 2, wrong: 5, not_kept: 0 });
    assert!(!KeyRing::default().open(&fitting, &mut clear), "a ring without keys");
}

#[test]
fn of_several_keys_with_the_same_name_the_one_that_fits_is_used() {
    let ring = KeyRing::default();
    let another = LOG.replace("101112", "FFFFFF");
    ring.add(&KeyLog::parse(another.as_bytes()).expect("a key log"));
    ring.add(&KeyLog::parse(LOG.as_bytes()).expect("a key log"));
    let text = seal(Side::Client, CONTENT);
    let mut clear = Vec::new();
    assert!(ring.open(&sealed(Side::Client, None, &text), &mut clear));
    assert_eq!(clear, CONTENT);
}

#[test]
fn a_ring_is_bounded_and_the_same_key_is_kept_once() {
    let ring = ring();
    (0..20).for_each(|_| ring.add(&KeyLog::parse(LOG.as_bytes()).expect("a key log")));
    assert_eq!(ring.counters().not_kept, 0);
    for number in 0..10 {
        let other = LOG.replace("101112", &format!("AAAA{number:02}"));
        ring.add(&KeyLog::parse(other.as_bytes()).expect("a key log"));
    }
    assert_eq!(ring.counters().not_kept, 3, "seven of ten beside the first");
}

fn ring() -> KeyRing {
    let ring = KeyRing::default();
    ring.add(&KeyLog::parse(LOG.as_bytes()).expect("a key log"));
    ring
}

fn sealed<'a>(from: Side, suite: Option<&'static str>, text: &'a [u8]) -> Sealed<'a> {
    Sealed { suite, channel: 7, token: 1, from, header: &[], text }
}

/// Pads, signs with zeros and encrypts with the key of this side.
fn seal(from: Side, content: &[u8]) -> Vec<u8> {
    let block = if from == Side::Server { 32 } else { 16 };
    let padding = (block - (content.len() + 1 + 32) % block) % block;
    let mut whole = [content, &vec![padding as u8; padding + 1], &[0; 32]].concat();
    let log = KeyLog::parse(LOG.as_bytes()).expect("a key log");
    let key = &log.keys[usize::from(from == Side::Server)].1;
    let size = whole.len();
    let done = match from {
        Side::Client => Encryptor::<Aes128>::new_from_slices(&key.key, &key.vector)
            .expect("lengths")
            .encrypt_padded::<NoPadding>(&mut whole, size)
            .is_ok(),
        Side::Server => Encryptor::<Aes256>::new_from_slices(&key.key, &key.vector)
            .expect("lengths")
            .encrypt_padded::<NoPadding>(&mut whole, size)
            .is_ok(),
    };
    assert!(done);
    whole
}
