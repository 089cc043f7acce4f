//! Answers: how every operation of a request ended, and what it says about the flow.

use super::Context;
use super::aliases::ANY_SESSION;
use super::binary::Encoded;
use super::exchange::{Exchange, ReceivedMessage, refused};
use super::pending_request::{self, Kept, PendingRequest, Replayed, Request, What};
use super::results::Results;
use super::service::{
    Answer, Answers, BatchSummary, Endings, Found, Item, Message, Notification, Published, ResponseHeader, Service,
    Subject, endpoints, find_servers, notifications,
};
use super::{inventory, session};
use crate::dissector::{AnomalyKind, Outcome, RequestRef};
use crate::fault::Fault;
use crate::operation::{Node, NodeTarget, Target, Values};
use crate::pending::Waiting;
use crate::reader::Reader;

impl Exchange {
    pub(super) fn on_response(&mut self, received: &ReceivedMessage<'_>, context: &mut Context<'_>) {
        let Message { service, mut content, .. } = received.message;
        let header = match ResponseHeader::read(&mut content) {
            Ok(header) => header,
            Err(fault) => return fault.report(received.is_cut, context),
        };
        let is_fault = header.result.is_bad() || service == Service::ServiceFault;
        let refusal = is_fault.then(|| refused(header.result));
        let counted = if is_fault { None } else { self.counted(received, header.time, content, context) };
        let result = counted.unwrap_or_else(|| self.any_response(received, header.time, refusal, content, context));
        if let Err(fault) = result {
            fault.report(received.is_cut, context);
        }
    }

    /// The answer to the only request that waits, if there is nothing to tell but how many of its operations ended how.
    #[inline]
    fn counted(
        &mut self,
        received: &ReceivedMessage<'_>,
        time: i64,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Option<Result<(), Fault>> {
        let only = self.pending.only()?;
        let What::Service(Request { service, kept: Kept::Counted(count), .. }) = only.what else { return None };
        let is_meant =
            service == received.message.service && (only.channel, only.id) == (received.channel, Some(received.id));
        let result = is_meant.then(|| count_results(service, count, content, context))?;
        self.pending.forget_only();
        if service == Service::Write {
            self.recent_answers.insert(received.answer_key(time));
        }
        Some(result)
    }

    /// Any answer. `refusal`: it refuses the request as a whole.
    fn any_response(
        &mut self,
        received: &ReceivedMessage<'_>,
        time: i64,
        refusal: Option<Outcome>,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let service = received.message.service;
        let asked =
            self.asked_by(received).or_else(|| self.only_request(received, refusal.is_some(), content, context));
        if asked.is_none() {
            let value = Some(service.response_code());
            context.anomaly(AnomalyKind::Unmatched, "answer_without_request", value);
        } else if service.is_change() {
            self.recent_answers.insert(received.answer_key(time));
        }
        match (asked, refusal) {
            (Some(asked), Some(refusal)) => {
                self.aliases.answered(asked.number);
                asked.conclude(refusal, context.stamp, context.sink);
                release(asked, context);
                Ok(())
            }
            (None, Some(_)) => Ok(()),
            (Some(asked), None) => {
                let result = self.answered(&asked, service, content, context);
                release(asked, context);
                result
            }
            (None, None) => {
                if service.is_change() && !self.recent_answers.contains(received.answer_key(time)) {
                    self.report_unseen(service, content, context);
                    self.recent_answers.insert(received.answer_key(time));
                }
                self.learn(service, None, content, context)
            }
        }
    }

    /// The request that an answer belongs to.
    #[inline]
    fn asked_by(&mut self, received: &ReceivedMessage<'_>) -> Option<PendingRequest> {
        let service = received.message.service;
        let is_asked_by = |asked: &PendingRequest| {
            asked.channel == received.channel
                && asked.id == Some(received.id)
                && (asked.service() == Some(service) || service == Service::ServiceFault)
        };
        let found = match service {
            Service::Publish => None,
            _ => self.pending.take(is_asked_by, |_| true),
        };
        match (found, service) {
            (Some((asked, _)), _) => Some(asked),
            (None, Service::Publish | Service::ServiceFault) => {
                self.publishes.take(is_asked_by, |_| true).map(|(asked, _)| asked)
            }
            (None, _) => None,
        }
    }

    /// The only pending request, if an answer with another number fits it by service and number of results. Not where bytes
    /// are missing or the answer is overdue: it may belong to another request.
    fn only_request(
        &mut self,
        received: &ReceivedMessage<'_>,
        is_refused: bool,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Option<PendingRequest> {
        let (service, only) = (received.message.service, self.pending.only()?);
        let What::Service(request) = &only.what else { return None };
        let age = context.stamp.clock.saturating_sub(only.requested.clock);
        let is_meant =
            !self.is_lossy && age <= self.timeout && only.channel == received.channel && request.service == service;
        if !is_meant || !(is_refused || has_as_many_results(request, content)) {
            return None;
        }
        context.anomaly(AnomalyKind::Unmatched, "answer_with_other_number", Some(received.id));
        self.pending.take(|_| true, |_| true).map(|(asked, _)| asked)
    }

    /// Tells how each operation of a request ended.
    fn answered(
        &mut self,
        asked: &PendingRequest,
        service: Service,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let What::Service(request) = &asked.what else {
            asked.conclude(Outcome::Accepted, context.stamp, context.sink);
            return Ok(());
        };
        if let Kept::Counted(count) = request.kept {
            return count_results(request.service, count, content, context);
        }
        if service == Service::Publish && !request.is_awaited {
            // It has no parts and no results of its own.
            context.sink.ended(Outcome::Accepted, 1);
            return self.reported(service, Some((asked, request)), content, context);
        }
        let (result, differing) = match Answers::read(service, content) {
            Ok(answers) => self.results(asked, request, answers, context),
            Err(fault) => {
                asked.conclude(Outcome::Accepted, context.stamp, context.sink);
                (Err(fault), 1)
            }
        };
        if service == Service::RegisterNodes {
            self.registered(asked.number, request, result.is_ok() && differing == 0);
        }
        result.and(self.learn(service, Some((asked, request)), content, context))
    }

    /// Concludes each operation of a request with its result. Returns also how many results are missing or too many.
    fn results(
        &mut self,
        asked: &PendingRequest,
        request: &Request,
        answers: Answers<'_>,
        context: &mut Context<'_>,
    ) -> (Result<(), Fault>, u32) {
        let mut results = Results::new(answers);
        let subscription = request.subscription();
        let mut is_certain = true;
        request.each(|replayed| {
            let Found { result, is_rest, is_ambiguous, .. } = *replayed.found;
            is_certain &= !is_ambiguous && !is_rest;
            let answer = if is_rest { results.rest(result) } else { results.at(result) };
            let (outcome, values) = ending(answer);
            if request.is_awaited {
                let operation = request.operation(replayed, values);
                asked.conclude_one(replayed.number, &operation, outcome, (context.stamp, &mut *context.sink));
            } else {
                context.sink.ended(outcome, 1);
            }
            if let Some(answer) = answer
                && !answer.status.is_bad()
            {
                self.settled(request, subscription, replayed, &answer, context);
            }
        });
        let differing = results.missing + results.extra();
        (results.end(is_certain && !matches!(request.kept, Kept::Concluded), context), differing)
    }

    /// What an operation that was done means for later ones.
    #[inline]
    fn settled(
        &mut self,
        request: &Request,
        subscription: u32,
        replayed: &Replayed<'_, '_>,
        answer: &Answer<'_>,
        context: &mut Context<'_>,
    ) {
        let item = replayed.item;
        match (request.service, item.subject) {
            (Service::Read, Subject::Node(target)) => inventory::identify(&target.node, answer.values, context),
            (Service::CreateMonitoredItems, subject) => {
                context.sink.takes_memory();
                if !self.subscriptions.enter(subscription, answer.number, item.handle, &subject) {
                    context.anomaly(AnomalyKind::Limit, "monitored_items", None);
                }
            }
            (Service::ModifyMonitoredItems, Subject::MonitoredItem { subscription, item: number }) => {
                self.subscriptions.rename(subscription, number, item.handle);
            }
            (Service::DeleteMonitoredItems, Subject::MonitoredItem { subscription, item: number }) => {
                self.subscriptions.leave(subscription, number);
            }
            (Service::DeleteSubscriptions, Subject::Subscription(number)) => self.subscriptions.delete(number),
            (Service::RegisterNodes | Service::UnregisterNodes | Service::CloseSession, _) => {
                self.update_aliases(request, replayed, answer, context);
            }
            _ => {}
        }
    }

    /// What an answer says beyond the results of its request, which need not have been seen.
    fn learn(
        &mut self,
        service: Service,
        asked: Option<(&PendingRequest, &Request)>,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        match service {
            Service::GetEndpoints => session::offered(endpoints(content)?, context),
            Service::CreateSession => session::created(content, context),
            Service::FindServers => session::found(find_servers(content)?, context),
            Service::Publish | Service::Republish => self.reported(service, asked, content, context),
            Service::RegisterNodes if asked.is_none() => self.insert_unseen(content, context),
            _ => Ok(()),
        }
    }

    /// What a subscription reports: an operation for each notification, behind the request that fetched them.
    fn reported(
        &mut self,
        service: Service,
        asked: Option<(&PendingRequest, &Request)>,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let (number, mut next) = match asked {
            Some((asked, _)) => (asked.number, 1),
            None => (self.number(), 0_u32),
        };
        let named = asked.map_or(0, |(_, request)| request.subscription());
        let summary = if service == Service::Publish { self.subscriptions.summary(content) } else { None };
        let subscriptions = &self.subscriptions;
        if let Some(BatchSummary { class, count, namespaces }) = summary
            && context.sink.pass(class, namespaces, count)
        {
            context.sink.ended(Outcome::Accepted, count);
            return Ok(());
        }
        let mut place = || {
            let item = next;
            next = next.saturating_add(1);
            RequestRef { request: number, item }
        };
        let result = notifications(service, content, |published: &Published, notification| {
            let subscription = published.subscription.unwrap_or(named);
            let (subject, values) = match *notification {
                Notification::Data { handle, values, .. } | Notification::Event { handle, values } => {
                    (subscriptions.subject(subscription, handle), values)
                }
                Notification::Status(_) => (Subject::Subscription(subscription), Values::None),
            };
            report(service, place(), (subject, values), context);
        });
        if result.is_err() {
            report(service, place(), (Subject::Unread("notification"), Values::None), context);
        }
        result.map(|_| ())
    }
}

/// Announces one notification of a subscription.
#[inline]
fn report(service: Service, at: RequestRef, (subject, values): (Subject<'_>, Values<'_>), context: &mut Context<'_>) {
    let item = Item { subject, ..pending_request::whole(Service::Publish) };
    let operation = pending_request::operation(service, service.code(), &item, values);
    if context.sink.operation(at, &operation, context.stamp) {
        context.sink.outcome(at, &operation, Outcome::Accepted, context.stamp, context.stamp);
    } else {
        context.sink.ended(Outcome::Accepted, 1);
    }
}

/// Aliases of nodes.
impl Exchange {
    /// Updates the aliases with one result of RegisterNodes, UnregisterNodes or CloseSession.
    fn update_aliases(
        &mut self,
        request: &Request,
        replayed: &Replayed<'_, '_>,
        answer: &Answer<'_>,
        context: &mut Context<'_>,
    ) {
        let Some(session) = request.session() else { return };
        match (request.service, replayed.found.item.subject, replayed.item.subject) {
            (Service::CloseSession, ..) => self.aliases.close_session(session),
            (Service::UnregisterNodes, Subject::Node(alias), _) => self.aliases.remove(session, &alias.node),
            (Service::RegisterNodes, _, subject) => {
                let node = if let Subject::Node(target) = subject { Some(target.node) } else { None };
                let Some(alias) = node_of(answer) else { return };
                context.sink.takes_memory();
                if !self.aliases.insert(session, &alias, node.as_ref()) {
                    context.anomaly(AnomalyKind::Limit, "registered_nodes", None);
                }
            }
            _ => {}
        }
    }

    /// RegisterNodes was answered. `is_whole`: the answer has an alias for each node, and no other.
    fn registered(&mut self, number: u32, request: &Request, is_whole: bool) {
        if !is_whole && let Some(session) = request.session() {
            self.aliases.mark_unknown(session);
        }
        self.aliases.answered(number);
    }

    /// Inserts the aliases of a RegisterNodes response without its request: the nodes behind them are not known.
    fn insert_unseen(&mut self, content: Reader<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
        context.sink.takes_memory();
        for answer in Answers::read(Service::RegisterNodes, content)? {
            if let Some(alias) = node_of(&answer?)
                && !self.aliases.insert(ANY_SESSION, &alias, None)
            {
                context.anomaly(AnomalyKind::Limit, "registered_nodes", None);
            }
        }
        Ok(())
    }
}

/// The node that a result names.
fn node_of<'a>(answer: &Answer<'a>) -> Option<Node<'a>> {
    let Values::Typed { bytes, .. } = answer.values else { return None };
    Node::read(&mut Reader::new(bytes)).ok()
}

/// Answers to requests that are not in the capture.
impl Exchange {
    /// Reports what the server carried out: one operation for each good result.
    fn report_unseen(&mut self, service: Service, content: Reader<'_>, context: &mut Context<'_>) {
        let Ok(answers) = Answers::read(service, content) else { return };
        let most = if service.has_results() { usize::MAX } else { 1 };
        let number = self.number();
        let done = answers.take(most).map_while(Result::ok).filter(|answer| !answer.status.is_bad());
        for (place, answer) in (0..).zip(done) {
            let node = if service == Service::AddNodes { node_of(&answer) } else { None };
            let target = node.map(|node| NodeTarget { node, attribute: None, range: &[] });
            let target = target.as_ref().map_or(Target::Unread { part: "target" }, Target::Node);
            let values = if service == Service::Call { answer.values } else { Values::None };
            let operation = pending_request::plain(pending_request::function(service), target, values);
            context.sink.request_unseen(RequestRef { request: number, item: place }, &operation, context.stamp);
        }
    }
}

/// The memory of a request that was answered is needed no more.
fn release(asked: PendingRequest, context: &mut Context<'_>) {
    if let What::Service(request) = asked.what {
        context.sink.give_back(request.into_bytes());
    }
}

/// Counts the results of a request of which nothing else is kept.
fn count_results(service: Service, count: u32, content: Reader<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
    if let Some(Endings { good, bad, why }) = Endings::of(service, content, count) {
        context.sink.ended(Outcome::Accepted, good);
        if bad > 0 {
            context.sink.ended(refused(why), bad);
        }
        return Ok(());
    }
    let answers = match Answers::read(service, content) {
        Ok(answers) => answers,
        Err(fault) => {
            context.sink.ended(Outcome::Accepted, count);
            return Err(fault);
        }
    };
    let mut results = Results::new(answers);
    for place in 0..count {
        let (outcome, _) = ending(results.at(place));
        context.sink.ended(outcome, 1);
    }
    results.end(true, context)
}

/// Whether an answer has as many results as its request has operations.
fn has_as_many_results(request: &Request, content: Reader<'_>) -> bool {
    let Ok(answers) = Answers::read(request.service, content) else { return false };
    let mut count = 0;
    match request.kept {
        Kept::Counted(counted) => count = counted,
        _ => request.each(|_| count += 1),
    }
    !request.service.has_results() || answers.left() == count as usize
}

/// How an operation ended, and with which values. One without a result ended as the request did, which was accepted.
#[inline]
fn ending(answer: Option<Answer<'_>>) -> (Outcome, Values<'_>) {
    match answer {
        None => (Outcome::Accepted, Values::None),
        Some(answer) if answer.status.is_bad() => (refused(answer.status), Values::None),
        Some(answer) => (Outcome::Accepted, answer.values),
    }
}
