//! Certificates made for the purpose with OpenSSL and pyca/cryptography: `pump.der` (RSA 2048, SHA-256, signed by another
//! key), `scada.der` (P-256, self-signed), `old.der` (RSA 1024, SHA-1, self-signed, of 2019).

use super::*;

/// RSA 2048, SHA-256, by a CA, 2026 and 2027, `urn:lock-east:plc-pump`.
pub(crate) const PUMP: &[u8] = include_bytes!("testdata/pump.der");
/// P-256, self-signed, January and February 2026, `urn:lock-east:scada-1`.
pub(crate) const SCADA: &[u8] = include_bytes!("testdata/scada.der");
/// RSA 1024, SHA-1, self-signed, 2019, `urn:lock-east:old`.
pub(crate) const OLD: &[u8] = include_bytes!("testdata/old.der");

#[test]
fn a_certificate_has_its_subject_its_validity_and_its_key() {
    let pump = Certificate::read(PUMP).expect("pump.der is sound");
    assert_eq!(pump.thumbprint, "8c5380c5ba3957add164bdf1a23a1f781c28590c");
    assert_eq!(pump.subject, "CN=PLC-PUMP, O=Lock East");
    assert_eq!(pump.issuer, "CN=Lock East CA, O=Lock East");
    assert_eq!(pump.uris, ["urn:lock-east:plc-pump"]);
    assert_eq!((pump.key, pump.is_sha1, pump.is_self_signed), (Key { kind: "RSA", bits: 2048 }, false, false));
    // 2026-01-01 and 2028-01-01.
    assert_eq!((pump.not_before, pump.not_after), (1_767_225_600, 1_830_297_600));
    assert_eq!(pump.signature, "sha256WithRSAEncryption");
}

#[test]
fn weaknesses_are_seen() {
    let old = Certificate::read(OLD).expect("old.der is sound");
    assert_eq!((old.key, old.is_sha1, old.is_self_signed), (Key { kind: "RSA", bits: 1024 }, true, true));
    let scada = Certificate::read(SCADA).expect("scada.der is sound");
    assert_eq!((scada.key, scada.is_sha1, scada.is_self_signed), (Key { kind: "EC", bits: 256 }, false, true));
    assert_eq!(scada.signature, "ecdsa-with-SHA256");
}

#[test]
fn what_follows_the_own_certificate_changes_nothing() {
    let chain = [PUMP, OLD].concat();
    assert_eq!(Certificate::read(&chain), Certificate::read(PUMP));
}

#[test]
fn a_certificate_that_is_cut_off_or_garbage_is_none() {
    for length in 0..PUMP.len() {
        assert_eq!(Certificate::read(&PUMP[..length]), None, "{length} bytes");
    }
    assert_eq!(Certificate::read(&[0xFF; 4096]), None);
    // A sequence that claims 2^32 - 1 bytes.
    assert_eq!(Certificate::read(&[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0x30]), None);
}

#[test]
fn one_wrong_byte_anywhere_never_panics() {
    for at in 0..OLD.len() {
        for wrong in [0x00, 0x01, 0x7F, 0x80, 0xFF] {
            let mut bytes = OLD.to_vec();
            bytes[at] = wrong;
            if let Some(certificate) = Certificate::read(&bytes) {
                assert!(certificate.subject.chars().count() <= MAX_CHARACTERS);
            }
        }
    }
}

#[test]
fn a_huge_or_deeply_nested_certificate_costs_no_more_than_its_bounded_prefix() {
    let deep: Vec<u8> = [0x30, 0x80].repeat(1 << 20);
    assert_eq!(Certificate::read(&deep), None);
    let mut huge = PUMP.to_vec();
    huge.resize(64 << 20, 0);
    assert!(Certificate::read(&huge).is_some(), "only its begin is looked at");
}
