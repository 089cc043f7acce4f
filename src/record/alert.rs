//! The records of schema `lockkeeper/alert/1`, member by member.

use lockkeeper_protocols::Side;

use super::community_id::community_id;
use super::correlate::Settings;
use super::json::Object;
use super::key::ProtocolLabel;
use super::operation::{self, OperationView};
use super::{AlertId, Ending, Endpoint, Evidence, Finding, FindingKind, Kind, Mismatch, Severity};
use super::{attack, json, mapping, message};
use crate::policy::rules::Requirements;
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
        json::write_object(out, |object| {
            self.add_head(object);
            self.add_ends(object);
            self.add_operation(object);
            self.add_particulars(object);
            self.add_meaning(object);
            object.add_object("evidence", |evidence| self.add_evidence(evidence));
        });
    }

    fn add_head(&self, object: &mut Object<'_>) {
        let what = &self.finding.what;
        Head {
            id: self.id,
            kind: mapping::kind(what),
            rule: mapping::rule_id(what),
            severity: mapping::severity(self.finding),
            time: self.finding.time,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            count: self.count,
            revision: self.revision,
        }
        .write(object, self.settings, self.policy);
    }

    fn add_ends(&self, object: &mut Object<'_>) {
        let Finding { client, server, carrier, flow_verdict, protocol, .. } = self.finding;
        let flow = match &self.finding.what {
            FindingKind::Denied(denial)
            | FindingKind::RequestUnseen(denial)
            | FindingKind::Certificate { denial, .. } => denial.flow,
            FindingKind::Malformed { .. }
            | FindingKind::Doubtful(_)
            | FindingKind::UnknownAsset(_)
            | FindingKind::Mismatch(_)
            | FindingKind::NewHost(_)
            | FindingKind::Identity { .. } => None,
        };
        add_endpoint(object, "client", self.policy, client, flow_verdict.client, *carrier);
        add_endpoint(object, "server", self.policy, server, flow_verdict.server, *carrier);
        object.add_string_or_null("conduit", flow_verdict.conduit.map(|conduit| self.policy.conduit_name(conduit)));
        object.add_string_or_null("flow", flow.map(|flow| self.policy.flow_id(flow)));
        object.add_display("protocol", ProtocolLabel::of(*protocol, *carrier, server.port));
    }

    fn add_operation(&self, object: &mut Object<'_>) {
        match &self.finding.operation {
            Some(owned) => object.add_value("operation", |out| {
                owned.target.lend(|target| operation::write(out, &OperationView::of(owned, *target)));
            }),
            None => object.add_null("operation"),
        }
        match self.ending {
            Some(ending) => object.add_value("outcome", |out| operation::write_ending(out, ending)),
            None => object.add_null("outcome"),
        }
    }

    /// Appends the members that only some rules have.
    fn add_particulars(&self, object: &mut Object<'_>) {
        match &self.finding.what {
            FindingKind::Denied(_) | FindingKind::RequestUnseen(_) => {}
            FindingKind::Certificate { of, certificate, .. } => object.add_object("certificate", |object| {
                object.add_string("of", side_name(*of));
                object.add_string("subject", &certificate.subject);
                object.add_string("thumbprint", &certificate.thumbprint);
            }),
            FindingKind::Malformed { name, value } => object.add_object("anomaly", |object| {
                object.add_string("name", name);
                object.add_number_or_null("value", *value);
            }),
            FindingKind::Doubtful(doubt) => object.add_object("anomaly", |object| {
                object.add_string("name", doubt.name());
                object.add_null("value");
            }),
            FindingKind::Mismatch(mismatch) => {
                object.add_object("mismatch", |object| self.add_mismatch(*mismatch, object))
            }
            FindingKind::UnknownAsset(side) | FindingKind::NewHost(side) => {
                object.add_string("subject", side_name(*side))
            }
            FindingKind::Identity { of, unit, field, value } => object.add_object("identity", |object| {
                object.add_string("of", side_name(*of));
                object.add_number_or_null("unit", *unit);
                object.add_string("field", field);
                object.add_string("value", value);
            }),
        }
    }

    /// Appends which end a mismatch is about, the asset whose address or hardware it is, and whether a router may explain it.
    fn add_mismatch(&self, mismatch: Mismatch, object: &mut Object<'_>) {
        let (asset, may_be_routed) = match mismatch {
            Mismatch::Hardware { asset, forwards, .. } => (Some(asset), forwards),
            Mismatch::Address { asset } => (Some(asset), false),
            Mismatch::Router => (None, true),
            Mismatch::Vlan { used_on_zone_vlan, .. } => (None, used_on_zone_vlan),
        };
        object.add_string("of", side_name(Side::Client));
        object.add_string_or_null("asset", asset.map(|asset| self.policy.asset_name(asset)));
        object.add_boolean("may_be_routed", may_be_routed);
    }

    fn add_meaning(&self, object: &mut Object<'_>) {
        object.add_string("message", &message::message(self.policy, self.finding));
        object.add_words("attack", &attack::techniques(self.finding));
        add_requirements(object, &mapping::row(&self.finding.what).requirements);
    }

    fn add_evidence(&self, object: &mut Object<'_>) {
        let Finding { client, server, carrier, proving_packet, what, .. } = self.finding;
        self.add_packet(object, *proving_packet);
        if let FindingKind::Doubtful(doubt) = what
            && let Some(other) = doubt.other()
        {
            object.add_object("other", |object| self.add_packet(object, other));
        }
        object.add_string_or_null("community_id", community_id(*carrier, client, server).as_deref());
    }

    fn add_packet(&self, object: &mut Object<'_>, Evidence { capture, packet }: Evidence) {
        object.add_string_or_null("capture", self.settings.captures.get(usize::from(capture)).map(String::as_str));
        object.add_number("packet", packet);
    }
}

/// The members with which every alert begins, those of the sensor itself included.
pub(super) struct Head {
    pub(super) id: AlertId,
    pub(super) kind: Kind,
    pub(super) rule: &'static str,
    pub(super) severity: Severity,
    pub(super) time: i64,
    pub(super) first_seen: i64,
    pub(super) last_seen: i64,
    pub(super) count: u64,
    pub(super) revision: u32,
}

impl Head {
    /// Appends the members `schema` to `policy`.
    pub(super) fn write(self, object: &mut Object<'_>, settings: &Settings, policy: &Policy) {
        object.add_string("schema", "lockkeeper/alert/1");
        object.add_display("id", self.id);
        object.add_string("kind", self.kind.name());
        object.add_string("rule", self.rule);
        object.add_string("severity", self.severity.name());
        object.add_time("time", self.time);
        object.add_time("first_seen", self.first_seen);
        object.add_time("last_seen", self.last_seen);
        object.add_number("count", self.count);
        object.add_number("revision", self.revision);
        object.add_string("sensor", &settings.sensor);
        object.add_string("site", &settings.site);
        object.add_object("policy", |object| {
            object.add_string("id", &policy.id);
            object.add_string("version", &policy.version);
            object.add_string("sha256", &policy.sha256);
        });
    }
}

/// Appends the member `requirements`.
pub(super) fn add_requirements(object: &mut Object<'_>, requirements: &Requirements) {
    object.add_object("requirements", |object| {
        object.add_words("iec62443", requirements.iec62443);
        object.add_words("nis2", requirements.nis2);
        object.add_words("iso27001", requirements.iso27001);
    });
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

/// Appends one end of a conversation as a member.
pub(super) fn add_endpoint(
    object: &mut Object<'_>,
    name: &str,
    policy: &Policy,
    end: &Endpoint,
    place: Place,
    carrier: Carrier,
) {
    let port = matches!(carrier, Carrier::Tcp | Carrier::Udp).then_some(end.port);
    object.add_object(name, |object| {
        json::add_addresses(object, &end.host, port);
        object.add_string("zone", policy.zone_name(place.zone));
        object.add_string_or_null("asset", place.asset.map(|asset| policy.asset_name(asset)));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use lockkeeper_protocols::Outcome;

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
            FindingKind::Malformed { name: "quantity_out_of_range", value: Some(0) },
            FindingKind::Malformed { name: "bad_length", value: None },
            FindingKind::Certificate {
                denial: Denial { rule: Rule::CertExpired, flow: None, reason: Reason::Time(i64::MAX) },
                of: Side::Server,
                certificate: Arc::new(Certificate::read(OLD).expect("a sound certificate")),
            },
            FindingKind::UnknownAsset(Side::Client),
            FindingKind::NewHost(Side::Server),
            FindingKind::Identity { of: Side::Server, unit: None, field: "vendor", value: strange.clone() },
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
}
