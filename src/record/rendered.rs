//! Alerts as they are handed to publishers and stores.

use std::fmt;

use super::finding::{Endpoint, Evidence};
use crate::policy::Carrier;
use crate::policy::rules::Severity;

/// The kinds of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The policy is violated.
    Violation,
    /// The inventory changed.
    Asset,
    /// The sensor reports about itself.
    Sensor,
}

impl Kind {
    /// The name in records and topics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Violation => "violation",
            Self::Asset => "asset",
            Self::Sensor => "sensor",
        }
    }
}

/// Identifies an alert: the same packet under the same policy gives the same id. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(pub [u8; 16]);

impl fmt::Display for AlertId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for AlertId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// One revision of an alert, ready to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The kind of the alert.
    pub kind: Kind,
    /// Id of the rule that raised it.
    pub rule: &'static str,
    /// Its severity.
    pub severity: Severity,
    /// The alert; a later revision supersedes an earlier one of the same id.
    pub id: AlertId,
    /// Packet time of the finding, nanoseconds, in the first revision only: the latency to its delivery counts from there.
    pub latency_start: Option<i64>,
    /// One JSON object of schema `lockkeeper/alert/1`, without a line end.
    pub json: Vec<u8>,
    /// The request to keep the packets that prove the alert, in the first revision only, if the
    /// [settings](super::Settings::evidence_requests) ask for it.
    pub evidence_request: Option<Box<EvidenceRequest>>,
}

/// What a store of packets needs to know of an alert in order to keep the packets that prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceRequest {
    /// Id of the rule.
    pub rule: &'static str,
    /// The sentence for people.
    pub message: String,
    /// The packet that proves the alert.
    pub proving_packet: Evidence,
    /// Running number of the packet at which the alert became known.
    pub known_at_packet: u64,
    /// The end that asks.
    pub client: Endpoint,
    /// The end that is asked.
    pub server: Endpoint,
    /// What carries the conversation.
    pub carrier: Carrier,
}
