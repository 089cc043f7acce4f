//! Answers to broadcasts. Who calls into the network for a name or an address is answered by hosts that it did not name:
//! what they send to it is an answer, and no conversation that they begin.
//!
//! The call and its answers are conversations of different pairs of hosts, so that only here both are seen.

use lockkeeper_protocols::Side;

use super::table::{LruTable, make_room};
use super::{Endpoint, Finding, What};
use crate::policy::{Carrier, Denial, is_service_port};

/// Bounded tables; what was not used for longest leaves first.
#[derive(Debug)]
pub(super) struct Calls {
    /// What each caller called last.
    calls: LruTable<(Caller, Carrier, u16), Call>,
    /// What was taken for an answer, by conversation: a denial as soon as the caller speaks there as well.
    answers: LruTable<u64, (Box<Finding>, Denial)>,
}

/// Who calls: the hardware, where it has no address yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Caller {
    Ip(std::net::IpAddr),
    Mac([u8; 6]),
}

#[derive(Clone, Copy, Debug)]
struct Call {
    /// The port that was called.
    to: u16,
    /// Packet clock.
    clock: i64,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self { calls: LruTable::default(), answers: LruTable::default() }
    }

    /// One side of a conversation has called the other, which is a multicast or broadcast address.
    pub(super) fn add_call(&mut self, base: &Finding, clock: i64) {
        let (caller, called) = match base.flow_verdict.is_to_all(Side::Client) {
            true => (&base.server, &base.client),
            false => (&base.client, &base.server),
        };
        let Some(name) = callers(caller).next() else { return };
        make_room(&mut self.calls, MOST);
        self.calls.insert((name, base.carrier, caller.port), Call { to: called.port, clock });
    }

    /// A conversation is denied in which only one side has spoken. Returns what is to be told: nothing yet where that may
    /// be an answer to a call.
    pub(super) fn take_unasked(
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
        // What there is no room for is told after all.
        forgotten.map(|(_, (base, denial))| denied(base, denial))
    }

    /// The other side speaks as well in a conversation that was denied: it was no answer, if it was taken for one.
    pub(super) fn take_asked(&mut self, base: Box<Finding>, denial: Denial) -> Option<Box<Finding>> {
        self.answers.remove(&base.conversation).map(|_| denied(base, denial))
    }

    /// Whether what one side says goes to a port from which the other has just called: from the port that was called, or
    /// to a port that is the caller's own, where some services answer from another one.
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

/// As what a caller may be known: by its address, and by its hardware where it may have called without one.
fn callers(end: &Endpoint) -> impl Iterator<Item = Caller> {
    let ip = end.host.ip.filter(|ip| !ip.is_unspecified()).map(Caller::Ip);
    ip.into_iter().chain(end.host.mac.map(Caller::Mac))
}

fn denied(base: Box<Finding>, denial: Denial) -> Box<Finding> {
    Box::new(Finding { what: What::Denied(denial), ..*base })
}

/// How long after a call something may be an answer to it, nanoseconds.
const WINDOW: i64 = 10_000_000_000;

/// Entries of each table: 150 bytes of a call, 400 of an answer.
const MOST: usize = 4096;

/// Ports below this belong to services, and are no caller's own.
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

    /// 10.20.1.10 calls.
    fn called(clock: i64) -> Calls {
        let mut call = datagrams(0);
        (call.client, call.server) = (call.server, call.client);
        let mut calls = Calls::new();
        calls.add_call(&call, clock);
        calls
    }

    #[test]
    fn an_answer_is_held_back_until_the_caller_speaks_to_the_one_that_answers() {
        let mut calls = called(0);
        assert!(calls.take_unasked(datagrams(1), DENIAL, Side::Client, WINDOW).is_none());
        assert!(calls.take_asked(datagrams(2), DENIAL).is_none(), "another conversation");
        assert!(calls.take_asked(datagrams(1), DENIAL).is_some());
        assert!(calls.take_asked(datagrams(1), DENIAL).is_none(), "once");
    }

    #[test]
    fn what_nobody_called_for_is_told() {
        assert!(Calls::new().take_unasked(datagrams(1), DENIAL, Side::Client, 0).is_some());
        assert!(called(0).take_unasked(datagrams(1), DENIAL, Side::Client, WINDOW + 1).is_some(), "too late");
        assert!(called(0).take_unasked(datagrams(1), DENIAL, Side::Server, 0).is_some(), "the caller itself");
        let mut other = datagrams(1);
        other.carrier = Carrier::Ip(1);
        assert!(called(0).take_unasked(other, DENIAL, Side::Client, 0).is_some(), "another carrier");
    }

    #[test]
    fn an_answer_for_which_there_is_no_room_is_told_after_all() {
        let mut calls = called(0);
        let told =
            (0..MOST as u64 + 3).filter_map(|number| calls.take_unasked(datagrams(number), DENIAL, Side::Client, 0));
        assert_eq!(told.map(|finding| finding.conversation).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
