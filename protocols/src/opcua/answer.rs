//! Answers: how every operation of a request ended, and what it says about the flow.

use super::Context;
use super::asked::{self, Asked, Request, What};
use super::binary::Encoded;
use super::exchange::{Exchange, MOST_OPERATIONS, Said, refused};
use super::service::{
    Answer, Answers, Endings, Item, Message, Notification, Published, ResponseHeader, Service, Subject, Survey,
    endpoints, find_servers, notifications,
};
use super::{inventory, session};
use crate::dissector::{AnomalyKind, Outcome, RequestRef};
use crate::fault::Fault;
use crate::operation::Values;
use crate::pending::Waiting;
use crate::reader::Reader;

impl Exchange {
    pub(super) fn on_response(&mut self, said: &Said<'_>, context: &mut Context<'_>) {
        let Message { service, mut content, .. } = said.message;
        let header = match ResponseHeader::read(&mut content) {
            Ok(header) => header,
            Err(fault) => return fault.report(said.is_cut, context),
        };
        let is_fault = header.result.is_bad() || service == Service::ServiceFault;
        let refusal = is_fault.then(|| refused(header.result));
        let counted = if is_fault { None } else { self.counted(said, content, context) };
        let result = counted.unwrap_or_else(|| self.any_response(said, refusal, content, context));
        if let Err(fault) = result {
            fault.report(said.is_cut, context);
        }
    }

    /// The answer to the only request that waits, if there is nothing to tell but how many of its operations ended how.
    #[inline]
    fn counted(
        &mut self,
        said: &Said<'_>,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Option<Result<(), Fault>> {
        let only = self.pending.only()?;
        let What::Service(request) = &only.what else { return None };
        let is_meant = request.counted > 0
            && request.service == said.message.service
            && (only.channel, only.id) == (said.channel, Some(said.id));
        let result = is_meant.then(|| count_results(only, request, content, context))?;
        self.pending.forget_only();
        Some(result)
    }

    /// Any answer. `refusal`: it refuses the request as a whole.
    #[inline(never)]
    fn any_response(
        &mut self,
        said: &Said<'_>,
        refusal: Option<Outcome>,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let service = said.message.service;
        let asked = self.asked_by(said);
        if asked.is_none() {
            let value = Some(service.response_code());
            context.anomaly(AnomalyKind::Unmatched, "answer_without_request", value);
        }
        match (asked, refusal) {
            (Some(asked), Some(refusal)) => {
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
            (None, None) => self.learn(service, None, content, context),
        }
    }

    /// The request that an answer belongs to.
    #[inline]
    fn asked_by(&mut self, said: &Said<'_>) -> Option<Asked> {
        let service = said.message.service;
        let is_asked_by = |asked: &Asked| {
            asked.channel == said.channel
                && asked.id == Some(said.id)
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

    /// Tells how each operation of a request ended.
    fn answered(
        &mut self,
        asked: &Asked,
        service: Service,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let What::Service(request) = &asked.what else {
            asked.conclude(Outcome::Accepted, context.stamp, context.sink);
            return Ok(());
        };
        if request.counted > 0 {
            return count_results(asked, request, content, context);
        }
        if service == Service::Publish && !request.is_awaited {
            // It has no parts and no results of its own.
            context.sink.ended(Outcome::Accepted, 1);
            return self.reported(service, Some((asked, request)), content, context);
        }
        let result = match Answers::read(service, content) {
            Ok(answers) => self.results(asked, request, answers, context),
            Err(fault) => {
                asked.conclude(Outcome::Accepted, context.stamp, context.sink);
                Err(fault)
            }
        };
        result.and(self.learn(service, Some((asked, request)), content, context))
    }

    /// Walks over the operations of a request and its results, side by side.
    fn results(
        &mut self,
        asked: &Asked,
        request: &Request,
        mut answers: Answers<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let mut result = Ok(());
        let subscription = first_number(&request.content);
        request.each(|index, item| {
            let answer = next(&mut answers, &mut result);
            let (outcome, values) = ending(answer);
            if request.is_awaited {
                let operation = request.operation(item, values);
                asked.conclude_one(index, &operation, outcome, (context.stamp, &mut *context.sink));
            } else {
                context.sink.ended(outcome, 1);
            }
            if let Some(answer) = answer
                && !answer.status.is_bad()
            {
                self.settled(request.service, subscription, item, &answer, context);
            }
        });
        expect_end(&answers, result, context)
    }

    /// What an operation that was done means for later ones.
    #[inline]
    fn settled(
        &mut self,
        service: Service,
        subscription: u32,
        item: &Item<'_>,
        answer: &Answer<'_>,
        context: &mut Context<'_>,
    ) {
        match (service, item.subject) {
            (Service::Read, Subject::Node(target)) => inventory::identify(&target.node, answer.values, context),
            (Service::CreateMonitoredItems, subject)
                if !self.subscriptions.enter(subscription, answer.number, item.handle, &subject) =>
            {
                context.anomaly(AnomalyKind::Limit, "monitored_items", None);
            }
            (Service::ModifyMonitoredItems, Subject::MonitoredItem { subscription, item: number }) => {
                self.subscriptions.rename(subscription, number, item.handle);
            }
            (Service::DeleteMonitoredItems, Subject::MonitoredItem { subscription, item: number }) => {
                self.subscriptions.leave(subscription, number);
            }
            (Service::DeleteSubscriptions, Subject::Subscription(number)) => self.subscriptions.delete(number),
            _ => {}
        }
    }

    /// What an answer says beyond the results of its request, which need not have been seen.
    fn learn(
        &mut self,
        service: Service,
        asked: Option<(&Asked, &Request)>,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        match service {
            Service::GetEndpoints => session::offered(endpoints(content)?, context),
            Service::CreateSession => session::created(content, context),
            Service::FindServers => session::found(find_servers(content)?, context),
            Service::Publish | Service::Republish => self.reported(service, asked, content, context),
            _ => Ok(()),
        }
    }

    /// What a subscription reports: an operation for each notification, behind the request that fetched them.
    fn reported(
        &mut self,
        service: Service,
        asked: Option<(&Asked, &Request)>,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let (number, mut next) = match asked {
            Some((asked, _)) => (asked.number, 1),
            None => (self.number(), 0_u32),
        };
        let named = asked.map_or(0, |(_, request)| first_number(&request.content));
        let survey = if service == Service::Publish { self.subscriptions.survey(content) } else { None };
        let subscriptions = &self.subscriptions;
        if let Some(Survey { class, count, namespaces }) = survey
            && context.sink.pass(class, namespaces, count.into())
        {
            context.sink.ended(Outcome::Accepted, count.into());
            return Ok(());
        }
        notifications(service, content, |published: &Published, notification| {
            let place = u16::try_from(next);
            next = next.saturating_add(1);
            let Ok(place) = place else { return };
            let subscription = published.subscription.unwrap_or(named);
            let (subject, values) = match *notification {
                Notification::Data { handle, values, .. } | Notification::Event { handle, values } => {
                    (subscriptions.subject(subscription, handle), values)
                }
                Notification::Status(_) => (Subject::Subscription(subscription), Values::None),
            };
            let item = Item { subject, ..asked::whole(Service::Publish) };
            let operation = asked::operation(service, service.code(), &item, values);
            let at = RequestRef { request: number, item: place.into() };
            if context.sink.operation(at, &operation, context.stamp) {
                context.sink.outcome(at, &operation, Outcome::Accepted, context.stamp, context.stamp);
            } else {
                context.sink.ended(Outcome::Accepted, 1);
            }
        })?;
        if next > MOST_OPERATIONS {
            context.anomaly(AnomalyKind::Limit, "report_items", None);
        }
        Ok(())
    }
}

/// The memory of a request that was answered is needed no more.
fn release(asked: Asked, context: &mut Context<'_>) {
    if let What::Service(request) = asked.what {
        context.sink.give_back(request.content);
    }
}

/// Counts the results of a request of which nothing else is kept.
fn count_results(
    asked: &Asked,
    request: &Request,
    content: Reader<'_>,
    context: &mut Context<'_>,
) -> Result<(), Fault> {
    if let Some(Endings { good, bad, why }) = Endings::of(request.service, content, request.counted) {
        context.sink.ended(Outcome::Accepted, good);
        if bad > 0 {
            context.sink.ended(refused(why), bad);
        }
        return Ok(());
    }
    let mut answers = Answers::read(request.service, content)
        .inspect_err(|_| asked.conclude(Outcome::Accepted, context.stamp, context.sink))?;
    let mut result = Ok(());
    for _ in 0..request.counted {
        let (outcome, _) = ending(next(&mut answers, &mut result));
        context.sink.ended(outcome, 1);
    }
    expect_end(&answers, result, context)
}

/// The next result, if there is one. What is wrong with it goes to `result`.
#[inline]
fn next<'a>(answers: &mut Answers<'a>, result: &mut Result<(), Fault>) -> Option<Answer<'a>> {
    answers.next()?.map_err(|fault| *result = Err(fault)).ok()
}

/// A request has no more results than operations.
fn expect_end(answers: &Answers<'_>, result: Result<(), Fault>, context: &mut Context<'_>) -> Result<(), Fault> {
    if result.is_ok() && answers.left() > 0 {
        context.malformed("results", answers.left() as u32);
    }
    result
}

/// How an operation ended, and with what. A result that is missing says nothing.
#[inline]
fn ending(answer: Option<Answer<'_>>) -> (Outcome, Values<'_>) {
    match answer {
        None => (Outcome::Pending, Values::None),
        Some(answer) if answer.status.is_bad() => (refused(answer.status), Values::None),
        Some(answer) => (Outcome::Accepted, answer.values),
    }
}

/// The subscription of a request that names one: it comes first.
fn first_number(content: &[u8]) -> u32 {
    content.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
