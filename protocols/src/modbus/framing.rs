//! From the bytes of one side to frames: by their headers, and where those lie, in every way in which a server may read them.

use super::doubt::{Fork, Found, Held};
use super::head::Head;
use super::mbap::{self, Lying, Reading};
use super::shape::{self, Fit};
use super::{Modbus, count_request, count_sub};
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
        let held = self.release(context.from);
        match mbap::read(context.from, bytes) {
            Reading::Plain(length) => {
                let Context { from, stamp: now, ref mut sink } = *context;
                // What was held came when it came, and its answer is waited for from now on.
                let stamp = held.filter(|held| held.frame.len() == length).map(|held| held.stamp);
                let stamp = &stamp.map_or(*now, |stamp| Stamp { clock: now.clock, ..stamp });
                self.say(bytes.get(..length)?, false, &mut Context { from, stamp, sink: &mut **sink });
                Some(length)
            }
            _ if mbap::is_unsound(bytes) => {
                self.fork(Fork::at_unsound_header(), context.from);
                Some(0)
            }
            Reading::Lying(lying) => {
                self.lying_frame(bytes, lying, context);
                let claimed = lying.claimed.unwrap_or(lying.own);
                self.fork(Fork::new(lying.own, claimed), context.from);
                Some(0)
            }
            Reading::Short(length) => {
                self.hold(held, bytes.get(..length)?, context);
                None
            }
            Reading::More | Reading::None(_) => None,
        }
    }

    /// A frame that is sound by its function only. It is in doubt where the header claims less, since a server that believes
    /// the header refuses it, and where nothing of the header is right.
    fn lying_frame(&mut self, bytes: &[u8], lying: Lying, context: &mut Context<'_>) {
        let Lying { own, claimed, fault: (name, value), lies_twice } = lying;
        if context.from == Side::Client {
            let since = self.next;
            let doubt = self.doubt.get_or_insert_default();
            (doubt.since, doubt.there) = (since, bytes.len());
            doubt.is_shared = claimed.is_some_and(|claimed| claimed > own);
        }
        context.malformed(name, value);
        let is_ambiguous = lies_twice || claimed.is_some_and(|claimed| claimed < own);
        self.say(bytes.get(..own).unwrap_or(bytes), is_ambiguous, context);
    }

    fn fork(&mut self, fork: Fork, from: Side) {
        let doubt = self.doubt.get_or_insert_default();
        *doubt.fork(from) = Some(fork);
        if from == Side::Client {
            doubt.by_header.clear();
        }
    }

    /// Follows both readings as far as the bytes go. Says how many are done with, or none if more must come.
    fn follow(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Option<usize> {
        let from = context.from;
        loop {
            let doubt = self.doubt.as_mut()?;
            if from == Side::Client {
                doubt.there = bytes.len();
            }
            match doubt.fork(from).as_mut()?.next(from, bytes, |frame, is_lost| is_sound(from, frame, is_lost)) {
                Found::First(start, _) => {
                    let bytes = bytes.get(start..)?;
                    let Reading::Lying(lying) = mbap::read(from, bytes) else { return Some(start) };
                    self.lying_frame(bytes, lying, context);
                    if let Some(claimed) = lying.claimed.filter(|_| !lying.lies_twice) {
                        self.doubt.as_mut()?.fork(from).as_mut()?.believe(start + claimed);
                    }
                }
                Found::ByFunction(start, end) => {
                    let frame = bytes.get(start..end)?;
                    match mbap::fault(frame) {
                        // Its header is one to this reading only: it is no PDU of any other counter.
                        Some((name, value)) => {
                            context.malformed(name, value);
                            self.say_uncounted(frame, context);
                        }
                        None => self.say(frame, true, context),
                    }
                }
                Found::ByHeader(start, end) => {
                    let number = self.next;
                    self.say(sound_part(from, bytes.get(start..end)?), true, context);
                    if let (Side::Client, Some(doubt)) = (from, &mut self.doubt) {
                        doubt.by_header.push(number);
                    }
                }
                found @ (Found::One(_) | Found::Nothing) => {
                    *doubt.fork(from) = None;
                    self.release(from);
                    return if let Found::One(at) = found { Some(at) } else { None };
                }
                Found::More => {
                    let done = doubt.fork(from).as_mut()?.take(bytes.len());
                    if from == Side::Client {
                        doubt.there -= done;
                    }
                    return (done > 0).then_some(done);
                }
            }
        }
    }

    /// Nothing follows `bytes`: what is whole by its header has to be enough. Says how many bytes are done with.
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
            Side::Client => {
                count_request(head.code, context.sink);
                count_sub(head.code, data, context.sink);
                self.request(head, data, is_ambiguous, context);
            }
            Side::Server => self.on_any_response(head, data, context),
        }
    }

    /// Decodes a frame of a second reading.
    fn say_uncounted(&mut self, frame: &[u8], context: &mut Context<'_>) {
        match (mbap::split(frame), context.from) {
            (Some((head, data)), Side::Client) => self.request(head, data, true, context),
            _ => self.say(frame, true, context),
        }
    }

    /// Keeps a request until it is clear whether its end still comes.
    fn hold(&mut self, before: Option<Held>, frame: &[u8], context: &Context<'_>) {
        if context.from == Side::Client {
            let held = before.unwrap_or_else(|| Held { frame: frame.into(), stamp: *context.stamp });
            self.doubt.get_or_insert_default().held = Some(held);
        }
    }

    /// Lets go what was held of a side, and with it the last doubt.
    fn release(&mut self, from: Side) -> Option<Held> {
        let doubt = self.doubt.as_mut()?;
        let held = if from == Side::Client { doubt.held.take() } else { None };
        if doubt.is_over() {
            self.doubt = None;
        }
        held
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
    pub(super) fn answers_held(&mut self, head: Head, context: &mut Context<'_>) -> bool {
        let Some(doubt) = &mut self.doubt else { return false };
        let Some(Held { frame, stamp }) = doubt.held.take_if(|held| held.is_answered_by(head)) else { return false };
        *doubt.fork(Side::Client) = Some(Fork::one(frame.len()));
        let stamp = &Stamp { clock: context.stamp.clock, ..stamp };
        self.say(&frame, false, &mut Context { from: Side::Client, stamp, sink: &mut *context.sink });
        true
    }
}

/// Whether a server or client takes a frame that only its header frames: one that is exact, or a request whose function could
/// be one. `is_lost`: it was looked for.
fn is_sound(from: Side, frame: &[u8], is_lost: bool) -> bool {
    let Some((head, data)) = mbap::split(sound_part(from, frame)) else { return false };
    match shape::of(from, head.code, data) {
        Fit::Exact => true,
        Fit::Unusual => from == Side::Client && head.code != 0 && !is_lost,
        Fit::Wrong => false,
    }
}

/// A frame without what follows the end that the function gives it: nobody looks at that.
fn sound_part(from: Side, frame: &[u8]) -> &[u8] {
    match mbap::read(from, frame) {
        Reading::Lying(Lying { own, .. }) => frame.get(..own).unwrap_or(frame),
        _ => frame,
    }
}
