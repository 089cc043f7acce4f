//! The stable id of an alert.

use std::fmt::Write as _;

use lockkeeper_protocols::Field;
use sha2::{Digest, Sha256};

use super::key::ProtocolLabel;
use super::{AlertId, Endpoint, Finding, FindingKind, json, mapping};

/// The id of the alert that a finding opens. It depends on the policy, the rule, and the content of the packet; not on how the
/// packet was captured (file name, format, packet number, interface), nor on how it was processed.
pub(super) fn alert_id(policy_sha256: &str, finding: &Finding) -> AlertId {
    let mut text = String::with_capacity(256);
    let written = describe(&mut text, policy_sha256, finding);
    debug_assert!(written.is_ok(), "a String takes whatever is written to it");
    AlertId::digest(&text)
}

impl AlertId {
    /// The id made of everything that identifies an alert: the first half of the SHA-256 of `text`.
    pub(super) fn digest(text: &str) -> Self {
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let mut id = [0; 16];
        id.iter_mut().zip(hash).for_each(|(place, byte)| *place = byte);
        Self(id)
    }
}

/// Appends one line for each part, so that no two different findings have the same text.
fn describe(text: &mut String, policy_sha256: &str, finding: &Finding) -> std::fmt::Result {
    writeln!(text, "{policy_sha256}\n{}\n{}", mapping::rule_id(&finding.what), finding.time)?;
    endpoint(text, &finding.client)?;
    endpoint(text, &finding.server)?;
    writeln!(text, "{}", ProtocolLabel::of(finding.protocol, finding.carrier, finding.server.port))?;
    if let Some(operation) = &finding.operation {
        writeln!(text, "{} {}", operation.code, operation.function)?;
        operation.target.lend(|target| target.fields(|name, field| text.push_str(&part(name, field))));
    }
    match &finding.what {
        FindingKind::Denied(_) | FindingKind::RequestUnseen(_) => Ok(()),
        FindingKind::Certificate { of, certificate, .. } => writeln!(text, "{of:?} {}", certificate.thumbprint),
        FindingKind::Malformed { name, .. } => writeln!(text, "{name}"),
        FindingKind::Doubtful(doubt) => writeln!(text, "{}", doubt.name()),
        FindingKind::Mismatch(_) => writeln!(text, "{:?} {:?}", finding.client.host.mac, finding.client.host.vlan),
        FindingKind::UnknownAsset(side) | FindingKind::NewHost(side) => writeln!(text, "{side:?}"),
        FindingKind::Identity { of, unit, field, value } => writeln!(text, "{of:?} {unit:?} {field}={value}"),
    }
}

fn part(name: &str, field: Field<'_>) -> String {
    match field {
        Field::Number(number) => format!("{name}={number} "),
        Field::Name(word) => format!("{name}={word} "),
        Field::Text(bytes) => format!("{name}={} ", String::from_utf8_lossy(bytes)),
        Field::Node(node) => format!("{name}={node} "),
    }
}

fn endpoint(text: &mut String, end: &Endpoint) -> std::fmt::Result {
    match (end.host.ip, end.host.mac) {
        (Some(ip), _) => writeln!(text, "{ip} {}", end.port),
        (None, Some(mac)) => writeln!(text, "{} {}", json::Mac(mac), end.port),
        (None, None) => writeln!(text, "- {}", end.port),
    }
}
