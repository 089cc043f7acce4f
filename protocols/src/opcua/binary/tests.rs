//! Variants and other values: sound, nested, hostile, and read in different ways.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

use super::extension::{BODY, FORM};
use super::node_id::ENCODING;
use super::variant::TYPE_FIELD;
use super::*;
use crate::fault::Fault;
use crate::operation::{Kind, Node, NodeId};
use crate::reader::{DecodeError, Reader};

fn variant(bytes: &[u8]) -> Result<Variant<'_>, Fault> {
    Variant::read(&mut Reader::new(bytes))
}

#[test]
fn a_single_value_keeps_its_type_and_its_bytes() {
    let value = variant(&[0x06, 0x2A, 0x00, 0x00, 0x00, 0xFF]).unwrap(); // Int32 42, then something else
    assert_eq!(
        (value.kind(), value.is_array(), value.count(), value.body()),
        (Some(Kind::I32), false, 1, &[42, 0, 0, 0][..])
    );
    assert_eq!(variant(&[0x00]), Ok(Variant::default()));
}

#[test]
fn every_built_in_type_has_its_size() {
    let sizes = [0, 1, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 4, 8, 16, 4, 4, 2, 2, 4, 6, 1, 3, 1, 1, 1];
    for (number, size) in (0..).zip(sizes) {
        let mut bytes = vec![0; 1 + size + 1];
        bytes[0] = number;
        let mut reader = Reader::new(&bytes);
        let value = Variant::read(&mut reader).unwrap();
        assert_eq!((value.kind(), value.body().len(), reader.left()), (Kind::from_number(number), size, 1));
    }
}

#[test]
fn reserved_types_are_byte_strings_and_higher_ones_are_invalid() {
    assert_eq!(variant(&[31, 1, 0, 0, 0, 7]).unwrap().kind(), Some(Kind::Bytes));
    assert_eq!(variant(&[32, 1, 0, 0, 0, 7]), Err(Fault::invalid("variant_type")));
}

#[test]
fn an_array_of_texts_gives_its_texts() {
    let bytes = b"\x8c\x02\0\0\0\x02\0\0\0hi\xff\xff\xff\xff";
    let value = variant(bytes).unwrap();
    assert_eq!((value.kind(), value.count()), (Some(Kind::Text), 2));
    assert_eq!(value.body(), b"\x02\0\0\0hi\xff\xff\xff\xff");
}

#[test]
fn the_dimensions_of_a_matrix_multiply_to_its_number_of_elements() {
    let matrix = |dimensions: &[i32]| {
        let mut bytes = vec![0xC3, 6, 0, 0, 0, 1, 2, 3, 4, 5, 6]; // 6 bytes
        bytes.extend((dimensions.len() as i32).to_le_bytes());
        bytes.extend(dimensions.iter().flat_map(|length| length.to_le_bytes()));
        let value = variant(&bytes).unwrap();
        assert_eq!(value.dimensions().collect::<Vec<_>>(), dimensions);
        value.fits_dimensions()
    };
    assert!(matrix(&[2, 3]));
    assert!(matrix(&[6, 1, 1]));
    assert!(!matrix(&[2, 2]));
    assert!(!matrix(&[0, 6]), "a dimension of length 0");
    assert!(!matrix(&[-1, -6]));
    // 65536 x 65536 overflows to 0 and must not match, nor must larger products
    assert!(!matrix(&[65536, 65536]));
    assert!(!matrix(&[i32::MAX, i32::MAX, i32::MAX]));
}

#[test]
fn an_array_of_nulls_is_refused() {
    // two billion elements that take no bytes
    assert_eq!(variant(&[0x80, 0xFF, 0xFF, 0xFF, 0x7F]), Err(Fault::invalid("variant_array")));
    assert_eq!(variant(&[0x46, 0x2A, 0, 0, 0, 0, 0, 0, 0]), Err(Fault::invalid("variant_array")), "dimensions alone");
}

#[test]
fn a_count_of_gigabytes_in_thirty_bytes_is_truncated_at_once() {
    for kind in 1..=25 {
        let mut bytes = vec![0x80 | kind, 0xFF, 0xFF, 0xFF, 0x7F];
        bytes.resize(30, 0);
        assert_eq!(variant(&bytes), Err(DecodeError::Truncated("variant_array").into()), "type {kind}");
    }
}

#[test]
fn nested_variants_end_at_the_limit() {
    let nested = |levels: usize| {
        let mut bytes = vec![24; levels];
        bytes.extend([0x01, 0x01]);
        variant(&bytes).map(|value| value.body().len())
    };
    assert_eq!(nested(100), Ok(101));
    assert_eq!(nested(101), Err(Fault::Limit("value_depth")));
    assert_eq!(nested(1_000_000), Err(Fault::Limit("value_depth")));
}

#[test]
fn data_values_and_arrays_of_variants_count_as_levels_too() {
    let mut bytes: Vec<u8> = [0x17, 0x01].repeat(50); // a DataValue in a Variant in a DataValue ...
    bytes.push(0);
    assert!(variant(&bytes).is_ok());
    let bytes = [0x98, 1, 0, 0, 0].repeat(200); // arrays of one Variant, each within the other
    assert_eq!(variant(&bytes), Err(Fault::Limit("value_depth")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_bytes_never_panic_and_every_read_advances(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut reader = Reader::new(&bytes);
        while reader.left() > 0 {
            let before = reader.left();
            let Ok(value) = DataValue::read(&mut reader) else { break };
            prop_assert!(reader.left() < before);
            prop_assert!(value.value.body().len() < before);
            let _ = value.value.fits_dimensions();
        }
        let _ = ExpandedNodeId::read(&mut Reader::new(&bytes));
        let _ = ExtensionObject::read(&mut Reader::new(&bytes));
        let _ = DiagnosticInfo::read(&mut Reader::new(&bytes));
    }

    #[test]
    fn a_variant_cut_anywhere_is_truncated(kind in 1_u8..=25, cut in 0_usize..1000) {
        let mut bytes = vec![0x80 | kind, 3, 0, 0, 0];
        bytes.resize(5 + 3 * 16, 0);
        let mut reader = Reader::new(&bytes);
        prop_assume!(Variant::read(&mut reader).is_ok());
        let length = bytes.len() - reader.left();
        let cut = variant(&bytes[..cut % length]);
        prop_assert!(matches!(cut, Err(Fault::Bytes(DecodeError::Truncated(_)))));
    }
}

/// The node id that a dialect reads, and the number of bytes left.
fn node_in(dialect: impl Dialect, bytes: &[u8]) -> Result<(Node<'_>, usize), Fault> {
    let mut reader = Reader::new(bytes);
    Node::decode(&mut reader, dialect).map(|node| (node, reader.left()))
}

#[test]
fn flags_of_a_node_id_add_fields_in_one_reading_and_none_in_the_other() {
    let two = Node { namespace: 2, id: NodeId::Numeric(2) };
    let server = [0x41, 0x02, 0x02, 0x00, /* server index */ 0x07, 0x00, 0x00, 0x00];
    let uri = [0x81, 0x02, 0x02, 0x00, /* URI */ 0x03, 0x00, 0x00, 0x00, b'u', b'r', b'n'];
    let both = [0xC1, 0x02, 0x02, 0x00, /* null URI */ 0xFF, 0xFF, 0xFF, 0xFF, /* server index */ 0, 0, 0, 0];
    for bytes in [&server[..], &uri, &both] {
        assert_eq!(node_in(Standard, bytes), Err(Fault::invalid(ENCODING)));
        assert_eq!(node_in(Unanimous, bytes), Err(Fault::invalid(ENCODING)));
        assert_eq!(node_in(Reading::Expanded, bytes), Ok((two, 0)));
        assert_eq!(node_in(Reading::Plain, bytes), Ok((two, bytes.len() - 4)));
    }
    let reserved = [0x31, 0x02, 0x02, 0x00];
    assert_eq!(node_in(Reading::Plain, &reserved), Ok((two, 0)), "these stacks evaluate the lower half only");
    assert_eq!(node_in(Reading::Expanded, &reserved), Err(Fault::invalid(ENCODING)));
    for undefined in [[0x06, 0, 0, 0], [0x4F, 0, 0, 0], [0xFF; 4]] {
        for reading in Reading::OF_SERVERS {
            assert_eq!(node_in(reading, &undefined), Err(Fault::invalid(ENCODING)), "{undefined:02x?}");
        }
    }
}

#[test]
fn a_negative_length_is_null_to_some_servers_and_a_negative_count_is_zero_to_all() {
    let length = (-2_i32).to_le_bytes();
    let text = |dialect: Reading| Bytes::decode_as(&mut Reader::new(&length), "name", dialect);
    let invalid = Err(Fault::invalid("name"));
    assert_eq!(
        [Reading::Standard, Reading::Unanimous, Reading::Expanded, Reading::Plain].map(text),
        [invalid, invalid, invalid, Ok(Bytes(None))]
    );
    let number = |dialect: Reading| read_count(&mut Reader::new(&length), 4, "names", dialect);
    assert_eq!(Reading::OF_SERVERS.map(number), [Ok(0), Ok(0)]);
    assert_eq!(number(Reading::Unanimous), Err(Fault::invalid("names")));
}

#[test]
fn unusual_variants_are_read_as_each_family_of_servers_does() {
    let read = |dialect: Reading, bytes: &'static [u8]| {
        let mut reader = Reader::new(bytes);
        Variant::decode(&mut reader, dialect).map(|value| (value.kind(), value.count(), reader.left()))
    };
    // type 63: a byte string
    let high = b"\x3f\x01\0\0\0!?";
    assert_eq!(read(Reading::Expanded, high), Ok((Some(Kind::Bytes), 1, 1)));
    assert_eq!(read(Reading::Plain, high), Err(Fault::invalid(TYPE_FIELD)));
    // two nulls
    let nulls = b"\x80\x02\0\0\0?";
    assert_eq!(read(Reading::Expanded, nulls), Ok((None, 0, 1)));
    assert_eq!(read(Reading::Plain, nulls), Err(Fault::invalid("variant_array")));
    // a Byte with one dimension
    let dimensions = b"\x43\x07\x01\0\0\0\x01\0\0\0?";
    assert_eq!(read(Reading::Expanded, dimensions), Ok((Some(Kind::U8), 1, 1)));
    assert_eq!(read(Reading::Plain, dimensions), Ok((Some(Kind::U8), 1, 9)));
}

#[test]
fn structures_that_servers_read_in_different_ways_are_ambiguous() {
    let read = |dialect: Reading, bytes: &'static [u8]| {
        let mut reader = Reader::new(bytes);
        ExtensionObject::decode(&mut reader, dialect).map(|found| (found.body, reader.left()))
    };
    let xml = b"\x01\x00\x29\x01\x02\x04\0\0\0<a/>";
    assert_eq!(read(Reading::Standard, xml), Ok((ExtensionBody::Xml(b"<a/>"), 0)));
    assert_eq!(read(Reading::Plain, xml), Ok((ExtensionBody::Xml(b"<a/>"), 0)));
    assert_eq!(read(Reading::Expanded, xml), Ok((ExtensionBody::None, 8)));
    assert_eq!(read(Reading::Unanimous, xml), Err(Fault::Ambiguous(FORM)));
    let uncounted = b"\x01\x00\x2a\x01\x01\xff\xff\xff\xff\x01\0\0\0x";
    assert_eq!(read(Reading::Standard, uncounted), Ok((ExtensionBody::Binary(b""), 5)));
    assert_eq!(read(Reading::Plain, uncounted), Ok((ExtensionBody::Binary(b""), 5)));
    for dialect in [Reading::Expanded, Reading::Unanimous] {
        assert_eq!(read(dialect, uncounted), Err(Fault::Ambiguous(BODY)));
    }
    let nothing = b"\x00\x00\x01\xff\xff\xff\xff";
    for dialect in [Reading::Standard, Reading::Unanimous, Reading::Expanded, Reading::Plain] {
        assert_eq!(read(dialect, nothing), Ok((ExtensionBody::Binary(b""), 0)), "{dialect:?}");
    }
    let third = b"\x01\x00\x2a\x01\x03\x01\0\0\0x";
    assert_eq!(read(Reading::Expanded, third), Ok((ExtensionBody::Binary(b"x"), 0)));
    assert_eq!(read(Reading::Plain, third), Err(Fault::invalid(FORM)));
}

#[test]
fn each_reading_refuses_the_faults_that_its_servers_refuse() {
    let by = |fault: Fault| Reading::OF_SERVERS.map(|reading| reading.refuses(fault));
    assert_eq!(by(DecodeError::Truncated("value").into()), [true, true]);
    assert_eq!(by(Fault::invalid(ENCODING)), [true, true]);
    assert_eq!(by(Fault::invalid(TYPE_FIELD)), [false, true]);
    assert_eq!(
        by(DecodeError::Truncated(BODY).into()),
        [false, false],
        "a server that decodes the type may ignore its length"
    );
    assert_eq!(by(Fault::invalid("index_range")), [false, false], "null to some");
    assert_eq!(by(Fault::Limit(TOO_DEEP)), [false, false], "a limit of this decoder");
}
