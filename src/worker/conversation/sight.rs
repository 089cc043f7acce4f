//! What frames say about the hosts of a conversation: their hardware addresses and VLANs, which may change while it goes on.

use lockkeeper_protocols::Stamp;

use super::{Content, Facts, Spoken, Talk};
use crate::flow::End;
use crate::frame::Frame;
use crate::worker::Desk;

/// What a frame says about the end that sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Sight {
    /// Nothing new.
    Known,
    /// It is its first frame.
    First,
    /// The hardware address or VLAN of an end is another than was known or assumed.
    Moved,
}

impl Facts {
    /// Notes what the link layer says about the end that sends a frame, and about the other one until that is heard.
    pub(in crate::worker) fn meet(&mut self, from: End, frame: &Frame<'_>) -> Sight {
        let (own, other) = (from.index(), from.other().index());
        let is_first = !std::mem::replace(&mut self.seen[own], true);
        let is_alone = !self.seen[other];
        let begins = is_first && is_alone;
        let [source, destination] = [frame.mac.map(|macs| macs.source), frame.mac.map(|macs| macs.destination)];
        let host = &mut self.ends[own].host;
        let mut has_moved = !begins && (host.mac, host.vlan) != (source, frame.vlan);
        (host.mac, host.vlan) = (source, frame.vlan);
        if is_alone {
            let host = &mut self.ends[other].host;
            has_moved |= !begins && (host.mac, host.vlan) != (destination, frame.vlan);
            (host.mac, host.vlan) = (destination, frame.vlan);
        }
        match (has_moved, is_first) {
            (true, _) => Sight::Moved,
            (false, true) => Sight::First,
            (false, false) => Sight::Known,
        }
    }
}

impl Talk {
    /// What is known about what is spoken.
    fn spoken(&self) -> Spoken {
        match (&self.content, self.facts.protocol_name()) {
            (Content::Other, _) => Spoken::Unrecognised,
            (_, Some(name)) => Spoken::Protocol(name),
            (_, None) => Spoken::NotYet,
        }
    }

    /// Hardware address or VLAN of an end are others than those by which it was judged: where it belongs may have changed.
    #[cold]
    pub(in crate::worker) fn has_moved(&mut self, stamp: &Stamp, desk: &mut Desk) {
        self.facts.forget_text();
        if self.facts.ruling.is_some() {
            let judge_by = self.facts.judge_by;
            self.judge(self.spoken(), stamp, desk);
            self.facts.judge_by = judge_by;
        }
    }
}
