//! The records of schema `lockkeeper/alert/1`, member by member, and the parts they share with transactions.

use lockkeeper_protocols::{Class, Field, Operation, Outcome, Side, Target, Typed, Value, Values};

use super::community_id::community_id;
use super::key::ProtocolLabel;
use super::{
    AlertId, Ending, Endpoint, Evidence, Finding, Mismatch, OwnedOperation, OwnedValues, What, json, mapping, message,
};
use super::{attack, correlate::Settings};
use crate::policy::{Carrier, Place, Policy};

/// One revision of an alert.
pub(super) struct Record<'a> {
    pub(super) policy: &'a Policy,
    pub(super) settings: &'a Settings,
    pub(super) finding: &'a Finding,
    pub(super) id: AlertId,
    pub(super) revision: u32,
    pub(super) count: u64,
    pub(super) first_seen: i64,
    pub(super) last_seen: i64,
    pub(super) ending: Option<Ending>,
}

impl Record<'_> {
    /// Appends the record as one JSON object. The order of the members is part of the contract.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.head(out);
        origin(out, self.settings, self.policy);
        self.ends(out);
        self.deed(out);
        self.meaning(out);
        self.evidence(out);
    }

    fn head(&self, out: &mut Vec<u8>) {
        let what = &self.finding.what;
        out.extend_from_slice(b"{\"schema\":\"lockkeeper/alert/1\",\"id\":");
        json::display(out, self.id);
        member(out, "kind", |out| json::string(out, mapping::kind(what).name()));
        member(out, "rule", |out| json::string(out, mapping::rule_id(what)));
        member(out, "severity", |out| json::string(out, mapping::severity(self.finding).name()));
        member(out, "time", |out| json::time(out, self.finding.time));
        member(out, "first_seen", |out| json::time(out, self.first_seen));
        member(out, "last_seen", |out| json::time(out, self.last_seen));
        member(out, "count", |out| json::number(out, self.count));
        member(out, "revision", |out| json::number(out, self.revision));
    }

    fn ends(&self, out: &mut Vec<u8>) {
        let Finding { client, server, carrier, flow_verdict, protocol, .. } = self.finding;
        let flow = match &self.finding.what {
            What::Denied(denial) | What::RequestUnseen(denial) | What::Certificate { denial, .. } => denial.flow,
            What::Malformed { .. }
            | What::Doubtful(_)
            | What::UnknownAsset(_)
            | What::Mismatch(_)
            | What::NewHost(_)
            | What::Identity { .. } => None,
        };
        member(out, "client", |out| endpoint(out, self.policy, client, flow_verdict.client, *carrier));
        member(out, "server", |out| endpoint(out, self.policy, server, flow_verdict.server, *carrier));
        let conduit = flow_verdict.conduit.map(|conduit| self.policy.conduit_name(conduit));
        member(out, "conduit", |out| json::string_or_null(out, conduit));
        member(out, "flow", |out| json::string_or_null(out, flow.map(|flow| self.policy.flow_id(flow))));
        member(out, "protocol", |out| json::display(out, ProtocolLabel::of(*protocol, *carrier, server.port)));
    }

    fn deed(&self, out: &mut Vec<u8>) {
        member(out, "operation", |out| match &self.finding.operation {
            Some(owned) => owned.target.lend(|target| operation(out, &OperationView::of(owned, *target))),
            None => out.extend_from_slice(b"null"),
        });
        member(out, "outcome", |out| match self.ending {
            Some(known) => ending(out, known),
            None => out.extend_from_slice(b"null"),
        });
        self.particulars(out);
    }

    /// Members that only some rules have.
    fn particulars(&self, out: &mut Vec<u8>) {
        match &self.finding.what {
            What::Denied(_) | What::RequestUnseen(_) => {}
            What::Certificate { of, certificate, .. } => member(out, "certificate", |out| {
                out.extend_from_slice(b"{\"of\":");
                json::string(out, side_name(*of));
                member(out, "subject", |out| json::string(out, &certificate.subject));
                member(out, "thumbprint", |out| json::string(out, &certificate.thumbprint));
                out.push(b'}');
            }),
            What::Malformed { name, value } => member(out, "anomaly", |out| {
                out.extend_from_slice(b"{\"name\":");
                json::string(out, name);
                member(out, "value", |out| json::number_or_null(out, *value));
                out.push(b'}');
            }),
            What::Doubtful(doubt) => member(out, "anomaly", |out| {
                out.extend_from_slice(b"{\"name\":");
                json::string(out, doubt.name());
                out.extend_from_slice(b",\"value\":null}");
            }),
            What::Mismatch(mismatch) => member(out, "mismatch", |out| self.mismatch(*mismatch, out)),
            What::UnknownAsset(side) | What::NewHost(side) => {
                member(out, "subject", |out| json::string(out, side_name(*side)));
            }
            What::Identity { of, unit, field, value } => member(out, "identity", |out| {
                out.extend_from_slice(b"{\"of\":");
                json::string(out, side_name(*of));
                member(out, "unit", |out| json::number_or_null(out, *unit));
                member(out, "field", |out| json::string(out, field));
                member(out, "value", |out| json::string(out, value));
                out.push(b'}');
            }),
        }
    }

    /// Who it is about, the asset whose address or hardware it is, and whether a router may explain it.
    fn mismatch(&self, mismatch: Mismatch, out: &mut Vec<u8>) {
        let (asset, forwards) = match mismatch {
            Mismatch::Hardware { asset, forwards, .. } => (Some(asset), forwards),
            Mismatch::Address { asset } => (Some(asset), false),
            Mismatch::Router => (None, true),
            Mismatch::Vlan { at_home, .. } => (None, at_home),
        };
        out.extend_from_slice(b"{\"of\":\"client\"");
        member(out, "asset", |out| json::string_or_null(out, asset.map(|asset| self.policy.asset_name(asset))));
        out.extend_from_slice(if forwards { b",\"may_be_routed\":true}" } else { b",\"may_be_routed\":false}" });
    }

    fn meaning(&self, out: &mut Vec<u8>) {
        member(out, "message", |out| json::string(out, &message::message(self.policy, self.finding)));
        member(out, "attack", |out| json::words(out, &attack::techniques(self.finding)));
        let requirements = &mapping::row(&self.finding.what).requirements;
        member(out, "requirements", |out| {
            out.extend_from_slice(b"{\"iec62443\":");
            json::words(out, requirements.iec62443);
            member(out, "nis2", |out| json::words(out, requirements.nis2));
            member(out, "iso27001", |out| json::words(out, requirements.iso27001));
            out.push(b'}');
        });
    }

    fn evidence(&self, out: &mut Vec<u8>) {
        let Finding { client, server, carrier, evidence, what, .. } = self.finding;
        out.extend_from_slice(b",\"evidence\":{");
        self.packet(out, *evidence);
        if let What::Doubtful(doubt) = what
            && let Some(other) = doubt.other()
        {
            out.extend_from_slice(b",\"other\":{");
            self.packet(out, other);
            out.push(b'}');
        }
        let community_id = community_id(*carrier, client, server);
        member(out, "community_id", |out| json::string_or_null(out, community_id.as_deref()));
        out.extend_from_slice(b"}}");
    }

    /// Members `capture` and `packet`.
    fn packet(&self, out: &mut Vec<u8>, Evidence { capture, packet }: Evidence) {
        out.extend_from_slice(b"\"capture\":");
        json::string_or_null(out, self.settings.captures.get(usize::from(capture)).map(String::as_str));
        member(out, "packet", |out| json::number(out, packet));
    }
}

/// Appends a comma, a name that needs no escaping, and whatever value is written.
pub(super) fn member(out: &mut Vec<u8>, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    value(out);
}

/// Appends who tells it, and by which policy.
pub(super) fn origin(out: &mut Vec<u8>, settings: &Settings, policy: &Policy) {
    member(out, "sensor", |out| json::string(out, &settings.sensor));
    member(out, "site", |out| json::string(out, &settings.site));
    member(out, "policy", |out| {
        out.extend_from_slice(b"{\"id\":");
        json::string(out, &policy.id);
        member(out, "version", |out| json::string(out, &policy.version));
        member(out, "sha256", |out| json::string(out, &policy.sha256));
        out.push(b'}');
    });
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

/// Appends one end of a conversation.
pub(super) fn endpoint(out: &mut Vec<u8>, policy: &Policy, end: &Endpoint, place: Place, carrier: Carrier) {
    let port = matches!(carrier, Carrier::Tcp | Carrier::Udp).then_some(end.port);
    out.push(b'{');
    json::addresses(out, &end.host, port);
    member(out, "zone", |out| json::string(out, policy.zone_name(place.zone)));
    member(out, "asset", |out| json::string_or_null(out, place.asset.map(|asset| policy.asset_name(asset))));
    out.push(b'}');
}

/// Appends how an operation ended. `late` stands there only where it is true.
pub(super) fn ending(out: &mut Vec<u8>, Ending { outcome, late }: Ending) {
    match outcome {
        Outcome::Pending => out.extend_from_slice(b"{\"status\":\"pending\""),
        Outcome::Accepted => out.extend_from_slice(b"{\"status\":\"accepted\""),
        Outcome::NoResponse => out.extend_from_slice(b"{\"status\":\"no_response\""),
        Outcome::Refused { code, name } => {
            out.extend_from_slice(b"{\"status\":\"refused\",\"code\":");
            json::number(out, code);
            member(out, "name", |out| json::string(out, name));
        }
    }
    out.extend_from_slice(if late { b",\"late\":true}" } else { b"}" });
}

/// An operation as records show it, wherever its values lie.
#[derive(Clone, Copy, Debug)]
pub struct OperationView<'a> {
    /// What it does.
    pub class: Class,
    /// The standard's name in snake_case.
    pub function: &'static str,
    /// The number on the wire.
    pub code: u32,
    /// See [`Operation::ambiguous`].
    pub ambiguous: bool,
    /// What it acts on.
    pub target: Target<'a>,
    /// The values: of a write those requested, of a read those answered.
    pub values: ValuesView<'a>,
}

/// Values on the wire or copied from it.
#[derive(Clone, Copy, Debug)]
pub enum ValuesView<'a> {
    /// Still in their frame.
    Wire(Values<'a>),
    /// Kept since the request.
    Owned(&'a OwnedValues),
}

impl<'a> From<&Operation<'a>> for OperationView<'a> {
    fn from(operation: &Operation<'a>) -> Self {
        let Operation { class, function, code, ambiguous, target, values } = *operation;
        Self { class, function, code, ambiguous, target, values: ValuesView::Wire(values) }
    }
}

impl<'a> OperationView<'a> {
    /// With the target that the operation [lends](super::OwnedTarget::lend).
    fn of(operation: &'a OwnedOperation, target: Target<'a>) -> Self {
        let OwnedOperation { class, function, code, ambiguous, values, .. } = operation;
        let (class, code, ambiguous) = (*class, *code, *ambiguous);
        Self { class, function, code, ambiguous, target, values: ValuesView::Owned(values) }
    }
}

/// Appends an operation. What belongs to class `security` may be a password: its values are withheld (`null`). `ambiguous`
/// stands there only where it is true.
pub(super) fn operation(out: &mut Vec<u8>, operation: &OperationView<'_>) {
    out.extend_from_slice(b"{\"class\":\"");
    out.extend_from_slice(operation.class.name().as_bytes());
    out.extend_from_slice(b"\",\"function\":\"");
    out.extend_from_slice(operation.function.as_bytes());
    out.extend_from_slice(b"\",\"code\":");
    json::number(out, operation.code);
    out.extend_from_slice(if operation.ambiguous { b",\"ambiguous\":true,\"target\":" } else { b",\"target\":" });
    target(out, &operation.target);
    out.extend_from_slice(b",\"values\":");
    let total = if operation.class == Class::Security {
        out.extend_from_slice(b"null");
        None
    } else {
        values(out, &operation.values)
    };
    if let Some(total) = total {
        out.extend_from_slice(b",\"values_total\":");
        json::number(out, total);
    }
    out.push(b'}');
}

fn target(out: &mut Vec<u8>, target: &Target<'_>) {
    let mut separator = b'{';
    target.fields(|name, field| {
        out.push(separator);
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        match field {
            Field::Number(number) => json::number(out, number),
            Field::Name(word) => json::word(out, word),
            Field::Text(bytes) => json::lossy(out, bytes),
            Field::Node(node) => json::node(out, node),
        }
        separator = b',';
    });
    out.extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
}

/// Appends values. Says how many there are where that is not how many elements were written: only the first were kept, or
/// they cannot be taken apart.
fn values(out: &mut Vec<u8>, values: &ValuesView<'_>) -> Option<usize> {
    match *values {
        ValuesView::Wire(Values::Typed { kind, count, bytes }) => return typed(out, &Typed { kind, count, bytes }),
        ValuesView::Owned(&OwnedValues::Typed { kind, count, ref bytes }) => {
            return typed(out, &Typed { kind, count, bytes });
        }
        ValuesView::Owned(OwnedValues::Bytes { count, bytes }) => {
            json::hex(out, bytes);
            return (bytes.len() < *count).then_some(*count);
        }
        ValuesView::Wire(Values::Bytes(bytes)) => json::hex(out, bytes),
        ValuesView::Wire(wire) => json::numbers(out, wire.numbers()),
        ValuesView::Owned(OwnedValues::Numbers(numbers)) => json::numbers(out, numbers.iter().copied()),
        ValuesView::Owned(OwnedValues::None) => out.extend_from_slice(b"[]"),
    }
    None
}

/// The same of values that say of what type they are. Lists in lists are as deep as arguments are: two.
fn typed(out: &mut Vec<u8>, values: &Typed<'_>) -> Option<usize> {
    out.push(b'[');
    let mut written = 0;
    for one in values.iter() {
        if written > 0 {
            out.push(b',');
        }
        value(out, one);
        written += 1;
    }
    out.push(b']');
    let total = values.count as usize;
    (written < total).then_some(total)
}

/// Times, nodes and GUIDs as texts, bytes as hexadecimal text.
fn value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(yes) => out.extend_from_slice(if yes { b"true" } else { b"false" }),
        Value::Signed(number) => json::number(out, number),
        Value::Unsigned(number) => json::number(out, number),
        Value::Status(code) => json::number(out, code),
        Value::F32(number) => json::float(out, number, f64::from(number)),
        Value::F64(number) => json::float(out, number, number),
        Value::Text(text) => json::lossy(out, text),
        Value::Time(time) => json::time(out, time),
        Value::Node(node) => json::node(out, node),
        Value::Guid(_) => json::display(out, value),
        Value::Bytes(bytes) | Value::Other(bytes) => json::hex(out, bytes),
        // How many it has is said where all of them are.
        Value::List(list) => {
            typed(out, &list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use lockkeeper_protocols::{Kind, MethodTarget, Node, NodeId, NodeTarget};

    use crate::policy::certificate::Certificate;
    use crate::policy::certificate::tests::OLD;
    use crate::policy::{Denial, Reason, Rule};
    use crate::record::testing;

    fn record(finding: &Finding, ending: Option<Ending>) -> String {
        let (policy, settings) = (testing::policy(), testing::settings());
        let mut out = Vec::new();
        let (id, time) = (AlertId([0xAB; 16]), finding.time);
        Record {
            policy: &policy,
            settings: &settings,
            finding,
            id,
            revision: 1,
            count: 1,
            first_seen: time,
            last_seen: time,
            ending,
        }
        .write(&mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn the_members_stand_in_the_order_of_the_contract() {
        let expected = concat!(
            r#"{"schema":"lockkeeper/alert/1","id":"abababababababababababababababab","kind":"violation","#,
            r#""rule":"operation.undeclared","severity":"high","time":"2026-01-02T03:04:05.000000000Z","#,
            r#""first_seen":"2026-01-02T03:04:05.000000000Z","last_seen":"2026-01-02T03:04:05.000000000Z","#,
            r#""count":1,"revision":1,"sensor":"lock-east-1","site":"lock-east","#,
            r#""policy":{"id":"P","version":"7","sha256":"00ff"},"#,
            r#""client":{"ip":"10.20.9.9","port":51234,"mac":"00:0c:29:aa:bb:cc","vlan":null,"zone":"unknown","asset":null},"#,
            r#""server":{"ip":"10.20.1.10","port":502,"mac":null,"vlan":30,"zone":"unknown","asset":null},"#,
            r#""conduit":null,"flow":null,"protocol":"modbus","operation":{"class":"write","#,
            r#""function":"write_single_register","code":6,"target":{"unit":1,"table":"holding_register","#,
            r#""address":40,"count":1},"values":[900]},"outcome":{"status":"accepted"},"message":"#,
        );
        let written = record(&testing::finding(0), Some(Outcome::Accepted.into()));
        assert!(written.starts_with(expected), "{written}");
        let expected = concat!(
            r#","attack":["T1692.001","T0836"],"requirements":{"iec62443":["SR 2.1","SR 2.1 RE 1","SR 7.7"],"#,
            r#""nis2":["21(2)(i)","CIR 6.7.2(c)"],"iso27001":["5.15","8.3"]},"#,
            r#""evidence":{"capture":"day.pcap","packet":1,"#,
            r#""community_id":"1:fsQIH8QzW2OFZOduaLGjsXFQFaw="}}"#,
        );
        assert!(written.ends_with(expected), "{written}");
    }

    #[test]
    fn every_variety_is_one_valid_json_object() {
        let strange = "a \"quoted\"\n\u{0}\u{fffd} value".to_owned();
        let varieties = [
            What::Malformed { name: "quantity_out_of_range", value: Some(0) },
            What::Malformed { name: "bad_length", value: None },
            What::Certificate {
                denial: Denial { rule: Rule::CertExpired, flow: None, reason: Reason::Time(i64::MAX) },
                of: Side::Server,
                certificate: Arc::new(Certificate::read(OLD).expect("a sound certificate")),
            },
            What::UnknownAsset(Side::Client),
            What::NewHost(Side::Server),
            What::Identity { of: Side::Server, unit: None, field: "vendor", value: strange.clone() },
        ];
        for what in varieties {
            let finding = Finding { what, operation: None, protocol: None, ..testing::finding(0) };
            let json: serde_json::Value = serde_json::from_str(&record(&finding, None)).expect("valid JSON");
            assert!(json["operation"].is_null() && json["outcome"].is_null());
            assert_eq!(json["protocol"], "tcp/502");
            if let Some(identity) = json.get("identity") {
                assert_eq!(identity["value"], strange);
            }
            if let Some(certificate) = json.get("certificate") {
                assert_eq!(
                    (&certificate["of"], &certificate["subject"]),
                    (&"server".into(), &"CN=OLD, O=Lock East".into())
                );
                assert_eq!(
                    json["message"],
                    "Certificate of 10.20.1.10 (CN=OLD, O=Lock East): it ended at 9223372036854775807 s since 1970."
                );
            }
        }
    }

    #[test]
    fn bytes_are_hexadecimal_numbers_are_complete_and_secrets_are_withheld() {
        let shown = |class, owned| {
            let mut out = Vec::new();
            let owned = OwnedOperation { class, values: owned, ..testing::write_register(0, 0) };
            owned.target.lend(|target| operation(&mut out, &OperationView::of(&owned, *target)));
            let json: serde_json::Value = serde_json::from_slice(&out).expect("valid JSON");
            json["values"].clone()
        };
        assert_eq!(shown(Class::Vendor, OwnedValues::Bytes { count: 2, bytes: vec![0x0A, 0xFF] }), "0aff");
        let many = shown(Class::Write, OwnedValues::Numbers(vec![1; 2000]));
        assert_eq!(many.as_array().map(Vec::len), Some(2000));
        assert!(shown(Class::Security, OwnedValues::Bytes { count: 6, bytes: b"secret".to_vec() }).is_null());
    }

    #[test]
    fn how_many_values_there_are_is_said_where_not_all_are_shown() {
        let shown = |values| {
            let mut out = Vec::new();
            let view = OperationView {
                class: Class::Write,
                function: "write",
                code: 673,
                ambiguous: false,
                target: Target::None,
                values: ValuesView::Owned(&values),
            };
            operation(&mut out, &view);
            let json: serde_json::Value = serde_json::from_slice(&out).expect("valid JSON");
            (json["values"].clone(), json.get("values_total").cloned())
        };
        let typed = |count| OwnedValues::Typed { kind: Kind::U16, count, bytes: vec![1, 0, 2, 0] };
        assert_eq!(shown(typed(2)), (serde_json::json!([1, 2]), None));
        assert_eq!(shown(typed(50_000)), (serde_json::json!([1, 2]), Some(50_000.into())));
        let bytes = |count| OwnedValues::Bytes { count, bytes: vec![1, 2] };
        assert_eq!(shown(bytes(2)), (serde_json::json!("0102"), None));
        assert_eq!(shown(bytes(9000)), (serde_json::json!("0102"), Some(9000.into())));
    }

    #[test]
    fn typed_values_are_written_as_what_they_are() {
        let shown = |kind, count, bytes: &[u8]| {
            let mut out = Vec::new();
            values(&mut out, &ValuesView::Owned(&OwnedValues::Typed { kind, count, bytes: bytes.to_vec() }));
            String::from_utf8(out).expect("JSON is UTF-8")
        };
        assert_eq!(shown(Kind::F32, 2, &[0xCD, 0xCC, 0xCC, 0x3D, 0, 0, 0xC0, 0x7F]), "[0.1,\"NaN\"]");
        assert_eq!(shown(Kind::U64, 1, &[0xFF; 8]), "[18446744073709551615]");
        assert_eq!(shown(Kind::Text, 1, b"\x03\0\0\0a\"\xFF"), "[\"a\\\"\u{FFFD}\"]");
        assert_eq!(
            shown(Kind::Time, 1, &116_444_736_000_000_000_i64.to_le_bytes()),
            "[\"1970-01-01T00:00:00.000000000Z\"]"
        );
        // A Boolean, no value, an array of one byte, the node i=13.
        assert_eq!(shown(Kind::Any, 4, &[1, 1, 0, 0x83, 1, 0, 0, 0, 9, 17, 0, 13]), "[true,null,[9],\"i=13\"]");
    }

    #[test]
    fn what_a_client_calls_a_node_cannot_become_a_member_of_the_record() {
        let name = br#"Pump","verdict":"permit\"#;
        let node = Node { namespace: 3, id: NodeId::Text(name) };
        let named = serde_json::json!(format!("ns=3;s={}", String::from_utf8_lossy(name)));
        let shown = |target: &Target<'_>| {
            let mut out = Vec::new();
            super::target(&mut out, target);
            serde_json::from_slice::<serde_json::Value>(&out).expect("valid JSON")
        };
        let read = NodeTarget { node, attribute: Some(13), range: b"\"0\"" };
        assert_eq!(
            shown(&Target::Node(&read)),
            serde_json::json!({ "node": named, "attribute": "value", "range": "\"0\"" })
        );
        let called = MethodTarget { object: node, method: node };
        assert_eq!(shown(&Target::Method(&called)), serde_json::json!({ "object": named, "method": named }));
        // The value of a node may be a node again: a NodeId (17) with a text (3) of namespace 3.
        let value = [&[17, 3, 3, 0, name.len() as u8, 0, 0, 0], name.as_slice()].concat();
        let mut out = Vec::new();
        typed(&mut out, &Typed { kind: Kind::Any, count: 1, bytes: &value });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).expect("valid JSON"), serde_json::json!([named]));
    }

    #[test]
    fn a_refusal_has_its_code_and_name_and_a_late_answer_says_so() {
        let mut out = Vec::new();
        ending(&mut out, Outcome::Refused { code: 2, name: "illegal_data_address" }.into());
        assert_eq!(out, br#"{"status":"refused","code":2,"name":"illegal_data_address"}"#);
        out.clear();
        ending(&mut out, Ending { outcome: Outcome::Accepted, late: true });
        assert_eq!(out, br#"{"status":"accepted","late":true}"#);
    }
}
