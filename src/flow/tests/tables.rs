//! The flow table against a simple model of it.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::frame::{Body, Datagram, Frame, IpHeader, Tunnel, TunnelKind};

/// Every third number has the same index in the cache of recent flows.
fn key(number: u8) -> FlowKey {
    let source_port = u16::from(number / 3) * 16 + u16::from(number % 3);
    let pair = IpHeader { source: [10, 0, 0, 1].into(), destination: [10, 0, 0, 2].into(), identification: 0 };
    let datagram = Datagram { source_port, destination_port: 502, checksum: 0, payload: &[], length: 0 };
    FlowKey::of(&Frame::of_body(Body::Udp(pair, datagram))).expect("IP").0
}

fn settings(capacity: u32) -> TableSettings {
    TableSettings {
        capacity,
        stream_timeout: 100,
        datagram_timeout: 50,
        closed_timeout: 10,
        opening_timeout: 30,
        seed: 42,
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Use(u8, Lifetime),
    Find(u8),
    Change(u8, Lifetime),
    Reap(usize),
}

fn step() -> impl Strategy<Value = (i64, Step)> {
    let lifetime =
        prop_oneof![Just(Lifetime::Stream), Just(Lifetime::Datagram), Just(Lifetime::Closed), Just(Lifetime::Opening)];
    let step = prop_oneof![
        6 => (0_u8..12, lifetime.clone()).prop_map(|(key, lifetime)| Step::Use(key, lifetime)),
        4 => (0_u8..12).prop_map(Step::Find),
        2 => (0_u8..12, lifetime).prop_map(|(key, lifetime)| Step::Change(key, lifetime)),
        1 => (0_usize..3).prop_map(Step::Reap),
    ];
    (prop_oneof![3 => 0_i64..10, 1 => 0_i64..120], step)
}

/// A flow of the model; `order` is the number of its last use or of its last change of lifetime.
#[derive(Clone, Copy, Debug)]
struct Modelled {
    key: u8,
    entry: Entry,
    lifetime: Lifetime,
    used: i64,
    order: usize,
}

impl Modelled {
    fn end(&self) -> i64 {
        self.used + [100, 50, 10, 30][self.lifetime as usize]
    }
}

/// The flow to remove when `model` is full: the first that expired, else a closed one, else one that
/// was never established, else the least recently used one.
fn victim(model: &[Modelled], clock: i64) -> Option<(Modelled, RemovalCause)> {
    let place = |flow: &&Modelled| (flow.used, flow.lifetime as usize, flow.order);
    let expired = model.iter().filter(|flow| flow.end() <= clock);
    let first = expired.min_by_key(|flow| (flow.end(), flow.lifetime as usize, flow.order));
    let idle = |lifetime| model.iter().filter(move |flow| flow.lifetime == lifetime).min_by_key(place);
    let evicted =
        || idle(Lifetime::Closed).or_else(|| idle(Lifetime::Opening)).or_else(|| model.iter().min_by_key(place));
    first.map(|flow| (*flow, RemovalCause::Expired)).or_else(|| evicted().map(|flow| (*flow, RemovalCause::Evicted)))
}

fn check_gone(model: &mut Vec<Modelled>, gone: &Removed<u8>, expected: (Modelled, RemovalCause), clock: i64) {
    let (flow, cause) = expected;
    let at = if cause == RemovalCause::Expired { flow.end() } else { clock };
    assert_eq!((gone.value, gone.entry, gone.cause, gone.at), (flow.key, flow.entry, cause, at));
    assert_eq!(gone.key, key(flow.key));
    model.retain(|other| other.key != flow.key);
}

proptest! {
    #[test]
    fn a_table_does_what_a_list_of_flows_would(steps in vec(step(), 1..200), capacity in 1_usize..8) {
        let mut table = FlowTable::new(&settings(u32::try_from(capacity).expect("small")));
        let (mut model, mut clock) = (Vec::<Modelled>::new(), 0);
        for (order, (pause, step)) in steps.into_iter().enumerate() {
            clock += pause;
            match step {
                Step::Use(number, lifetime) => {
                    let known = model.iter().find(|flow| flow.key == number).copied();
                    let expected = match known {
                        Some(flow) if flow.end() <= clock => Some((flow, RemovalCause::Expired)),
                        None if model.len() == capacity => victim(&model, clock),
                        _ => None,
                    };
                    let found = table.get_or_insert_with(&key(number), clock, lifetime, |_| false, || number);
                    assert_eq!(*found.value, number);
                    assert_eq!(found.fresh, known.is_none() || expected.is_some());
                    assert_eq!(found.gone.is_some(), expected.is_some());
                    let (entry, fresh) = (found.entry, found.fresh);
                    if let Some((gone, expected)) = found.gone.zip(expected) {
                        check_gone(&mut model, &gone, expected, clock);
                    }
                    let lifetime = known.filter(|_| !fresh).map_or(lifetime, |flow| flow.lifetime);
                    model.retain(|flow| flow.key != number);
                    model.push(Modelled { key: number, entry, lifetime, used: clock, order });
                }
                Step::Find(number) => {
                    let known = model.iter_mut().find(|flow| flow.key == number && flow.end() > clock);
                    let found = table.find(key(number).brief(), clock).map(|found| (found.slot, *found.value, found.is_due));
                    if let Some((slot, _, true)) = found {
                        table.list_again(slot);
                    }
                    let found = found.map(|(slot, value, _)| (table.entry(slot), value));
                    assert_eq!(found, known.as_ref().map(|flow| (flow.entry, number)));
                    if let Some(flow) = known {
                        (flow.used, flow.order) = (clock, order);
                    }
                }
                Step::Change(number, lifetime) => {
                    if let Some(flow) = model.iter_mut().find(|flow| flow.key == number) {
                        table.set_lifetime(flow.entry, lifetime);
                        flow.order = if flow.lifetime == lifetime { flow.order } else { order };
                        flow.lifetime = lifetime;
                    }
                }
                Step::Reap(limit) => {
                    let mut all = Vec::new();
                    table.reap(clock, limit, |gone| all.push(gone));
                    for gone in &all {
                        let expected = victim(&model, clock).expect("somebody is left");
                        check_gone(&mut model, gone, expected, clock);
                    }
                    assert!(all.len() == limit || model.iter().all(|flow| flow.end() > clock));
                }
            }
            assert_eq!(table.len(), model.len());
            assert!(table.len() <= capacity);
            for flow in &model {
                assert_eq!(table.get_mut(flow.entry).map(|(at, value)| (*at, *value)), Some((key(flow.key), flow.key)));
            }
        }
        assert_eq!(table.drain(clock).count(), model.len());
        assert!(table.is_empty());
    }
}

#[test]
fn a_name_that_is_out_of_date_finds_nothing() {
    let mut table = FlowTable::new(&settings(1));
    let first = table.get_or_insert_with(&key(1), 0, Lifetime::Stream, |_| false, || 'a').entry;
    let second = table.get_or_insert_with(&key(2), 1, Lifetime::Stream, |_| false, || 'b');
    let gone = second.gone.expect("there is room for one");
    assert_eq!((gone.value, gone.cause, gone.entry), ('a', RemovalCause::Evicted, first));
    let second = second.entry;
    assert!(table.get_mut(first).is_none());
    assert!(table.remove(first, 2).is_none());
    assert_eq!(table.remove(second, 2).map(|gone| gone.cause), Some(RemovalCause::Requested));
    assert_eq!(table.counters(), TableCounters { created: 2, expired: 0, evicted: 1 });
}

/// The same ends as [`key`], on a VLAN or in a tunnel.
fn on_another_way(vlan: Option<u16>, tunnel: Option<Tunnel>) -> FlowKey {
    let pair = IpHeader { source: [10, 0, 0, 1].into(), destination: [10, 0, 0, 2].into(), identification: 0 };
    let datagram = Datagram { source_port: 0, destination_port: 502, checksum: 0, payload: &[], length: 0 };
    let frame = Frame { vlan, tunnel, ..Frame::of_body(Body::Udp(pair, datagram)) };
    FlowKey::of(&frame).expect("IP").0
}

#[test]
fn a_flow_is_found_on_every_way_that_fits_and_on_no_other() {
    let mut table = FlowTable::new(&settings(100));
    let tunnel = Some(Tunnel { kind: TunnelKind::Erspan, id: 7 });
    let ways = [on_another_way(None, None), on_another_way(Some(20), None), on_another_way(None, tunnel)];
    let first = table.get_or_insert_with(&ways[0], 0, Lifetime::Stream, |_| true, || 'a').entry;
    for way in &ways[1..] {
        let found = table.get_or_insert_with(way, 1, Lifetime::Stream, |_| true, || 'b');
        assert_eq!((found.entry, *found.value, found.fresh), (first, 'a', false));
    }
    assert_eq!(table.len(), 1);
    let apart = table.get_or_insert_with(&on_another_way(Some(30), None), 2, Lifetime::Stream, |_| false, || 'c');
    assert!(apart.fresh, "an address plan of its own");
    assert_eq!(table.find(ways[1].brief(), 3).map(|used| *used.value), Some('a'));
    // All aliases are removed with the flow.
    table.remove(first, 3);
    assert!(table.find(ways[0].brief(), 3).is_none() && table.find(ways[1].brief(), 3).is_none());
    let again = table.get_or_insert_with(&ways[1], 4, Lifetime::Stream, |_| false, || 'd');
    assert!(again.fresh);
    assert_eq!(table.len(), 2);
}

#[test]
fn a_thousand_vlans_of_the_same_ends_are_all_found() {
    let mut table = FlowTable::new(&settings(5_000));
    for vlan in 0..4_000 {
        let found =
            table.get_or_insert_with(&on_another_way(Some(vlan), None), 0, Lifetime::Stream, |_| false, || vlan);
        assert!(found.fresh);
    }
    for vlan in 0..4_000 {
        assert_eq!(table.find(on_another_way(Some(vlan), None).brief(), 1).map(|used| *used.value), Some(vlan));
    }
    assert_eq!(table.drain(2).count(), 4_000);
    assert!(table.find(on_another_way(Some(7), None).brief(), 3).is_none());
}

#[test]
fn the_seed_of_the_hash_does_not_show() {
    let order = |seed| -> Vec<u8> {
        let mut table = FlowTable::new(&TableSettings { seed, ..settings(100) });
        for number in 0..100 {
            table.get_or_insert_with(&key(number), number.into(), Lifetime::Stream, |_| false, || number);
        }
        table.drain(100).map(|gone| gone.value).collect()
    };
    assert_eq!(order(1), order(2));
    assert_eq!(order(1), (0..100).collect::<Vec<_>>());
}

#[test]
fn an_entry_costs_little_more_than_its_value() {
    // With its slot and its place in a list, rounded up to whole cache lines, and its part of the index.
    let expected = (128_usize + 64 + 8 + 8).next_multiple_of(64) + 10;
    assert!(FlowTable::<[u64; 16]>::entry_size() <= expected, "{}", FlowTable::<[u64; 16]>::entry_size());
}
