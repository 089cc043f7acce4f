//! An open alert, and its revisions.

use std::sync::Arc;

use lockkeeper_protocols::{Outcome, RequestRef};

use super::Settings;
use crate::policy::Policy;
use crate::record::alert::Record;
use crate::record::id::alert_id;
use crate::record::{AlertId, Ending, EvidenceRequest, Finding, FindingKind, Rendered, mapping, message};

/// An alert that further occurrences and an outcome may still change.
#[derive(Debug)]
pub(super) struct LiveAlert {
    /// The policy that judged it.
    policy: Arc<Policy>,
    finding: Box<Finding>,
    id: AlertId,
    /// Its number in the order of opening.
    pub(super) opened: u64,
    /// Packet clock of the latest occurrence.
    pub(super) clock: i64,
    has_outcome: bool,
    /// The counts and the outcome, those not published yet included.
    current: State,
    /// What the latest revision said, and the packet clock of its publication.
    published: State,
    published_at: i64,
    pub(super) revision: u32,
}

/// What changes from revision to revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    count: u64,
    first_seen: i64,
    last_seen: i64,
    ending: Option<Ending>,
}

impl LiveAlert {
    pub(super) fn new(finding: Box<Finding>, policy: Arc<Policy>, opened: u64, clock: i64) -> Self {
        let ending = match finding.what {
            FindingKind::RequestUnseen(_) => Some(Outcome::Accepted.into()),
            _ => pending_request(&finding).map(|_| Outcome::Pending.into()),
        };
        let current = State { count: 1, first_seen: finding.time, last_seen: finding.time, ending };
        let id = alert_id(&policy.sha256, &finding);
        let (has_outcome, published, published_at) = (false, current, clock);
        Self { policy, finding, id, opened, clock, has_outcome, current, published, published_at, revision: 0 }
    }

    /// Counts one more occurrence. `time` is its packet time, which may be earlier than that of the occurrence before; the
    /// packet clock `clock` never goes backwards.
    pub(super) fn add_occurrence(&mut self, time: i64, clock: i64) {
        self.clock = clock;
        self.current.count += 1;
        self.current.first_seen = self.current.first_seen.min(time);
        self.current.last_seen = self.current.last_seen.max(time);
    }

    /// Sets the outcome of the latest occurrence. Returns whether it is the first one that became known.
    pub(super) fn set_outcome(&mut self, ending: Ending) -> bool {
        self.current.ending = Some(ending);
        !std::mem::replace(&mut self.has_outcome, true)
    }

    /// Whether something changed since the latest revision.
    pub(super) fn is_dirty(&self) -> bool {
        self.current != self.published
    }

    /// Its place among the alerts with something unpublished: when a further revision is due, and the order of opening.
    pub(super) const fn due(&self, interval: i64) -> (i64, u64) {
        (self.published_at.saturating_add(interval), self.opened)
    }

    /// Makes the next revision, published at this packet clock.
    pub(super) fn revise(&mut self, settings: &Settings, clock: i64) -> Rendered {
        self.revision += 1;
        self.published = self.current;
        self.published_at = clock;
        self.render(settings)
    }

    /// Renders the revision that is to be published, without a request for evidence.
    fn render(&self, settings: &Settings) -> Rendered {
        let Self { policy, finding, id, revision, .. } = self;
        let State { count, first_seen, last_seen, ending } = self.published;
        let (id, revision) = (*id, *revision);
        let mut json = Vec::with_capacity(RECORD_BYTES);
        Record { policy, settings, finding, id, revision, count, first_seen, last_seen, ending }.write(&mut json);
        let latency_start = (revision == 1).then_some(finding.time);
        let (kind, rule) = (mapping::kind(&finding.what), mapping::rule_id(&finding.what));
        Rendered { kind, rule, severity: mapping::severity(finding), id, latency_start, json, evidence_request: None }
    }

    /// The request to keep the packets that prove the alert, which became known at the packet of this running number.
    pub(super) fn evidence_request(&self, known_at_packet: u64) -> Box<EvidenceRequest> {
        let Finding { what, proving_packet, client, server, carrier, .. } = &*self.finding;
        Box::new(EvidenceRequest {
            rule: mapping::rule_id(what),
            message: message::message(&self.policy, &self.finding),
            proving_packet: *proving_packet,
            known_at_packet,
            client: *client,
            server: *server,
            carrier: *carrier,
        })
    }
}

/// The request whose outcome an alert about this finding will show.
pub(super) fn pending_request(finding: &Finding) -> Option<RequestRef> {
    finding.operation.as_ref().and(finding.at)
}

/// Room for a common record.
const RECORD_BYTES: usize = 1536;
