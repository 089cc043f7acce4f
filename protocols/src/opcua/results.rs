//! The results in an answer, and the latest answers.

use alloc::boxed::Box;

use super::Context;
use super::service::{ItemResult, ItemResults, Service};
use crate::fault::Fault;
use crate::operation::Values;

/// Random access to the results in an answer.
pub(super) struct ResultCursor<'a> {
    all: ItemResults<'a>,
    /// The results from index `next` on.
    rest: ItemResults<'a>,
    next: u32,
    /// The fault that ended them early, if any.
    result: Result<(), Fault>,
    /// Results that were asked for and are missing.
    pub(super) missing: u32,
}

impl<'a> ResultCursor<'a> {
    pub(super) fn new(results: ItemResults<'a>) -> Self {
        Self { all: results, rest: results, next: 0, result: Ok(()), missing: 0 }
    }

    /// The result at an index, if there is one. Nearly all calls are in order.
    #[inline]
    pub(super) fn seek(&mut self, place: u32) -> Option<ItemResult<'a>> {
        if place < self.next {
            (self.rest, self.next) = (self.all, 0);
        }
        while self.next < place {
            self.read_next()?;
        }
        self.read_next()
    }

    /// The next result; `None` behind the last or after a fault.
    #[inline]
    fn read_next(&mut self) -> Option<ItemResult<'a>> {
        let result = self.rest.next();
        self.next += u32::from(result.is_some());
        match result {
            Some(Ok(result)) => Some(result),
            Some(Err(fault)) => {
                self.result = Err(fault);
                None
            }
            None => {
                self.missing += 1;
                None
            }
        }
    }

    /// One of the results from an index on: a good one, if there is one. Its values are dropped.
    pub(super) fn best_from(&mut self, place: u32) -> Option<ItemResult<'a>> {
        let mut found = self.seek(place)?;
        while self.rest.left() > 0 && found.status.is_bad() {
            found = self.read_next()?;
        }
        Some(ItemResult { values: Values::None, ..found })
    }

    /// The number of results behind those that were asked for.
    pub(super) fn count_remaining(&self) -> u32 {
        self.rest.left() as u32
    }

    /// Reports a number of results that differs from the number of operations, and returns the fault that ended them early.
    /// Some servers send no results at all: the header holds for the whole request then.
    pub(super) fn finish(self, is_certain: bool, context: &mut Context<'_>) -> Result<(), Fault> {
        let Self { rest, next, result, missing, .. } = self;
        if result.is_ok() && is_certain {
            match rest.left() as u32 {
                0 if missing > 0 && next > 0 => context.malformed("results", missing),
                0 => {}
                left => context.malformed("results", left),
            }
        }
        result
    }
}

/// Identifies an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AnswerKey {
    pub(super) channel: u32,
    /// Request id in the sequence header.
    pub(super) id: u32,
    pub(super) service: Service,
    /// The time in its header, by the server's clock, nanoseconds since 1970.
    pub(super) time: i64,
}

/// The latest answers to requests that change something, so that a repeated answer is not taken for that of an unseen
/// request.
#[derive(Debug, Default)]
pub(super) struct RecentAnswers(Option<Box<Ring>>);

/// The latest answers; the next one replaces that at `next`.
#[derive(Debug, Default)]
struct Ring {
    answers: [Option<AnswerKey>; RECENT],
    next: usize,
}

impl RecentAnswers {
    /// Adds an answer in place of the oldest.
    pub(super) fn insert(&mut self, key: AnswerKey) {
        let Ring { answers, next } = &mut **self.0.get_or_insert_default();
        if let Some(place) = answers.get_mut(*next) {
            *place = Some(key);
        }
        *next = (*next + 1) % RECENT;
    }

    /// Whether this answer is among the latest.
    pub(super) fn contains(&self, key: AnswerKey) -> bool {
        self.0.as_ref().is_some_and(|ring| ring.answers.contains(&Some(key)))
    }
}

/// Answers that are kept.
const RECENT: usize = 8;
