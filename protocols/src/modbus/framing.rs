//! From the bytes of one side to frames: by their headers, and where those lie, in every way in which a server may read them.

use super::doubt::{Fork, Found, Held};
use super::head::Head;
use super::mbap::{self, Lying, Reading};
use super::shape::{self, Fit};
use super::{Modbus, function, response};
use crate::context::Context;
use crate::dissector::{Side, Sink, Stamp};

/// The frames of Modbus/TCP.
impl<const IS_RTU: bool> Modbus<IS_RTU> {
    /// Decodes the frames that `bytes` begin with; says how many bytes they are.
    #[inline]
    pub(super) fn tcp_frames(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> usize {
        let mut rest = bytes;
        if self.doubt.is_none() {
            rest = self.sound_frames(from, rest, stamp, sink);
            if rest.is_empty() {
                return bytes.len();
            }
        }
        let context = &mut Context { from, stamp, sink };
        bytes.len() - self.any_frames(rest, context).len()
    }

    /// Those whose header and length are sound, as nearly all are. Returns what follows them.
    #[inline(always)]
    fn sound_frames<'b>(&mut self, from: Side, bytes: &'b [u8], stamp: &Stamp, sink: &mut dyn Sink) -> &'b [u8] {
        let mut rest = bytes;
        while let Some((head, body, behind)) = mbap::take(rest) {
            let is_sound = match from {
                Side::Client => self.on_request(head, body, stamp, sink),
                Side::Server => self.on_response(head, body, stamp, sink),
            };
            if !is_sound {
                break;
            }
            rest = behind;
        }
        rest
    }

    /// Any frames; returns what follows them.
    #[inline(never)]
    fn any_frames<'b>(&mut self, bytes: &'b [u8], context: &mut Context<'_>) -> &'b [u8] {
        let mut rest = bytes;
        loop {
            let used = match self.is_forked(context.from) {
                true => self.follow(rest, context),
                false => self.odd_frame(rest, context),
            };
            let Some(used) = used else { return rest };
            rest = rest.get(used..).unwrap_or_default();
            if self.is_forked(context.from) {
                continue;
            }
            rest = self.sound_frames(context.from, rest, context.stamp, context.sink);
            if rest.is_empty() {
                return rest;
            }
        }
    }

    pub(super) fn is_forked(&self, from: Side) -> bool {
        self.doubt.as_ref().is_some_and(|doubt| doubt.forks.get(from.index()).is_some_and(Option::is_some))
    }

    /// A frame that is unusual, lies, or is not there. Says how many bytes are done with, or none if more must come.
    fn odd_frame(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Option<usize> {
        self.release(context.from);
        match mbap::read(context.from, bytes) {
            Reading::Plain(length) => {
                self.say(bytes.get(..length)?, false, context);
                Some(length)
            }
            Reading::Lying(lying) => Some(self.lying_frame(bytes, lying, context)),
            Reading::Short(length) => {
                self.hold(bytes.get(..length)?, context);
                None
            }
            Reading::More | Reading::None(_) => None,
        }
    }

    /// A frame that is sound by its function only. It is in doubt where the header claims less: then a server that believes
    /// the header refuses it.
    #[cold]
    fn lying_frame(&mut self, bytes: &[u8], lying: Lying, context: &mut Context<'_>) -> usize {
        let Lying { own, claimed, fault: (name, value) } = lying;
        let since = self.next;
        context.malformed(name, value);
        self.say(bytes.get(..own).unwrap_or(bytes), claimed.is_some_and(|claimed| claimed < own), context);
        let Some(fork) = Fork::new(lying) else { return own };
        let doubt = self.doubt.get_or_insert_default();
        *doubt.fork(context.from) = Some(fork);
        if context.from == Side::Client {
            (doubt.since, doubt.there) = (since, bytes.len());
            doubt.by_header.clear();
        }
        0
    }

    /// Follows both readings as far as the bytes go. Says how many are done with, or none if more must come.
    #[cold]
    fn follow(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Option<usize> {
        loop {
            let doubt = self.doubt.as_mut()?;
            if context.from == Side::Client {
                doubt.there = bytes.len();
            }
            match doubt.fork(context.from).as_mut()?.next(context.from, bytes) {
                Found::ByFunction(start, end) => {
                    let frame = bytes.get(start..end)?;
                    if let Some((name, value)) = mbap::fault(frame) {
                        context.malformed(name, value);
                    }
                    self.say(frame, true, context);
                }
                Found::ByHeader(start, end) => self.say_by_header(bytes.get(start..end)?, context),
                Found::One(at) => {
                    *doubt.fork(context.from) = None;
                    self.release(context.from);
                    return Some(at);
                }
                Found::More => {
                    let done = doubt.fork(context.from).as_mut()?.take(bytes.len());
                    if context.from == Side::Client {
                        doubt.there -= done;
                    }
                    return (done > 0).then_some(done);
                }
            }
        }
    }

    /// Nothing follows `bytes`: what is whole by its header has to be enough. Says how many bytes are done with.
    #[cold]
    pub(super) fn last_tcp_frames(&mut self, bytes: &[u8], context: &mut Context<'_>) -> usize {
        let mut rest = bytes;
        loop {
            if let Some(fork) = self.doubt.as_mut().and_then(|doubt| doubt.fork(context.from).take()) {
                rest = rest.get(fork.end(rest.len())..).unwrap_or_default();
            }
            self.release(context.from);
            let Reading::Short(length) = mbap::read(context.from, rest) else { break };
            let Some((frame, behind)) = rest.split_at_checked(length) else { break };
            self.say(frame, false, context);
            rest = self.any_frames(behind, context);
        }
        bytes.len() - rest.len()
    }

    /// Decodes a frame, whatever its header says.
    pub(super) fn say(&mut self, frame: &[u8], is_ambiguous: bool, context: &mut Context<'_>) {
        let Some((head, data)) = mbap::split(frame) else { return };
        match context.from {
            Side::Client => self.request(head, data, is_ambiguous, context),
            Side::Server => self.on_any_response(head, data, context),
        }
    }

    /// A frame that only the reading by header has found, perhaps inside of another one: a request if its function could be
    /// one, an answer if it is awaited.
    fn say_by_header(&mut self, frame: &[u8], context: &mut Context<'_>) {
        // What follows the end that the function gives it, servers do not look at.
        let whole = match mbap::read(context.from, frame) {
            Reading::Lying(Lying { own, .. }) => frame.get(..own),
            _ => Some(frame),
        };
        let Some((head, data)) = whole.and_then(mbap::split) else { return };
        let fit = shape::of(context.from, head.code, data);
        match context.from {
            Side::Client if fit == Fit::Exact || (fit == Fit::Unusual && head.code != 0) => {
                let number = self.next;
                self.request(head, data, true, context);
                if let Some(doubt) = &mut self.doubt {
                    doubt.by_header.push(number);
                }
            }
            Side::Server if fit == Fit::Exact && self.is_awaited(head, data) => {
                self.on_any_response(head, data, context)
            }
            Side::Client | Side::Server => {}
        }
    }

    fn is_awaited(&self, head: Head, data: &[u8]) -> bool {
        let code = head.code & !function::EXCEPTION;
        let is_asked = |entry: &super::Entry| entry.is_asked_by(head.transaction, head.unit, code);
        let fits = |entry: &super::Entry| code != head.code || response::fits(&entry.asked, code, data);
        matches!(self.pending.find(is_asked, fits), Some((_, true)))
    }

    /// Keeps a request until it is clear whether its end still comes.
    fn hold(&mut self, frame: &[u8], context: &Context<'_>) {
        if context.from == Side::Client {
            let held = Held { frame: frame.into(), stamp: *context.stamp };
            self.doubt.get_or_insert_default().held = Some(held);
        }
    }

    /// Forgets what was held of a side, and with it the last doubt.
    fn release(&mut self, from: Side) {
        if let Some(doubt) = &mut self.doubt {
            if from == Side::Client {
                doubt.held = None;
            }
            if doubt.is_over() {
                self.doubt = None;
            }
        }
    }

    /// What a side sends next has nothing to do with what it sent before.
    pub(super) fn forget_doubt(&mut self, from: Side) {
        if let Some(doubt) = &mut self.doubt {
            *doubt.fork(from) = None;
        }
        self.release(from);
    }

    /// The server answers a request whose end was still waited for: it goes by the header, and so the request is whole. Says
    /// whether there was one.
    #[cold]
    pub(super) fn answers_held(&mut self, head: Head, context: &mut Context<'_>) -> bool {
        let Some(doubt) = &mut self.doubt else { return false };
        let Some(Held { frame, stamp }) = doubt.held.take_if(|held| held.is_answered_by(head)) else { return false };
        *doubt.fork(Side::Client) = Some(Fork::one(frame.len()));
        self.say(&frame, false, &mut Context { from: Side::Client, stamp: &stamp, sink: &mut *context.sink });
        true
    }
}
