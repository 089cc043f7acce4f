//! Malformed bodies. Whatever they claim, they cost no more than their bytes.

use proptest::prelude::*;
use std::vec;

use super::*;
use crate::opcua::binary::MAX_DEPTH;
use crate::operation::Class;
use crate::reader::DecodeError;

/// Every service with a function code.
fn services() -> impl Iterator<Item = Service> {
    FUNCTIONS.iter().filter_map(|function| Service::from_number(function.code).map(|(service, _)| service))
}

#[test]
fn an_unreadable_request_is_one_unread_item_of_its_class() {
    for service in services() {
        let head = request(service, &[]);
        for length in [7, 12, head.len()] {
            let (found, result) = found(&head[..length]);
            assert_eq!(found.len(), 1, "{service:?}");
            let target = if result.is_err() { "unread item @0" } else { "- @0" };
            // The inner service has a class of its own.
            let class = if service == Service::SessionlessInvoke { Class::Unknown } else { service.class() };
            assert_eq!(found[0], format!("{} {target}", class.name()), "{service:?}");
        }
    }
}

#[test]
fn the_items_before_a_fault_are_visited() {
    let mut body = hex("02000000 01 02 0100 0d000000 ffffffff 01 03 05   01 02 0200 0d000000 ffffffff 01 03");
    let (found, result) = walked(Service::Write, &body);
    assert_eq!((found.len(), result), (1, Err(DecodeError::Truncated("value").into())));
    body.push(9);
    assert_eq!(walked(Service::Write, &body).0, ["write ns=2;i=1 13 5", "write ns=2;i=2 13 9"]);
}

#[test]
fn a_count_of_gigabytes_in_thirty_bytes_is_refused_at_once() {
    let lists = [
        (Service::Write, "ffffff7f 01 02 0100 0d000000 ffffffff 01 01 01", "nodes_to_write"),
        (Service::Read, "0000000000000000 00000000 ffffff7f 01 02 0100", "nodes_to_read"),
        (Service::Call, "ffffff7f 01 02 0100 01 02 0200 00000000", "methods_to_call"),
        (Service::DeleteSubscriptions, "ffffff7f 01000000 02000000", "subscription_ids"),
    ];
    for (service, body, field) in lists {
        let (found, result) = walked(service, &hex(body));
        assert_eq!((found.len(), result), (0, Err(DecodeError::Truncated(field).into())), "{service:?}");
    }
    let results = hex("ffffff7f 00 00 00");
    let answers = ItemResults::read(Service::Read, Reader::new(&results));
    assert_eq!(answers.err(), Some(DecodeError::Truncated("results").into()));
}

#[test]
fn a_count_of_minus_one_is_null_and_other_negative_counts_are_invalid() {
    assert_eq!(walked(Service::Write, &hex("ffffffff")), (vec!["write -".into()], Ok(())));
    let (found, result) = walked(Service::Write, &hex("feffffff"));
    assert_eq!((found.len(), result), (0, Err(Fault::invalid("nodes_to_write"))));
}

#[test]
fn nested_arguments_end_at_the_limit() {
    let nested = |levels: usize| {
        let mut body = hex("01000000 01 02 0100 01 02 0200 01000000");
        body.extend(vec![24; levels]);
        body.extend([1, 1]);
        walked(Service::Call, &body).1
    };
    assert_eq!(nested(MAX_DEPTH.into()), Ok(()));
    assert_eq!(nested(usize::from(MAX_DEPTH) + 1), Err(Fault::Limit("value_depth")));
    assert_eq!(nested(100_000), Err(Fault::Limit("value_depth")));
}

#[test]
fn a_million_of_the_smallest_items_take_one_step_each() {
    // A million data values of one byte each: exactly as many as the bytes hold.
    let mut body = 1_000_000_i32.to_le_bytes().to_vec();
    body.resize(4 + 1_000_000, 0);
    let answers = ItemResults::read(Service::Read, Reader::new(&body)).unwrap();
    assert_eq!(answers.filter(Result::is_ok).count(), 1_000_000);
    body[3] = 0x7F;
    assert!(ItemResults::read(Service::Read, Reader::new(&body)).is_err());
}

/// Decodes a message in every role. Returns the number of items decoded.
fn digest(service: Service, bytes: &[u8]) -> usize {
    let reader = Reader::new(bytes);
    let mut seen = 0;
    let _ = visit_items(service, reader, Standard, |item| {
        let _ = item.subject.target();
        seen += 1;
    });
    let _ = visit_notifications(service, reader, |_, _| seen += 1);
    seen += ItemResults::read(service, reader)
        .map_or(0, |answers| answers.take(bytes.len()).take_while(Result::is_ok).count());
    seen += read_endpoints(reader).map_or(0, |found| found.count());
    seen += read_servers(reader).map_or(0, |found| found.count());
    let _ = CreateRequest::read(&mut reader.clone());
    let _ = CreateResponse::read(&mut reader.clone()).map(|found| seen += found.endpoints.count());
    let _ = ActivateRequest::read(&mut reader.clone());
    let _ = Message::read(bytes).map(|mut message| RequestHeader::read(&mut message.content));
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_never_panic_and_give_few_items_a_byte(
        bytes in proptest::collection::vec(prop_oneof![3 => 0_u8..4, 1 => any::<u8>()], 0..160)
    ) {
        for service in services() {
            prop_assert!(digest(service, &bytes) <= 4 + 4 * bytes.len());
        }
    }

    #[test]
    fn a_request_cut_anywhere_gives_the_items_before_the_cut_and_one_unread_item(cut in 0_usize..60) {
        let body = hex("
            02000000 03 0200 01000000 41 0d000000 ffffffff 01 0b 0000000000005440
                     03 0200 01000000 42 0d000000 ffffffff 01 0b 0000000000005540");
        let cut = cut % body.len();
        let (found, result) = found(&request(Service::Write, &body[..cut]));
        prop_assert!(matches!(result, Err(Fault::Bytes(DecodeError::Truncated(_)))));
        let expected: &[&str] = match cut {
            ..30 => &["write unread item @0"],
            _ => &["write ns=2;s=A 13 80.0 @0", "write unread item @1"],
        };
        prop_assert_eq!(found, expected, "{}", cut);
    }
}
