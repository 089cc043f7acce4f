//! Summaries agree with the decoding of single items, whatever the bytes.

use proptest::collection;
use proptest::prelude::*;
use proptest::sample::Index;
use std::vec;

use super::*;
use crate::operation::{Class, Namespaces, Node};

/// The summary by single items, if all of it is plain: each item acts on a node, and none deviates.
fn summary_by_items(service: Service, body: &[u8]) -> Option<BatchSummary> {
    let mut found: Option<BatchSummary> = None;
    let mut is_plain = true;
    let result = visit_items(service, Reader::new(body), Standard, |item| {
        let Subject::Node(target) = item.subject else { return is_plain = false };
        let namespace = target.node.namespace;
        let class = if service == Service::Read { Class::Read } else { Class::Write };
        is_plain &= item.class == class && item.deviation.is_none() && namespace < Namespaces::END;
        let before = found.unwrap_or(BatchSummary { class, count: 0, namespaces: Namespaces::NONE });
        let namespaces = before.namespaces.with(Namespaces::only(namespace));
        found = Some(BatchSummary { count: before.count + 1, namespaces, ..before });
    });
    found.filter(|_| is_plain && result.is_ok())
}

/// The counts by single results of `parts` items.
fn counts_by_results(service: Service, body: &[u8], parts: u32) -> Option<ResultCounts> {
    let answers =
        ItemResults::read(service, Reader::new(body)).ok().filter(|answers| answers.left() == parts as usize)?;
    let all: Vec<_> = answers.collect::<Result<_, _>>().ok()?;
    let bad: Vec<_> = all.iter().map(|answer| answer.status).filter(|status| status.is_bad()).collect();
    let last_bad = bad.last().copied().unwrap_or_default();
    Some(ResultCounts { good: (all.len() - bad.len()) as u32, bad: bad.len() as u32, last_bad })
}

/// A node in each of its encodings.
fn node() -> impl Strategy<Value = Vec<u8>> {
    let head = |encoding: u8, namespace: u16| [&[encoding][..], &namespace.to_le_bytes()].concat();
    let text = |encoding| {
        let bytes = collection::vec(any::<u8>(), 0..12);
        (0..70_u16, bytes).prop_map(move |(namespace, bytes)| {
            [head(encoding, namespace), (bytes.len() as u32).to_le_bytes().to_vec(), bytes].concat()
        })
    };
    prop_oneof![
        any::<u8>().prop_map(|number| [0, number].to_vec()),
        (0..70_u8, any::<[u8; 2]>()).prop_map(|(namespace, [low, high])| [1, namespace, low, high].to_vec()),
        (0..70_u16, any::<[u8; 4]>()).prop_map(move |(namespace, id)| [head(2, namespace), id.to_vec()].concat()),
        text(3),
        (0..70_u16, any::<[u8; 16]>()).prop_map(move |(namespace, id)| [head(4, namespace), id.to_vec()].concat()),
        text(5),
    ]
}

/// A DataValue with status and timestamps: a scalar of each type of fixed size, a text, a matrix or null.
fn data_value() -> impl Strategy<Value = Vec<u8>> {
    let sizes = [(0, 0), (1, 1), (3, 1), (5, 2), (6, 4), (10, 4), (11, 8), (13, 8), (14, 16), (19, 4)];
    let value = prop_oneof![
        4 => proptest::sample::select(sizes.to_vec()).prop_flat_map(|(kind, size)| {
            collection::vec(any::<u8>(), size).prop_map(move |bytes| [&[kind][..], &bytes].concat())
        }),
        1 => Just(hex("0c 02000000 6869")),
        1 => Just(hex("c3 02000000 0a0b 02000000 01000000 02000000")),
        1 => Just(hex("c3 02000000 0a0b 02000000 00000100 00000100")),
    ];
    let status = proptest::sample::select([0_u32, 0x0040_0000, 0x4094_0000, 0x8034_0000].to_vec());
    (0..0x40_u8, value, status, any::<[u8; 20]>()).prop_map(|(present, value, status, times)| {
        let mut bytes = [present].to_vec();
        if present & 0x01 != 0 {
            bytes.extend(value);
        }
        if present & 0x02 != 0 {
            bytes.extend(status.to_le_bytes());
        }
        let size = |bit: u8, size: usize| if present & bit == 0 { 0 } else { size };
        bytes.extend(&times[..size(0x04, 8) + size(0x08, 8) + size(0x10, 2) + size(0x20, 2)]);
        bytes
    })
}

/// What follows the node in a ReadValueId: nearly always its whole value.
fn attribute_and_range() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => Just(hex("0d000000 ffffffff 0000 ffffffff")),
        1 => Just(hex("05000000 ffffffff 0000 ffffffff")),
        1 => Just(hex("0d000000 03000000 303a32 0000 00000000")),
    ]
}

/// Items, some of them repeated in a row.
fn several(part: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let times = prop_oneof![4 => 1..4_usize, 1 => 15..50_usize];
    let alike = (part, times).prop_map(|(part, times)| vec![part; times]);
    collection::vec(alike, 0..5).prop_map(|runs| runs.concat())
}

fn array(parts: &[Vec<u8>]) -> Vec<u8> {
    [&(parts.len() as u32).to_le_bytes()[..], &parts.concat()].concat()
}

fn read() -> impl Strategy<Value = Vec<u8>> {
    let part = (node(), attribute_and_range()).prop_map(|(node, asked)| [node, asked].concat());
    several(part).prop_map(|mut parts| {
        // Nodes that are alike in all but their numbers.
        for (place, part) in
            parts.iter_mut().enumerate().filter(|(place, part)| place % 2 == 0 && [1, 2].contains(&part[0]))
        {
            let number = usize::from(part[0]) + 1;
            part[number] = place as u8;
        }
        [[0; 12].to_vec(), array(&parts)].concat()
    })
}

fn write() -> impl Strategy<Value = Vec<u8>> {
    let attribute = proptest::sample::select([13_u8, 13, 13, 17].to_vec());
    let part = (node(), attribute, data_value()).prop_map(|(node, attribute, value)| {
        [node, [attribute, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF].to_vec(), value].concat()
    });
    collection::vec(part, 0..6).prop_map(|parts| array(&parts))
}

/// The body, or the body with one byte changed, or without its end.
fn damaged(body: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let damage = prop_oneof![
        2 => Just(None),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Some((at, Some(byte)))),
        1 => any::<Index>().prop_map(|at| Some((at, None))),
    ];
    (body, damage).prop_map(|(mut body, damage)| {
        match damage {
            Some((at, Some(byte))) => {
                let place = at.index(body.len());
                body[place] = byte;
            }
            Some((at, None)) => body.truncate(at.index(body.len())),
            None => {}
        }
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_summary_of_a_request_agrees_with_its_items(reads in damaged(read()), writes in damaged(write())) {
        for (service, body) in [(Service::Read, &reads), (Service::Write, &writes)] {
            prop_assert_eq!(BatchSummary::of_request(service, Reader::new(body)), summary_by_items(service, body));
        }
    }

    #[test]
    fn result_counts_agree_with_the_results(values in damaged(several(data_value()).prop_map(|all| array(&all)))) {
        let parts = values.first().map_or(0, |count| u32::from(*count));
        let expected = counts_by_results(Service::Read, &values, parts).filter(|_| parts > 0);
        prop_assert_eq!(ResultCounts::of(Service::Read, Reader::new(&values), parts), expected);
    }

    #[test]
    fn the_summary_of_a_report_counts_the_values_of_known_items(
        values in collection::vec((0..8_u32, data_value()), 1..6), place in any::<Index>(), byte in any::<u8>(), damages in any::<bool>(),
    ) {
        let parts: Vec<_> = values.iter().map(|(handle, value)| [&handle.to_le_bytes()[..], value].concat()).collect();
        let changes = [array(&parts), hex("ffffffff")].concat();
        let head = hex("07000000 ffffffff 00 01000000 0000000000000000 01000000 01 00 2b03 01");
        let mut body = [head, (changes.len() as u32).to_le_bytes().to_vec(), changes, hex("ffffffff ffffffff")].concat();
        if damages {
            let place = place.index(body.len());
            body[place] = byte;
        }
        // Item 7 is unknown, and so is every other subscription.
        let known = |subscription, handle| (subscription == 7 && handle < 7).then_some(handle as u16 / 3);
        let (mut count, mut namespaces, mut is_plain) = (0, Namespaces::NONE, true);
        let result = visit_notifications(Service::Publish, Reader::new(&body), |published, one| {
            let of = |handle| known(published.subscription.unwrap_or_default(), handle);
            match *one {
                Notification::Data { handle, .. } if of(handle).is_some() => {
                    namespaces = namespaces.with(of(handle).map_or(Namespaces::NONE, Namespaces::only));
                    count += 1;
                }
                _ => is_plain = false,
            }
        });
        // Blocks of three handles share a namespace, and the last of them is named only when it is asked for.
        let around = |subscription, handle: u32| {
            let (first, namespace) = (handle / 3 * 3, known(subscription, handle)?);
            Some(HandleBlock { first, known: if first < 6 { 0b011 | 1 << (handle - first) } else { 1 }, namespace })
        };
        match BatchSummary::of_report(Reader::new(&body), around) {
            Some(summary) => {
                prop_assert!(is_plain && result.is_ok());
                prop_assert_eq!(summary, BatchSummary { class: Class::Report, count, namespaces });
            }
            None => prop_assert!(damages || !is_plain),
        }
    }
}

#[test]
fn other_services_and_requests_without_items_have_no_summary() {
    let empty = hex("0000000000000000 00000000 00000000");
    assert_eq!(BatchSummary::of_request(Service::Read, Reader::new(&empty)), None);
    let one = hex("0000000000000000 00000000 01000000 0048 0d000000 ffffffff 0000 ffffffff");
    let summary =
        BatchSummary { class: Class::Read, count: 1, namespaces: Namespaces::only(Node::standard(72).namespace) };
    assert_eq!(BatchSummary::of_request(Service::Read, Reader::new(&one)), Some(summary));
    assert_eq!(BatchSummary::of_request(Service::Browse, Reader::new(&one)), None);
}
