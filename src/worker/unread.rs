//! Packets that could not be decoded, or only in part: counted, and reported where a host of a zone is concerned.

use std::sync::Arc;

use lockkeeper_protocols::Stamp;

use super::flow_facts::FlowFacts;
use super::state::{Between, WorkerState};
use crate::frame::{Body, Frame, Undecoded};
use crate::policy::{Carrier, Host};
use crate::record::{Endpoint, Event, Finding, FindingKind, Unread};

/// How a packet is counted that could not be decoded into a frame.
pub(super) const fn of_refused(reason: Undecoded) -> Unread {
    match reason {
        Undecoded::LinkType => Unread::LinkType,
        Undecoded::Truncated => Unread::Truncated,
        // IP reassembly counts fragments.
        Undecoded::Malformed | Undecoded::Fragment => Unread::Malformed,
        Undecoded::TooDeep => Unread::TooDeep,
        // Only a frame has content.
        Undecoded::Content => Unread::EtherType(0),
    }
}

/// How a frame is counted of which a part could not be decoded.
fn of_frame(reason: Undecoded, body: &Body<'_>) -> Unread {
    match (reason, body) {
        (Undecoded::Content, Body::Link { ether_type, .. }) => Unread::EtherType(*ether_type),
        (Undecoded::Content, Body::Ip(_, other)) => Unread::IpProtocol(other.protocol),
        (reason, _) => of_refused(reason),
    }
}

impl WorkerState {
    /// Counts a packet that was not decoded, or only in part.
    pub(super) fn count_unread(&mut self, kind: Unread, clock: i64) {
        self.counters.count_unread(kind);
        self.report.add_unread(clock, kind);
    }

    /// Counts a frame of which a part was not captured or not decoded.
    pub(super) fn count_partly_read(&mut self, frame: &Frame<'_>, clock: i64) {
        self.counters.losses.cut_bytes += u64::from(frame.cut);
        let kind = frame.undecoded.map_or(Unread::Cut, |reason| of_frame(reason, &frame.body));
        self.count_unread(kind, clock);
    }

    /// Reports a frame without IP that has more tags than the limit, if a policy is in force and one of the hosts is in a zone.
    pub(super) fn report_undecoded_link(&mut self, frame: &Frame<'_>, stamp: &Stamp) {
        let (Some(macs), Body::Link { ether_type, .. }) = (frame.mac, frame.body) else { return };
        if !self.judging || frame.undecoded != Some(Undecoded::TooDeep) {
            return;
        }
        let end = |mac| Endpoint { host: Host { ip: None, mac: Some(mac), vlan: frame.vlan }, port: 0 };
        let (client, server) = (end(macs.source), end(macs.destination));
        let between = Between { client, server, carrier: Carrier::Ethernet(ether_type) };
        let flow_verdict = self.policy.flow_verdict(&between.tuple(), None);
        if flow_verdict.client.zone.or(flow_verdict.server.zone).is_some() {
            self.report_between(&between, flow_verdict, stamp.packet, stamp, |base| {
                let what = FindingKind::Malformed { name: TOO_MANY_TAGS, value: None };
                Event::Finding(Box::new(Finding { what, ..*base }))
            });
        }
    }

    /// Reports a packet between two hosts whose headers could not be decoded, where a host of a zone is concerned and the
    /// conversation as such is not denied.
    pub(super) fn report_undecoded(&mut self, facts: &mut FlowFacts, reason: Undecoded, stamp: &Stamp) {
        let name = match reason {
            Undecoded::Malformed => "unreadable_headers",
            Undecoded::Fragment => "unusable_fragment",
            Undecoded::TooDeep => TOO_MANY_TAGS,
            // A cut capture and content of another kind break no specification.
            Undecoded::LinkType | Undecoded::Truncated | Undecoded::Content => return,
        };
        let Some(flow_verdict) = facts.flow_verdict.as_ref().map(Arc::clone) else { return };
        let concerns = flow_verdict.client.zone.or(flow_verdict.server.zone).is_some();
        if concerns && !facts.is_denied() {
            self.report_malformed(facts, FindingKind::Malformed { name, value: None }, stamp);
        }
    }
}

/// The anomaly of a packet with more tags, extension headers or tunnels than the limit.
const TOO_MANY_TAGS: &str = "too_many_headers";
