//! Answers to broadcasts. A host that calls into the network for a name or an address is answered by hosts that it did not
//! name: what they send to it is an answer, not a conversation that they begin.
//!
//! The call and its answers are conversations of different pairs of hosts, so only the correlator sees both.

use lockkeeper_protocols::Side;

use super::table::{LruTable, make_room};
use super::{Endpoint, Finding, FindingKind};
use crate::policy::{Carrier, Denial, is_service_port};

/// Bounded tables; the least recently used entry leaves first.
#[derive(Debug)]
pub(super) struct Calls {
    /// The latest call of each caller.
    calls: LruTable<(Caller, Carrier, u16), Call>,
    /// Denials that are held back as answers, by conversation; they are published if the caller sends there as well.
    answers: LruTable<u64, (Box<Finding>, Denial)>,
}

/// A caller: by its hardware address if it has no IP address yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Caller {
    Ip(std::net::IpAddr),
    Mac([u8; 6]),
}

#[derive(Clone, Copy, Debug)]
struct Call {
    /// The called port.
    to: u16,
    /// Packet clock of the call.
    clock: i64,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self { calls: LruTable::default(), answers: LruTable::default() }
    }

    /// Records that one side of a conversation called the other, which is a multicast or broadcast address.
    pub(super) fn add_call(&mut self, base: &Finding, clock: i64) {
        let (caller, called) = match base.flow_verdict.is_to_all(Side::Client) {
            true => (&base.server, &base.client),
            false => (&base.client, &base.server),
        };
        let Some(name) = callers(caller).next() else { return };
        make_room(&mut self.calls, MOST);
        self.calls.insert((name, base.carrier, caller.port), Call { to: called.port, clock });
    }

    /// Handles the denial of a conversation in which only one side has sent. Returns the finding to publish: none yet if the
    /// conversation may be an answer to a call, and an older one if there is no more room to hold it back.
    pub(super) fn handle_unasked(
        &mut self,
        base: Box<Finding>,
        denial: Denial,
        by: Side,
        clock: i64,
    ) -> Option<Box<Finding>> {
        if !self.is_answer(&base, by, clock) {
            return Some(denied(base, denial));
        }
        let forgotten = if self.answers.len() >= MOST { self.answers.pop_front() } else { None };
        self.answers.insert(base.conversation, (base, denial));
        forgotten.map(|(_, (base, denial))| denied(base, denial))
    }

    /// Handles the denial of a conversation in which the other side sends as well. Returns the finding if it was held back: the
    /// conversation is not an answer.
    pub(super) fn handle_asked(&mut self, base: Box<Finding>, denial: Denial) -> Option<Box<Finding>> {
        self.answers.remove(&base.conversation).map(|_| denied(base, denial))
    }

    /// Whether side `by` answers a call: it sends to the port from which the other side has just called, from the called port,
    /// or from any port if the caller's port is its own (some services answer from another port).
    fn is_answer(&mut self, base: &Finding, by: Side, clock: i64) -> bool {
        let (answerer, caller) = match by {
            Side::Client => (&base.client, &base.server),
            Side::Server => (&base.server, &base.client),
        };
        let is_own = caller.port >= FIRST_USER_PORT && !is_service_port(base.carrier, caller.port);
        callers(caller).any(|name| {
            let call = self.calls.to_back(&(name, base.carrier, caller.port));
            call.is_some_and(|call| clock.saturating_sub(call.clock) <= WINDOW && (call.to == answerer.port || is_own))
        })
    }
}

/// The callers that an end may be: by its IP address, and by its hardware address, as it may have called without one.
fn callers(end: &Endpoint) -> impl Iterator<Item = Caller> {
    let ip = end.host.ip.filter(|ip| !ip.is_unspecified()).map(Caller::Ip);
    ip.into_iter().chain(end.host.mac.map(Caller::Mac))
}

fn denied(base: Box<Finding>, denial: Denial) -> Box<Finding> {
    Box::new(Finding { what: FindingKind::Denied(denial), ..*base })
}

/// The time after a call within which an answer may come, nanoseconds.
const WINDOW: i64 = 10_000_000_000;

/// Entries of each table: 150 bytes of a call, 400 of an answer.
const MOST: usize = 4096;

/// Ports below this one belong to services and are never a caller's own.
const FIRST_USER_PORT: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Reason, Rule};
    use crate::record::testing;

    /// A conversation of datagrams from 10.20.9.9, port 137, to 10.20.1.10, port 137.
    fn datagrams(conversation: u64) -> Box<Finding> {
        let mut base = Finding { conversation, carrier: Carrier::Udp, operation: None, ..testing::finding(0) };
        (base.client.port, base.server.port) = (137, 137);
        Box::new(base)
    }

    const DENIAL: Denial = Denial { rule: Rule::ConduitUndeclared, flow: None, reason: Reason::Plain };

    /// After a call by 10.20.1.10.
    fn called(clock: i64) -> Calls {
        let mut call = datagrams(0);
        (call.client, call.server) = (call.server, call.client);
        let mut calls = Calls::new();
        calls.add_call(&call, clock);
        calls
    }

    #[test]
    fn an_answer_is_held_back_until_the_caller_sends_to_the_answering_host() {
        let mut calls = called(0);
        assert!(calls.handle_unasked(datagrams(1), DENIAL, Side::Client, WINDOW).is_none());
        assert!(calls.handle_asked(datagrams(2), DENIAL).is_none(), "another conversation");
        assert!(calls.handle_asked(datagrams(1), DENIAL).is_some());
        assert!(calls.handle_asked(datagrams(1), DENIAL).is_none(), "once");
    }

    #[test]
    fn a_conversation_without_a_call_is_published() {
        assert!(Calls::new().handle_unasked(datagrams(1), DENIAL, Side::Client, 0).is_some());
        assert!(called(0).handle_unasked(datagrams(1), DENIAL, Side::Client, WINDOW + 1).is_some(), "too late");
        assert!(called(0).handle_unasked(datagrams(1), DENIAL, Side::Server, 0).is_some(), "the caller itself");
        let mut other = datagrams(1);
        other.carrier = Carrier::Ip(1);
        assert!(called(0).handle_unasked(other, DENIAL, Side::Client, 0).is_some(), "another carrier");
    }

    #[test]
    fn the_oldest_answer_is_published_when_there_is_no_room() {
        let mut calls = called(0);
        let published =
            (0..MOST as u64 + 3).filter_map(|number| calls.handle_unasked(datagrams(number), DENIAL, Side::Client, 0));
        assert_eq!(published.map(|finding| finding.conversation).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
