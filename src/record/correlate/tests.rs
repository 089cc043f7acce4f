//! The volume rule on a virtual clock.

use super::*;
use crate::record::id::alert_id;
use crate::record::testing::{self, SECOND, START};
use crate::record::{AlertId, FindingKind, testing::write_register};
use lockkeeper_protocols::Side;
use proptest::prelude::*;
use serde_json::Value;

/// A run: a correlator, and what it published.
struct Run {
    correlator: Correlator,
    published: Vec<Rendered>,
    packet: u64,
}

impl Run {
    fn new(settings: Settings) -> Self {
        let correlator = Correlator::new(Arc::new(testing::policy()), settings);
        Self { correlator, published: Vec::new(), packet: 0 }
    }

    fn take(&mut self, after: i64, event: Event) -> &mut Self {
        self.packet += 1;
        let order = SortKey { clock: START + after, packet: self.packet, sub: 0 };
        let report = Report { events: vec![(order, event)], ..Report::default() };
        self.correlator.take_block(&mut [report], START + after, &mut |rendered| self.published.push(rendered));
        self
    }

    /// The write of [`testing::finding`] as the given request of its conversation.
    fn write(&mut self, after: i64, request: u32) -> &mut Self {
        let at = Some(RequestRef { request, item: 0 });
        self.take(after, Event::Finding(Box::new(Finding { at, ..testing::finding(after) })))
    }

    fn write_to(&mut self, after: i64, address: u16) -> &mut Self {
        let operation = Some(write_register(address, 1));
        self.take(after, Event::Finding(Box::new(Finding { operation, ..testing::finding(after) })))
    }

    fn answer(&mut self, after: i64, request: u32, outcome: Outcome) -> &mut Self {
        let at = RequestRef { request, item: 0 };
        self.take(after, Event::Outcome { conversation: 1, at, ending: outcome.into(), is_last: true })
    }

    fn tick(&mut self, after: i64) -> &mut Self {
        self.correlator.take_block(&mut [], START + after, &mut |rendered| self.published.push(rendered));
        self
    }

    fn finish(&mut self) -> &mut Self {
        self.correlator.finish(&mut |rendered| self.published.push(rendered));
        self
    }

    fn records(&self) -> Vec<Value> {
        self.published.iter().map(|rendered| serde_json::from_slice(&rendered.json).expect("valid JSON")).collect()
    }

    /// Revision, count and status of the outcome of everything published.
    fn story(&self) -> Vec<(u64, u64, String)> {
        let text = |value: &Value| value.as_str().unwrap_or("null").to_owned();
        let number = |value: &Value| value.as_u64().expect("a number");
        let tell = |json: &Value| (number(&json["revision"]), number(&json["count"]), text(&json["outcome"]["status"]));
        self.records().iter().map(tell).collect()
    }
}

fn revision(number: u64, count: u64, outcome: &str) -> (u64, u64, String) {
    (number, count, outcome.to_owned())
}

#[test]
fn an_attack_is_published_at_once_and_its_outcome_as_soon_as_it_is_known() {
    let mut run = Run::new(testing::settings());
    run.write(0, 0).answer(1, 0, Outcome::Accepted).finish();
    assert_eq!(run.story(), [revision(1, 1, "pending"), revision(2, 1, "accepted")]);
    assert_eq!(run.published[0].id, run.published[1].id);
}

#[test]
fn a_late_answer_corrects_the_published_outcome() {
    let mut run = Run::new(testing::settings());
    let at = RequestRef { request: 0, item: 0 };
    let outcome =
        |outcome, late, is_last| Event::Outcome { conversation: 1, at, ending: Ending { outcome, late }, is_last };
    run.write(0, 0).take(5 * SECOND, outcome(Outcome::NoResponse, false, false));
    run.take(7 * SECOND, outcome(Outcome::Accepted, true, true)).finish();
    assert_eq!(run.story(), [revision(1, 1, "pending"), revision(2, 1, "no_response"), revision(3, 1, "accepted")]);
    assert_eq!(run.records()[2]["outcome"]["late"], true);
    let counters = run.correlator.counters();
    assert_eq!((counters.outcomes, counters.outcomes_unmatched), (1, 0), "a timeout is not the end of it");
}

#[test]
fn an_answer_without_its_request_is_an_alert_that_was_carried_out() {
    let mut run = Run::new(testing::settings());
    let FindingKind::Denied(denial) = testing::finding(0).what else { unreachable!("it is a denial") };
    let unseen = Finding { what: FindingKind::RequestUnseen(denial), at: None, ..testing::finding(0) };
    run.take(0, Event::Finding(Box::new(unseen))).finish();
    assert_eq!(run.story(), [revision(1, 1, "accepted")]);
    let record = run.records().remove(0);
    assert_eq!((&record["rule"], &record["severity"]), (&"operation.request-unseen".into(), &"high".into()));
    let message = record["message"].as_str().expect("a text");
    assert!(message.contains("the answer says that it was carried out, the request was not seen"), "{message}");
}

#[test]
fn a_thousand_repetitions_are_a_few_revisions_with_an_exact_count() {
    let mut run = Run::new(testing::settings());
    // Ten a second for 100 seconds, each answered.
    for request in 0..1000 {
        let after = i64::from(request) * SECOND / 10;
        run.write(after, request).answer(after + 1, request, Outcome::Accepted);
    }
    run.finish();
    // The second revision is of 1 ns, so the third one is due at 60 s and 1 ns: the answer to request 600 has that clock.
    let expected = [
        revision(1, 1, "pending"),
        revision(2, 1, "accepted"),
        revision(3, 601, "accepted"),
        revision(4, 1000, "accepted"),
    ];
    assert_eq!(run.story(), expected);
    let last = run.records().pop().expect("published");
    assert_eq!(last["first_seen"], "2026-01-02T03:04:05.000000000Z");
    assert_eq!(last["last_seen"], "2026-01-02T03:05:44.900000000Z");
}

#[test]
fn an_update_that_is_due_does_not_wait_for_another_event() {
    let mut run = Run::new(testing::settings());
    run.write(0, 0).write(SECOND, 1).tick(60 * SECOND);
    assert_eq!(run.story().len(), 1, "not before its time");
    run.tick(60 * SECOND + 1).tick(200 * SECOND).finish();
    assert_eq!(run.story(), [revision(1, 1, "pending"), revision(2, 2, "pending")]);
}

#[test]
fn an_unchanged_alert_is_not_published_again() {
    let mut run = Run::new(testing::settings());
    run.write(0, 0).answer(1, 0, Outcome::Pending).tick(500 * SECOND).finish();
    assert_eq!(run.story(), [revision(1, 1, "pending")]);
}

#[test]
fn the_outcome_is_that_of_the_latest_occurrence_that_has_one() {
    let mut run = Run::new(testing::settings());
    let refused = Outcome::Refused { code: 2, name: "illegal_data_address" };
    run.write(0, 0).answer(1, 0, Outcome::Accepted).write(2, 1).answer(3, 1, refused).write(4, 2).finish();
    assert_eq!(run.story(), [revision(1, 1, "pending"), revision(2, 1, "accepted"), revision(3, 3, "refused")]);
}

#[test]
fn an_alert_closes_after_a_quiet_time_and_the_next_occurrence_opens_another() {
    let mut run = Run::new(testing::settings());
    run.write(0, 0).write(3600 * SECOND, 1).write(7201 * SECOND, 2).finish();
    let ids: Vec<AlertId> = run.published.iter().map(|rendered| rendered.id).collect();
    assert_eq!(run.story(), [revision(1, 1, "pending"), revision(2, 2, "pending"), revision(1, 1, "pending")]);
    assert!(ids[0] == ids[1] && ids[1] != ids[2]);
}

#[test]
fn a_full_table_closes_the_alert_that_was_quiet_longest_and_loses_no_count() {
    let mut run = Run::new(Settings { live: 2, ..testing::settings() });
    run.write_to(0, 1).write_to(1, 2).write_to(2, 1).write_to(3, 2).write_to(4, 3).finish();
    let addresses: Vec<u64> =
        run.records().iter().filter_map(|json| json["operation"]["target"]["address"].as_u64()).collect();
    assert_eq!(addresses, [1, 2, 1, 3, 2]);
    assert_eq!(
        run.story()[2],
        revision(2, 2, "pending"),
        "the alert that closed early was published with its last count"
    );
    assert_eq!(run.correlator.counters().closed_by_limit, 1);
}

#[test]
fn outcomes_that_are_not_pending_are_counted() {
    let mut run = Run::new(Settings { pending: 1, ..testing::settings() });
    run.write(0, 0).write(1, 1).answer(2, 0, Outcome::Accepted).answer(3, 9, Outcome::Accepted);
    run.answer(4, 1, Outcome::NoResponse).finish();
    let counters = run.correlator.counters();
    assert_eq!((counters.outcomes, counters.outcomes_unmatched, counters.pending_dropped), (3, 2, 1));
    assert_eq!(run.story().last(), Some(&revision(2, 2, "no_response")));
}

#[test]
fn one_operation_behind_two_alerts_answers_both() {
    let mut run = Run::new(testing::settings());
    let malformed = FindingKind::Malformed { name: "quantity_out_of_range", value: None };
    run.write(0, 0).take(0, Event::Finding(Box::new(Finding { what: malformed, ..testing::finding(0) })));
    run.answer(1, 0, Outcome::Accepted).finish();
    let accepted = run.story().iter().filter(|revision| revision.2 == "accepted").count();
    assert_eq!(accepted, 2);
}

#[test]
fn a_host_is_new_once_and_an_identity_is_published_once_for_each_value() {
    let mut run = Run::new(testing::settings());
    let identity = |value: &str| FindingKind::Identity {
        of: Side::Server,
        unit: Some(1),
        field: "vendor",
        value: value.to_owned(),
    };
    let findings = [
        FindingKind::NewHost(Side::Client),
        FindingKind::NewHost(Side::Client),
        identity("A"),
        identity("A"),
        identity("B"),
        FindingKind::NewHost(Side::Server),
    ];
    for (after, what) in findings.into_iter().enumerate() {
        let after = after as i64 * 4000 * SECOND;
        let operation = None;
        run.take(after, Event::Finding(Box::new(Finding { what, operation, ..testing::finding(after) })));
    }
    run.finish();
    let rules: Vec<String> = run.records().iter().map(|json| json["rule"].to_string()).collect();
    assert_eq!(rules, ["\"asset.new\"", "\"asset.identified\"", "\"asset.identified\"", "\"asset.new\"",]);
    assert_eq!(run.correlator.counters().violations, 0);
}

#[test]
fn an_unknown_host_is_one_alert_whatever_its_peers() {
    let mut run = Run::new(testing::settings());
    for port in [502, 80, 443] {
        let mut finding =
            Finding { what: FindingKind::UnknownAsset(Side::Client), operation: None, ..testing::finding(0) };
        finding.server.port = port;
        run.take(0, Event::Finding(Box::new(finding)));
    }
    run.finish();
    assert_eq!(run.story(), [revision(1, 1, "null"), revision(2, 3, "null")]);
}

#[test]
fn the_client_port_does_not_make_another_alert_but_the_address_does() {
    let mut run = Run::new(testing::settings());
    for port in [50_000, 50_001] {
        let mut finding = testing::finding(0);
        finding.client.port = port;
        run.take(0, Event::Finding(Box::new(finding)));
    }
    run.write_to(1, 41).finish();
    assert_eq!(run.correlator.counters().violations, 2);
    let tallies: Vec<_> = run.correlator.tallies().collect();
    assert_eq!(tallies, [("operation.undeclared", None, Tally { alerts: 2, occurrences: 3 })]);
}

#[test]
fn the_id_depends_on_policy_and_packet_and_not_on_how_it_was_captured() {
    let id = |finding: &Finding| alert_id("00ff", finding);
    let one = testing::finding(0);
    let elsewhere = Finding {
        proving_packet: crate::record::Evidence { capture: 3, packet: 77 },
        conversation: 9,
        at: None,
        ..testing::finding(0)
    };
    assert_eq!(id(&one), id(&elsewhere));
    assert_eq!(id(&one).to_string(), "39ad165e20e86a96d3be88fdc4c212f1", "ids are stable across releases");
    let others = [
        testing::finding(1),
        Finding { operation: Some(write_register(41, 900)), ..testing::finding(0) },
        Finding { what: FindingKind::UnknownAsset(Side::Client), ..testing::finding(0) },
        Finding { what: FindingKind::UnknownAsset(Side::Server), ..testing::finding(0) },
    ];
    assert!(others.iter().all(|other| id(other) != id(&one)));
    assert_ne!(alert_id("other", &one), id(&one));
}

/// One step of a made-up run: seconds since the step before, what happens, and to which address.
type Step = (u8, u8, u8);

/// The same events for every way of sharing them: (order, worker, event).
fn events(steps: &[Step]) -> Vec<(SortKey, Event)> {
    let mut clock = START;
    let mut events = Vec::new();
    for (number, (seconds, what, address)) in steps.iter().enumerate() {
        clock += i64::from(*seconds) * SECOND;
        let number = number as u64;
        let at = RequestRef { request: number as u32 / 2, item: 0 };
        let order = SortKey { clock, packet: number / 2, sub: number as u32 };
        let base = Finding { at: Some(at), time: clock, ..testing::finding(0) };
        let event = match what % 4 {
            0 => Event::Outcome { conversation: 1, at, ending: Outcome::Accepted.into(), is_last: true },
            1 => {
                Event::Finding(Box::new(Finding { what: FindingKind::NewHost(Side::Client), operation: None, ..base }))
            }
            _ => {
                let operation = Some(write_register((*address % 5).into(), 1));
                Event::Finding(Box::new(Finding { operation, ..base }))
            }
        };
        events.push((order, event));
    }
    events
}

/// What is published when blocks hold `size` events and packets are shared between `workers`.
fn published(steps: &[Step], workers: u64, size: usize) -> Vec<u8> {
    let settings = Settings { live: 3, pending: 4, interval: 30 * SECOND, ..testing::settings() };
    let mut correlator = Correlator::new(Arc::new(testing::policy()), settings);
    let mut bytes = Vec::new();
    let mut out = |rendered: Rendered| bytes.extend_from_slice(&rendered.json);
    let events = events(steps);
    let mut rest = events.as_slice();
    while !rest.is_empty() {
        // A packet is never split between blocks.
        let mut end = size.min(rest.len());
        while end < rest.len() && rest[end].0.packet == rest[end - 1].0.packet {
            end += 1;
        }
        let (block, tail) = rest.split_at(end);
        let mut reports: Vec<Report> = (0..workers).map(|_| Report::default()).collect();
        for (order, event) in block {
            reports[(order.packet * 31 % workers) as usize].events.push((*order, event.clone()));
        }
        let clock = block.last().map_or(START, |(order, _)| order.clock);
        correlator.take_block(&mut reports, clock, &mut out);
        rest = tail;
    }
    correlator.finish(&mut out);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn neither_workers_nor_blocks_change_what_is_published(
        steps in prop::collection::vec((0_u8..40, any::<u8>(), any::<u8>()), 1..60),
    ) {
        let expected = published(&steps, 1, 1);
        for (workers, size) in [(1, 1000), (2, 3), (7, 5), (7, 1000)] {
            let got = published(&steps, workers, size);
            prop_assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&expected));
        }
    }
}
