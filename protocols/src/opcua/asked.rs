//! Requests that wait for their answer, as small as they can be kept.
//!
//! Of a request of a service, the bytes behind its header are kept: its parts are found in them again beside the results
//! in the answer. They are fewer than anything that could be made of them, and nothing is made of what nobody asks for.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::binary::Standard;
use super::security_policy::Suite;
use super::service::{Item, Service, Subject, items};
use crate::dissector::{Function, Outcome, RequestRef, Sink, Stamp};
use crate::operation::{Class, Operation, Target, Values};
use crate::pending::Waiting;
use crate::reader::Reader;
use crate::security::{Mode, UserKind};

/// The client opens a connection. It has no number.
pub(super) const HELLO: Function = Function { name: "hello", code: 0, class: Class::Session };
/// The server has opened the TCP connection.
pub(super) const REVERSE_HELLO: Function = Function { name: "reverse_hello", code: 0, class: Class::Session };
/// The server ends a connection that was open.
pub(super) const ERROR: Function = Function { name: "error", code: 0, class: Class::Session };
/// The sender gives a message in chunks up.
pub(super) const ABORT: Function = Function { name: "abort", code: 0, class: Class::Session };
/// Something that a client says and that cannot be read.
pub(super) const ENCRYPTED_REQUEST: Function = Function { name: "encrypted_request", code: 0, class: Class::Opaque };
/// The same of a server.
pub(super) const ENCRYPTED_RESPONSE: Function = Function { name: "encrypted_response", code: 0, class: Class::Opaque };

/// What is not a service.
pub(super) const TRANSPORT: [Function; 6] = [HELLO, REVERSE_HELLO, ERROR, ABORT, ENCRYPTED_REQUEST, ENCRYPTED_RESPONSE];

/// A request without an answer so far.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) requested: Stamp,
    /// Number of the request in its flow.
    pub(super) number: u32,
    /// Number of its channel; 0 for none.
    pub(super) channel: u32,
    /// Number of the request in its sequence header, where that can be read: the answer has the same.
    pub(super) id: Option<u32>,
    pub(super) what: What,
}

/// What is asked for.
#[derive(Debug)]
pub(super) enum What {
    /// A connection, to the endpoint of this URL.
    Hello(Box<[u8]>),
    /// A secure channel, or a new token for one.
    Open(Box<Opened>),
    /// ActivateSession. Its secrets are not kept.
    Login(Box<Login>),
    /// Any other service.
    Service(Request),
}

/// What is known of the opening of a channel.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) suite: Suite,
    pub(super) mode: Option<Mode>,
    pub(super) is_renewal: bool,
    /// Sequence number of the request, where it can be read.
    pub(super) sequence: Option<u32>,
}

/// Who activates a session.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) kind: UserKind,
    pub(super) name: Box<[u8]>,
}

/// A request of a service.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) service: Service,
    /// Somebody waits for the outcome of one of its operations.
    pub(super) is_awaited: bool,
    /// How many operations it has, if nothing of their results matters but how many ended how: then nothing else of it is
    /// kept. 0 if there is more to them.
    pub(super) counted: u16,
    /// The number of its encoding.
    pub(super) code: u32,
    /// What follows its header.
    pub(super) content: Vec<u8>,
}

impl Request {
    /// Visits its operations in order: each with its position. There are never more than a position can count.
    pub(super) fn each<'r>(&'r self, mut visit: impl FnMut(u16, &Item<'r>)) {
        let mut next = Some(0_u16);
        // What was wrong with it was said when it came.
        let _ = items(self.service, Reader::new(&self.content), Standard, |item| {
            if let Some(index) = next {
                visit(index, item);
                next = index.checked_add(1);
            }
        });
    }

    /// One of its operations in the neutral form.
    #[inline]
    pub(super) fn operation<'v>(&self, item: &'v Item<'_>, values: Values<'v>) -> Operation<'v> {
        operation(self.service, self.code, item, values)
    }
}

/// One part of a request in the neutral form. What changes passwords and keys travels with them: they are never told.
#[inline]
pub(super) fn operation<'v>(service: Service, code: u32, item: &'v Item<'_>, values: Values<'v>) -> Operation<'v> {
    let values = if item.class == Class::Security { Values::None } else { values };
    Operation {
        class: item.class,
        function: service.name(),
        code,
        ambiguous: false,
        target: item.subject.target(),
        values,
    }
}

/// A function that has no parts.
pub(super) fn plain<'v>(function: Function, target: Target<'v>, values: Values<'v>) -> Operation<'v> {
    Operation { class: function.class, function: function.name, code: function.code, ambiguous: false, target, values }
}

impl Asked {
    /// Tells the outcome of one of its operations.
    #[inline]
    pub(super) fn conclude_one(
        &self,
        item: u16,
        operation: &Operation<'_>,
        outcome: Outcome,
        (stamp, sink): (&Stamp, &mut dyn Sink),
    ) {
        sink.outcome(
            RequestRef { request: self.number, item: item.into() },
            operation,
            outcome,
            &self.requested,
            stamp,
        );
    }

    /// The service that it asks for, if it is one.
    #[inline]
    pub(super) fn service(&self) -> Option<Service> {
        match &self.what {
            What::Hello(_) => None,
            What::Open(_) => Some(Service::OpenSecureChannel),
            What::Login(_) => Some(Service::ActivateSession),
            What::Service(request) => Some(request.service),
        }
    }
}

impl Opened {
    pub(super) fn operation(&self) -> Operation<'_> {
        let target = Target::Channel { mode: self.mode, policy: self.suite.name() };
        plain(function(Service::OpenSecureChannel), target, Values::None)
    }
}

impl Login {
    pub(super) fn operation(&self) -> Operation<'_> {
        let target = Target::User { kind: self.kind, name: &self.name };
        plain(function(Service::ActivateSession), target, Values::None)
    }
}

/// A service as a function.
pub(super) fn function(service: Service) -> Function {
    Function { name: service.name(), code: service.code(), class: service.class() }
}

impl Waiting for Asked {
    #[inline]
    fn requested(&self) -> &Stamp {
        &self.requested
    }

    fn conclude(&self, outcome: Outcome, stamp: &Stamp, sink: &mut dyn Sink) {
        match &self.what {
            What::Hello(url) => {
                self.conclude_one(0, &plain(HELLO, Target::Endpoint { url }, Values::None), outcome, (stamp, sink));
            }
            What::Open(opened) => self.conclude_one(0, &opened.operation(), outcome, (stamp, sink)),
            What::Login(login) => self.conclude_one(0, &login.operation(), outcome, (stamp, sink)),
            What::Service(request) if request.counted > 0 => sink.ended(outcome, request.counted.into()),
            What::Service(request) => request.each(|index, item| {
                self.conclude_one(index, &request.operation(item, Values::None), outcome, (stamp, &mut *sink));
            }),
        }
    }
}

/// An operation that names nothing.
pub(super) fn whole<'a>(service: Service) -> Item<'a> {
    Item { class: service.class(), subject: Subject::None, values: Values::None, handle: 0, deviation: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_request_stays_small() {
        assert!(size_of::<Asked>() <= 88, "{}", size_of::<Asked>());
    }
}
