//! The results in an answer, and which answers were seen lately.

use alloc::boxed::Box;

use super::Context;
use super::service::{Answer, Answers, Service};
use crate::fault::Fault;
use crate::operation::Values;

/// Random access to the results of an answer.
pub(super) struct Results<'a> {
    all: Answers<'a>,
    /// The results from `next` on.
    rest: Answers<'a>,
    next: u32,
    /// The fault that ended them early.
    result: Result<(), Fault>,
    /// Operations without a result.
    pub(super) missing: u32,
}

impl<'a> Results<'a> {
    pub(super) fn new(answers: Answers<'a>) -> Self {
        Self { all: answers, rest: answers, next: 0, result: Ok(()), missing: 0 }
    }

    /// The result at a place, if there is one. Nearly always called in order.
    #[inline]
    pub(super) fn at(&mut self, place: u32) -> Option<Answer<'a>> {
        if place < self.next {
            (self.rest, self.next) = (self.all, 0);
        }
        while self.next < place {
            self.next()?;
        }
        self.next()
    }

    #[inline]
    fn next(&mut self) -> Option<Answer<'a>> {
        let answer = self.rest.next();
        self.next += u32::from(answer.is_some());
        match answer {
            Some(Ok(answer)) => Some(answer),
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

    /// One of the results from a place on: a good one if there is one.
    pub(super) fn rest(&mut self, place: u32) -> Option<Answer<'a>> {
        let mut found = self.at(place)?;
        while self.rest.left() > 0 && found.status.is_bad() {
            found = self.next()?;
        }
        Some(Answer { values: Values::None, ..found })
    }

    /// Results behind those that were asked for.
    pub(super) fn extra(&self) -> u32 {
        self.rest.left() as u32
    }

    /// Reports a number of results that differs from that of the operations. An answer without any is seen in the field, and
    /// is none: its header holds for the whole request.
    pub(super) fn end(self, is_certain: bool, context: &mut Context<'_>) -> Result<(), Fault> {
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

/// What identifies an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AnswerKey {
    pub(super) channel: u32,
    /// Number of the request in the sequence header.
    pub(super) id: u32,
    pub(super) service: Service,
    /// The server's clock.
    pub(super) time: i64,
}

/// The latest answers to requests that change something, so that a repeated answer is not taken for that of an unseen
/// request.
#[derive(Debug, Default)]
pub(super) struct RecentAnswers(Option<Box<Ring>>);

#[derive(Debug, Default)]
struct Ring {
    answers: [Option<AnswerKey>; RECENT],
    next: usize,
}

impl RecentAnswers {
    pub(super) fn insert(&mut self, key: AnswerKey) {
        let Ring { answers, next } = &mut **self.0.get_or_insert_default();
        if let Some(place) = answers.get_mut(*next) {
            *place = Some(key);
        }
        *next = (*next + 1) % RECENT;
    }

    pub(super) fn contains(&self, key: AnswerKey) -> bool {
        self.0.as_ref().is_some_and(|ring| ring.answers.contains(&Some(key)))
    }
}

/// Answers that are remembered.
const RECENT: usize = 8;
