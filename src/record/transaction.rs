//! Transactions: one JSON line for each operation, written by the workers and merged into one order.
//!
//! Workers write one for every operation, so the parts that a whole conversation shares are formatted once
//! ([`ConversationText`]) and then copied.

use super::alert::add_endpoint;
use super::community_id::community_id;
use super::key::ProtocolLabel;
use super::operation::{self, OperationView};
use super::{Ending, Endpoint, Evidence, Report, SortKey, json};
use crate::policy::{Carrier, FlowVerdict, Policy, Verdict};

/// One operation with its outcome.
#[derive(Clone, Copy, Debug)]
pub struct Transaction<'a> {
    /// Packet time of the request, nanoseconds.
    pub time: i64,
    /// Number of the request in its conversation: operations of one request share it.
    pub request: u32,
    /// The requested operation; for a read, with the values of the answer.
    pub operation: OperationView<'a>,
    /// How it ended.
    pub ending: Ending,
    /// Time from request to answer, nanoseconds; none without an answer.
    pub latency: Option<i64>,
    /// The verdict. An observed operation counts as permitted: `verdict` is `permit` and `flow` null.
    pub verdict: Verdict,
    /// The packet of the request; of the answer if only the answer was seen.
    pub evidence: Evidence,
    /// The request is in the capture; otherwise the record has no number of its packet.
    pub request_seen: bool,
    /// Number of the packet of the answer in its capture.
    pub response_packet: Option<u64>,
}

/// The names of the captures, as JSON strings.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    names: Vec<Vec<u8>>,
}

impl Captures {
    /// Takes the names in the order of their index.
    pub fn new(names: &[String]) -> Self {
        let escape = |name: &String| {
            let mut out = Vec::with_capacity(name.len() + 2);
            json::write_string(&mut out, name);
            out
        };
        Self { names: names.iter().map(escape).collect() }
    }

    fn name(&self, index: u16) -> &[u8] {
        self.names.get(usize::from(index)).map_or(b"null", Vec::as_slice)
    }
}

/// The members that all transactions of a conversation share. Made once for a conversation, and again when its roles or its
/// protocol change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationText {
    /// Members `client` to `conduit`.
    ends: Box<[u8]>,
    /// Member `protocol`.
    protocol: Box<[u8]>,
    /// Member `community_id`.
    community_id: Box<[u8]>,
}

impl ConversationText {
    /// Formats the members. `protocol` is none if it is not decoded.
    pub fn new(
        policy: &Policy,
        flow_verdict: &FlowVerdict,
        (client, server): (&Endpoint, &Endpoint),
        carrier: Carrier,
        protocol: Option<&'static str>,
    ) -> Self {
        let ends = json::written_members(|object| {
            add_endpoint(object, "client", policy, client, flow_verdict.client, carrier);
            add_endpoint(object, "server", policy, server, flow_verdict.server, carrier);
            object.add_string_or_null("conduit", flow_verdict.conduit.map(|conduit| policy.conduit_name(conduit)));
        });
        let label = ProtocolLabel::of(protocol, carrier, server.port);
        let protocol = json::written_members(|object| object.add_display("protocol", label));
        let community_id = community_id(carrier, client, server);
        let community_id =
            json::written_members(|object| object.add_string_or_null("community_id", community_id.as_deref()));
        Self { ends, protocol, community_id }
    }
}

/// Appends one line of schema `lockkeeper/transaction/1`, its end included. Allocates only room in `out`.
pub fn write_transaction(
    out: &mut Vec<u8>,
    policy: &Policy,
    captures: &Captures,
    text: &ConversationText,
    transaction: &Transaction<'_>,
) {
    let (flow, verdict) = match transaction.verdict {
        Verdict::Permit { flow } => (flow, "permit"),
        Verdict::Observe => (None, "permit"),
        Verdict::NotJudged => (None, "not-judged"),
        Verdict::Deny(denial) => (denial.flow, denial.rule.id()),
    };
    json::write_object(out, |object| {
        object.add_word("schema", "lockkeeper/transaction/1");
        object.add_time("time", transaction.time);
        object.add_written(&text.ends);
        object.add_string_or_null("flow", flow.map(|flow| policy.flow_id(flow)));
        object.add_written(&text.protocol);
        object.add_number("request", transaction.request);
        object.add_value("operation", |out| operation::write(out, &transaction.operation));
        object.add_value("outcome", |out| operation::write_ending(out, transaction.ending));
        object.add_number_or_null("latency_ns", transaction.latency);
        object.add_word("verdict", verdict);
        object.add_object("evidence", |object| {
            let Evidence { capture, packet } = transaction.evidence;
            object.add_value("capture", |out| out.extend_from_slice(captures.name(capture)));
            object.add_number_or_null("packet", transaction.request_seen.then_some(packet));
            object.add_number_or_null("response_packet", transaction.response_packet);
            object.add_written(&text.community_id);
        });
    });
    out.push(b'\n');
}

/// Writes the transactions of one block in the order of the run; each worker's own are in order. Each call of `write` gets
/// whole lines.
pub fn merge_transactions<E>(reports: &[Report], mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut next = vec![0; reports.len()];
    let head = |next: &[usize], worker: usize| -> Option<SortKey> {
        reports.get(worker)?.transactions.get(*next.get(worker)?).map(|(order, _)| *order)
    };
    loop {
        let heads = (0..reports.len()).filter_map(|worker| head(&next, worker).map(|order| (order, worker)));
        let Some((_, worker)) = heads.min() else { return Ok(()) };
        // Up to the first line of any other worker, the lines of this one are written together.
        let limit = (0..reports.len()).filter(|other| *other != worker).filter_map(|other| head(&next, other)).min();
        let (Some(report), Some(position)) = (reports.get(worker), next.get_mut(worker)) else { return Ok(()) };
        *position = write_run(report, *position, limit, &mut write)?;
    }
}

/// Writes the lines of one worker from `position` on: the first one, and those behind it that come before `limit`. Returns the
/// position behind them.
fn write_run<E>(
    report: &Report,
    position: usize,
    limit: Option<SortKey>,
    write: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<usize, E> {
    let rest = report.transactions.get(position..).unwrap_or_default();
    let more = rest.iter().skip(1).take_while(|(order, _)| limit.is_none_or(|limit| *order < limit)).count();
    let run = rest.get(..=more).unwrap_or_default();
    let mut bytes = 0..0;
    for (_, line) in run {
        if line.start == bytes.end {
            bytes.end = line.end;
        } else {
            write(report.lines.get(bytes).unwrap_or_default())?;
            bytes = line.clone();
        }
    }
    write(report.lines.get(bytes).unwrap_or_default())?;
    Ok(position + run.len().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Denial, Reason, Rule};
    use crate::record::testing;
    use lockkeeper_protocols::{Class, Operation, Outcome, Table, Target, Values};
    use proptest::prelude::*;

    fn text() -> ConversationText {
        let finding = testing::finding(0);
        ConversationText::new(
            &testing::policy(),
            &finding.flow_verdict,
            (&finding.client, &finding.server),
            finding.carrier,
            finding.protocol,
        )
    }

    fn line(transaction: &Transaction<'_>) -> String {
        let mut out = Vec::new();
        let captures = Captures::new(&["day \"1\".pcap".to_owned()]);
        write_transaction(&mut out, &testing::policy(), &captures, &text(), transaction);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    fn read<'a>() -> Transaction<'a> {
        let operation = Operation {
            class: Class::Read,
            function: "read_holding_registers",
            code: 3,
            ambiguous: false,
            target: Target::Table { unit: 1, table: Table::HoldingRegister, address: 0, count: 2 },
            // Two registers, big-endian: 900 and 7.
            values: Values::Registers(&[0x03, 0x84, 0x00, 0x07]),
        };
        Transaction {
            time: testing::START,
            request: 4,
            operation: OperationView::from(&operation),
            ending: Outcome::Accepted.into(),
            latency: Some(1_500_000),
            verdict: Verdict::Observe,
            evidence: Evidence { capture: 0, packet: 12 },
            request_seen: true,
            response_packet: Some(13),
        }
    }

    #[test]
    fn the_members_stand_in_the_order_of_the_contract() {
        let expected = concat!(
            r#"{"schema":"lockkeeper/transaction/1","time":"2026-01-02T03:04:05.000000000Z","#,
            r#""client":{"ip":"10.20.9.9","port":51234,"mac":"00:0c:29:aa:bb:cc","vlan":null,"zone":"unknown","asset":null},"#,
            r#""server":{"ip":"10.20.1.10","port":502,"mac":null,"vlan":30,"zone":"unknown","asset":null},"#,
            r#""conduit":null,"flow":null,"protocol":"modbus","request":4,"#,
            r#""operation":{"class":"read","function":"read_holding_registers","code":3,"#,
            r#""target":{"unit":1,"table":"holding_register","address":0,"count":2},"values":[900,7]},"#,
            r#""outcome":{"status":"accepted"},"latency_ns":1500000,"verdict":"permit","#,
            r#""evidence":{"capture":"day \"1\".pcap","packet":12,"response_packet":13,"#,
            r#""community_id":"1:fsQIH8QzW2OFZOduaLGjsXFQFaw="}}"#,
            "\n",
        );
        assert_eq!(line(&read()), expected);
    }

    #[test]
    fn a_denied_operation_without_an_answer_has_its_rule_and_no_latency() {
        let verdict = Verdict::Deny(Denial { rule: Rule::AddressUndeclared, flow: None, reason: Reason::Plain });
        let transaction = Transaction {
            ending: Outcome::NoResponse.into(),
            latency: None,
            response_packet: None,
            verdict,
            evidence: Evidence { capture: 9, packet: 1 },
            ..read()
        };
        let json: serde_json::Value = serde_json::from_str(&line(&transaction)).expect("valid JSON");
        assert_eq!(json["verdict"], "address.undeclared");
        assert!(json["latency_ns"].is_null() && json["evidence"]["response_packet"].is_null());
        assert!(json["evidence"]["capture"].is_null(), "an unknown capture has no name");
    }

    #[test]
    fn an_operation_that_was_not_judged_is_not_called_permitted() {
        let transaction = Transaction { verdict: Verdict::NotJudged, ..read() };
        let json: serde_json::Value = serde_json::from_str(&line(&transaction)).expect("valid JSON");
        assert_eq!((&json["verdict"], &json["flow"]), (&"not-judged".into(), &serde_json::Value::Null));
    }

    fn reports(orders: &[u8], workers: usize) -> Vec<Report> {
        let mut reports: Vec<Report> = (0..workers).map(|_| Report::default()).collect();
        for (packet, worker) in orders.iter().enumerate() {
            let order = SortKey { clock: 0, packet: packet as u64, sub: 0 };
            let report = &mut reports[usize::from(*worker) % workers];
            let start = report.lines.len();
            report.lines.extend_from_slice(format!("{packet}\n").as_bytes());
            report.transactions.push((order, start..report.lines.len()));
        }
        reports
    }

    proptest! {
        #[test]
        fn lines_come_out_in_one_order_however_workers_shared_them(orders in prop::collection::vec(0_u8..7, 0..80)) {
            let expected: String = (0..orders.len()).map(|packet| format!("{packet}\n")).collect();
            for workers in [1, 2, 7] {
                let mut out = Vec::new();
                let take = |lines: &[u8]| {
                    out.extend_from_slice(lines);
                    Ok::<_, std::convert::Infallible>(())
                };
                merge_transactions(&reports(&orders, workers), take).expect("a Vec takes everything");
                prop_assert_eq!(String::from_utf8(out).expect("digits"), expected.clone());
            }
        }
    }
}
