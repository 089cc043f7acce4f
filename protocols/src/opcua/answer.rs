//! Answers: the outcome of each operation of a request, and what they reveal about the flow.

use super::Context;
use super::aliases::ANY_SESSION;
use super::binary::Encoded;
use super::exchange::{Exchange, ReceivedMessage, refusal};
use super::pending_request::{self, PendingRequest, ReplayedItem, RequestKind, Retention, ServiceRequest};
use super::results::ResultCursor;
use super::service::{
    BatchSummary, Item, ItemResult, ItemResults, Message, Notification, PossibleItem, Published, ResponseHeader,
    ResultCounts, Service, Subject, read_endpoints, read_servers, visit_notifications,
};
use super::{inventory, session};
use crate::dissector::{AnomalyKind, Outcome, RequestRef};
use crate::fault::Fault;
use crate::operation::{Node, NodeTarget, Target, Values};
use crate::pending::Waiting;
use crate::reader::Reader;

impl Exchange {
    /// Decodes an answer and concludes its request.
    pub(super) fn on_response(&mut self, received: &ReceivedMessage<'_>, context: &mut Context<'_>) {
        let Message { service, mut content, .. } = received.message;
        let header = match ResponseHeader::read(&mut content) {
            Ok(header) => header,
            Err(fault) => return fault.report(received.is_truncated, context),
        };
        let is_fault = header.result.is_bad() || service == Service::ServiceFault;
        let refusal = is_fault.then(|| refusal(header.result));
        let counted = if is_fault { None } else { self.try_count_results(received, header.time, content, context) };
        let result = counted.unwrap_or_else(|| self.correlate(received, header.time, refusal, content, context));
        if let Err(fault) = result {
            fault.report(received.is_truncated, context);
        }
    }

    /// Counts the results of an answer, if its request is the only pending one and only its operations are counted. Returns
    /// `None` otherwise; nothing has changed then.
    #[inline]
    fn try_count_results(
        &mut self,
        received: &ReceivedMessage<'_>,
        time: i64,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Option<Result<(), Fault>> {
        let only = self.pending.only()?;
        let RequestKind::Service(ServiceRequest { service, retained: Retention::Count(count), .. }) = only.kind else {
            return None;
        };
        let is_meant =
            service == received.message.service && (only.channel, only.id) == (received.channel, Some(received.id));
        let result = is_meant.then(|| count_results(service, count, content, context))?;
        self.pending.forget_only();
        if service == Service::Write {
            self.recent_answers.insert(received.answer_key(time));
        }
        Some(result)
    }

    /// Pairs an answer with its request and concludes it. `refusal`: the outcome if the request as a whole was refused.
    fn correlate(
        &mut self,
        received: &ReceivedMessage<'_>,
        time: i64,
        refusal: Option<Outcome>,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let service = received.message.service;
        let pending = self
            .remove_request(received)
            .or_else(|| self.remove_only_request(received, refusal.is_some(), content, context));
        if pending.is_none() {
            let value = Some(service.response_code());
            context.anomaly(AnomalyKind::Unmatched, "answer_without_request", value);
        } else if service.is_change() {
            self.recent_answers.insert(received.answer_key(time));
        }
        match (pending, refusal) {
            (Some(pending), Some(refusal)) => {
                self.aliases.complete_registration(pending.number);
                pending.report_outcomes(refusal, context.stamp, context.sink);
                release_memory(pending, context);
                Ok(())
            }
            (None, Some(_)) => Ok(()),
            (Some(pending), None) => {
                let result = self.conclude_request(&pending, service, content, context);
                release_memory(pending, context);
                result
            }
            (None, None) => {
                if service.is_change() && !self.recent_answers.contains(received.answer_key(time)) {
                    self.report_unseen_request(service, content, context);
                    self.recent_answers.insert(received.answer_key(time));
                }
                self.report_content(service, None, content, context)
            }
        }
    }

    /// Removes and returns the pending request with the channel, id and service of an answer.
    #[inline]
    fn remove_request(&mut self, received: &ReceivedMessage<'_>) -> Option<PendingRequest> {
        let service = received.message.service;
        let matches = |pending: &PendingRequest| {
            pending.channel == received.channel
                && pending.id == Some(received.id)
                && (pending.service() == Some(service) || service == Service::ServiceFault)
        };
        let found = match service {
            Service::Publish => None,
            _ => self.pending.take(matches, |_| true),
        };
        match (found, service) {
            (Some((pending, _)), _) => Some(pending),
            (None, Service::Publish | Service::ServiceFault) => {
                self.publishes.take(matches, |_| true).map(|(pending, _)| pending)
            }
            (None, _) => None,
        }
    }

    /// Removes and returns the only pending request, if an answer with another id fits its service and number of
    /// operations. Not after lost bytes or for an overdue answer: it may belong to another request.
    fn remove_only_request(
        &mut self,
        received: &ReceivedMessage<'_>,
        is_refused: bool,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Option<PendingRequest> {
        let (service, only) = (received.message.service, self.pending.only()?);
        let RequestKind::Service(request) = &only.kind else { return None };
        let age = context.stamp.clock.saturating_sub(only.requested.clock);
        let is_meant =
            !self.is_lossy && age <= self.timeout && only.channel == received.channel && request.service == service;
        if !is_meant || !(is_refused || has_as_many_results(request, content)) {
            return None;
        }
        context.anomaly(AnomalyKind::Unmatched, "answer_with_other_number", Some(received.id));
        self.pending.take(|_| true, |_| true).map(|(pending, _)| pending)
    }

    /// Reports the outcome of each operation of a request.
    fn conclude_request(
        &mut self,
        pending: &PendingRequest,
        service: Service,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let RequestKind::Service(request) = &pending.kind else {
            pending.report_outcomes(Outcome::Accepted, context.stamp, context.sink);
            return Ok(());
        };
        if let Retention::Count(count) = request.retained {
            return count_results(request.service, count, content, context);
        }
        if service == Service::Publish && !request.is_awaited {
            // Publish has neither items nor results.
            context.sink.ended(Outcome::Accepted, 1);
            return self.report_notifications(service, Some((pending, request)), content, context);
        }
        let (result, differing) = match ItemResults::read(service, content) {
            Ok(results) => self.conclude_items(pending, request, results, context),
            Err(fault) => {
                pending.report_outcomes(Outcome::Accepted, context.stamp, context.sink);
                (Err(fault), 1)
            }
        };
        if service == Service::RegisterNodes {
            self.finish_registration(pending.number, request, result.is_ok() && differing == 0);
        }
        result.and(self.report_content(service, Some((pending, request)), content, context))
    }

    /// Concludes each operation of a request with its result. Returns also the number of missing or surplus results.
    fn conclude_items(
        &mut self,
        pending: &PendingRequest,
        request: &ServiceRequest,
        results: ItemResults<'_>,
        context: &mut Context<'_>,
    ) -> (Result<(), Fault>, u32) {
        let mut results = ResultCursor::new(results);
        let subscription = request.subscription();
        let mut is_certain = true;
        request.visit_items(|replayed| {
            let PossibleItem { result_index, is_remainder, is_ambiguous, .. } = *replayed.found;
            is_certain &= !is_ambiguous && !is_remainder;
            let result = if is_remainder { results.best_from(result_index) } else { results.seek(result_index) };
            let (outcome, values) = outcome_of(result);
            if request.is_awaited {
                let operation = request.operation(replayed, values);
                pending.conclude_one(replayed.number, &operation, outcome, (context.stamp, &mut *context.sink));
            } else {
                context.sink.ended(outcome, 1);
            }
            if let Some(result) = result
                && !result.status.is_bad()
            {
                self.apply_item_result(request, subscription, replayed, &result, context);
            }
        });
        let differing = results.missing + results.count_remaining();
        (results.finish(is_certain && !matches!(request.retained, Retention::Nothing), context), differing)
    }

    /// Records what an accepted operation changes for later messages.
    #[inline]
    fn apply_item_result(
        &mut self,
        request: &ServiceRequest,
        subscription: u32,
        replayed: &ReplayedItem<'_, '_>,
        result: &ItemResult<'_>,
        context: &mut Context<'_>,
    ) {
        let item = replayed.item;
        match (request.service, item.subject) {
            (Service::Read, Subject::Node(target)) => {
                inventory::report_server_node(&target.node, result.values, context)
            }
            (Service::CreateMonitoredItems, subject) => {
                context.sink.takes_memory();
                if !self.subscriptions.insert_item(subscription, result.number, item.handle, &subject) {
                    context.anomaly(AnomalyKind::Limit, "monitored_items", None);
                }
            }
            (Service::ModifyMonitoredItems, Subject::MonitoredItem { subscription, item: number }) => {
                self.subscriptions.change_handle(subscription, number, item.handle);
            }
            (Service::DeleteMonitoredItems, Subject::MonitoredItem { subscription, item: number }) => {
                self.subscriptions.remove_item(subscription, number);
            }
            (Service::DeleteSubscriptions, Subject::Subscription(number)) => {
                self.subscriptions.remove_subscription(number)
            }
            (Service::RegisterNodes | Service::UnregisterNodes | Service::CloseSession, _) => {
                self.update_aliases(request, replayed, result, context);
            }
            _ => {}
        }
    }

    /// Reports what an answer reveals beyond the results of its request. `pending`: the request, if it was captured.
    fn report_content(
        &mut self,
        service: Service,
        pending: Option<(&PendingRequest, &ServiceRequest)>,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        match service {
            Service::GetEndpoints => session::report_endpoints(read_endpoints(content)?, context),
            Service::CreateSession => session::report_create_response(content, context),
            Service::FindServers => session::report_servers(read_servers(content)?, context),
            Service::Publish | Service::Republish => self.report_notifications(service, pending, content, context),
            Service::RegisterNodes if pending.is_none() => self.insert_unseen_aliases(content, context),
            _ => Ok(()),
        }
    }

    /// Reports the notifications of a subscription: one operation each, numbered after the request that fetched them.
    fn report_notifications(
        &mut self,
        service: Service,
        pending: Option<(&PendingRequest, &ServiceRequest)>,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let (number, mut next) = match pending {
            Some((pending, _)) => (pending.number, 1),
            None => (self.allocate_number(), 0_u32),
        };
        let named = pending.map_or(0, |(_, request)| request.subscription());
        let summary = if service == Service::Publish { self.subscriptions.summarise_report(content) } else { None };
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
        let result = visit_notifications(service, content, |published: &Published, notification| {
            let subscription = published.subscription.unwrap_or(named);
            let (subject, values) = match *notification {
                Notification::Data { handle, values, .. } | Notification::Event { handle, values } => {
                    (subscriptions.subject_of(subscription, handle), values)
                }
                Notification::Status(_) => (Subject::Subscription(subscription), Values::None),
            };
            report_notification(service, place(), (subject, values), context);
        });
        if result.is_err() {
            report_notification(service, place(), (Subject::Unread("notification"), Values::None), context);
        }
        result.map(|_| ())
    }
}

/// Reports one notification of a subscription and its outcome.
#[inline]
fn report_notification(
    service: Service,
    at: RequestRef,
    (subject, values): (Subject<'_>, Values<'_>),
    context: &mut Context<'_>,
) {
    let item = Item { subject, ..pending_request::service_item(Service::Publish) };
    let operation = pending_request::item_operation(service, service.code(), &item, values);
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
        request: &ServiceRequest,
        replayed: &ReplayedItem<'_, '_>,
        result: &ItemResult<'_>,
        context: &mut Context<'_>,
    ) {
        let Some(session) = request.session() else { return };
        match (request.service, replayed.found.item.subject, replayed.item.subject) {
            (Service::CloseSession, ..) => self.aliases.close_session(session),
            (Service::UnregisterNodes, Subject::Node(alias), _) => self.aliases.remove(session, &alias.node),
            (Service::RegisterNodes, _, subject) => {
                let node = if let Subject::Node(target) = subject { Some(target.node) } else { None };
                let Some(alias) = node_in(result) else { return };
                context.sink.takes_memory();
                if !self.aliases.insert(session, &alias, node.as_ref()) {
                    context.anomaly(AnomalyKind::Limit, "registered_nodes", None);
                }
            }
            _ => {}
        }
    }

    /// Completes a registration. `is_complete`: the answer has exactly one alias for each node.
    fn finish_registration(&mut self, number: u32, request: &ServiceRequest, is_complete: bool) {
        if !is_complete && let Some(session) = request.session() {
            self.aliases.mark_unknown(session);
        }
        self.aliases.complete_registration(number);
    }

    /// Adds the aliases of a RegisterNodes response whose request was not captured: the nodes behind them are unknown.
    fn insert_unseen_aliases(&mut self, content: Reader<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
        context.sink.takes_memory();
        for result in ItemResults::read(Service::RegisterNodes, content)? {
            if let Some(alias) = node_in(&result?)
                && !self.aliases.insert(ANY_SESSION, &alias, None)
            {
                context.anomaly(AnomalyKind::Limit, "registered_nodes", None);
            }
        }
        Ok(())
    }
}

/// The node that a result names.
fn node_in<'a>(result: &ItemResult<'a>) -> Option<Node<'a>> {
    let Values::Typed { bytes, .. } = result.values else { return None };
    Node::read(&mut Reader::new(bytes)).ok()
}

/// Answers to requests that are not in the capture.
impl Exchange {
    /// Reports what the server carried out: one operation for each good result.
    fn report_unseen_request(&mut self, service: Service, content: Reader<'_>, context: &mut Context<'_>) {
        let Ok(results) = ItemResults::read(service, content) else { return };
        let most = if service.has_results() { usize::MAX } else { 1 };
        let number = self.allocate_number();
        let done = results.take(most).map_while(Result::ok).filter(|result| !result.status.is_bad());
        for (place, result) in (0..).zip(done) {
            let node = if service == Service::AddNodes { node_in(&result) } else { None };
            let target = node.map(|node| NodeTarget { node, attribute: None, range: &[] });
            let target = target.as_ref().map_or(Target::Unread { part: "target" }, Target::Node);
            let values = if service == Service::Call { result.values } else { Values::None };
            let operation =
                pending_request::function_operation(pending_request::service_function(service), target, values);
            context.sink.request_unseen(RequestRef { request: number, item: place }, &operation, context.stamp);
        }
    }
}

/// Returns the memory of a concluded request to the sink.
fn release_memory(pending: PendingRequest, context: &mut Context<'_>) {
    if let RequestKind::Service(request) = pending.kind {
        context.sink.give_back(request.into_bytes());
    }
}

/// Reports the outcomes of a request of which only the number of operations is kept.
fn count_results(service: Service, count: u32, content: Reader<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
    if let Some(ResultCounts { good, bad, last_bad }) = ResultCounts::of(service, content, count) {
        context.sink.ended(Outcome::Accepted, good);
        if bad > 0 {
            context.sink.ended(refusal(last_bad), bad);
        }
        return Ok(());
    }
    let results = match ItemResults::read(service, content) {
        Ok(results) => results,
        Err(fault) => {
            context.sink.ended(Outcome::Accepted, count);
            return Err(fault);
        }
    };
    let mut results = ResultCursor::new(results);
    for place in 0..count {
        let (outcome, _) = outcome_of(results.seek(place));
        context.sink.ended(outcome, 1);
    }
    results.finish(true, context)
}

/// Whether an answer has as many results as its request has operations.
fn has_as_many_results(request: &ServiceRequest, content: Reader<'_>) -> bool {
    let Ok(results) = ItemResults::read(request.service, content) else { return false };
    let mut count = 0;
    match request.retained {
        Retention::Count(counted) => count = counted,
        _ => request.visit_items(|_| count += 1),
    }
    !request.service.has_results() || results.left() == count as usize
}

/// The outcome and values of a result. An operation without one was accepted, as its request was.
#[inline]
fn outcome_of(result: Option<ItemResult<'_>>) -> (Outcome, Values<'_>) {
    match result {
        None => (Outcome::Accepted, Values::None),
        Some(result) if result.status.is_bad() => (refusal(result.status), Values::None),
        Some(result) => (Outcome::Accepted, result.values),
    }
}
