//! Frames of Modbus/TCP: by their headers, and where a header is wrong, in every reading that a server may use.

use super::fork::{Fork, Found, Held};
use super::head::Head;
use super::mbap::{self, Framed, WrongHeader};
use super::shape::{self, Fit};
use super::{Modbus, count_request, count_sub};
use crate::context::Context;
use crate::dissector::{Side, Sink, Stamp};

impl<const IS_RTU: bool> Modbus<IS_RTU> {
    /// Decodes the frames at the start of `bytes`, and returns their length in bytes.
    #[inline]
    pub(super) fn decode_tcp_frames(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> usize {
        let mut rest = bytes;
        if self.irregular.is_none() {
            rest = self.decode_sound_frames(from, rest, stamp, sink);
            if rest.is_empty() {
                return bytes.len();
            }
        }
        let context = &mut Context { from, stamp, sink };
        bytes.len() - self.decode_any_frames(rest, context).len()
    }

    /// Decodes frames with sound header and length, the common case, and returns the bytes after them.
    fn decode_sound_frames<'b>(&mut self, from: Side, bytes: &'b [u8], stamp: &Stamp, sink: &mut dyn Sink) -> &'b [u8] {
        let mut rest = bytes;
        while let Some((head, body, behind)) = mbap::split_sound(rest) {
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

    /// Decodes frames of any kind, and returns the bytes after them.
    fn decode_any_frames<'b>(&mut self, bytes: &'b [u8], context: &mut Context<'_>) -> &'b [u8] {
        let mut rest = bytes;
        loop {
            let used = match self.is_forked(context.from) {
                true => self.follow_readings(rest, context),
                false => self.decode_odd_frame(rest, context),
            };
            let Some(used) = used else { return rest };
            rest = rest.get(used..).unwrap_or_default();
            if self.is_forked(context.from) {
                continue;
            }
            rest = self.decode_sound_frames(context.from, rest, context.stamp, context.sink);
            if rest.is_empty() {
                return rest;
            }
        }
    }

    pub(super) fn is_forked(&self, from: Side) -> bool {
        self.irregular.as_ref().is_some_and(|irregular| irregular.forks.get(from.index()).is_some_and(Option::is_some))
    }

    /// Decodes a frame that is unusual, incomplete, or has a wrong header. Returns the number of bytes consumed; none
    /// if more bytes are needed.
    fn decode_odd_frame(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Option<usize> {
        let held = self.release_held(context.from);
        match mbap::classify(context.from, bytes) {
            Framed::Plain(length) => {
                let Context { from, stamp: now, ref mut sink } = *context;
                // A held request has its own time, and its answer is due from now on.
                let stamp = held.filter(|held| held.frame.len() == length).map(|held| held.stamp);
                let stamp = &stamp.map_or(*now, |stamp| Stamp { clock: now.clock, ..stamp });
                self.decode_whole(bytes.get(..length)?, false, &mut Context { from, stamp, sink: &mut **sink });
                Some(length)
            }
            _ if mbap::is_unsound(bytes) => {
                self.set_fork(Fork::at_unsound_header(), context.from);
                Some(0)
            }
            Framed::WrongHeader(wrong) => {
                self.decode_wrong_header(bytes, wrong, context);
                let claimed = wrong.claimed.unwrap_or(wrong.own);
                self.set_fork(Fork::new(wrong.own, claimed), context.from);
                Some(0)
            }
            Framed::Short(length) => {
                self.hold_request(held, bytes.get(..length)?, context);
                None
            }
            Framed::More | Framed::None(_) => None,
        }
    }

    /// Decodes a frame that is sound by its function only. It is ambiguous if the header claims less, as a server that
    /// frames by header refuses it, and if nothing in the header is right.
    fn decode_wrong_header(&mut self, bytes: &[u8], wrong: WrongHeader, context: &mut Context<'_>) {
        let WrongHeader { own, claimed, fault: (name, value), is_doubly_wrong } = wrong;
        if context.from == Side::Client {
            let since = self.next;
            let irregular = self.irregular.get_or_insert_default();
            (irregular.since, irregular.available) = (since, bytes.len());
            irregular.is_shared = claimed.is_some_and(|claimed| claimed > own);
        }
        context.malformed(name, value);
        let is_ambiguous = is_doubly_wrong || claimed.is_some_and(|claimed| claimed < own);
        self.decode_whole(bytes.get(..own).unwrap_or(bytes), is_ambiguous, context);
    }

    fn set_fork(&mut self, fork: Fork, from: Side) {
        let irregular = self.irregular.get_or_insert_default();
        *irregular.fork_mut(from) = Some(fork);
        if from == Side::Client {
            irregular.by_header.clear();
        }
    }

    /// Follows both readings as far as the bytes go. Returns the number of bytes consumed; none if more bytes are
    /// needed.
    fn follow_readings(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Option<usize> {
        let from = context.from;
        loop {
            let irregular = self.irregular.as_mut()?;
            if from == Side::Client {
                irregular.available = bytes.len();
            }
            match irregular.fork_mut(from).as_mut()?.next(from, bytes, |frame, is_lost| is_sound(from, frame, is_lost))
            {
                Found::First(start, _) => {
                    let bytes = bytes.get(start..)?;
                    let Framed::WrongHeader(wrong) = mbap::classify(from, bytes) else { return Some(start) };
                    self.decode_wrong_header(bytes, wrong, context);
                    if let Some(claimed) = wrong.claimed.filter(|_| !wrong.is_doubly_wrong) {
                        self.irregular.as_mut()?.fork_mut(from).as_mut()?.follow_header(start + claimed);
                    }
                }
                Found::ByFunction(start, end) => {
                    let frame = bytes.get(start..end)?;
                    match mbap::fault(frame) {
                        // This header exists only in this reading: the PDU is not counted.
                        Some((name, value)) => {
                            context.malformed(name, value);
                            self.decode_uncounted(frame, context);
                        }
                        None => self.decode_whole(frame, true, context),
                    }
                }
                Found::ByHeader(start, end) => {
                    let number = self.next;
                    self.decode_whole(without_excess(from, bytes.get(start..end)?), true, context);
                    if let (Side::Client, Some(irregular)) = (from, &mut self.irregular) {
                        irregular.by_header.push(number);
                    }
                }
                found @ (Found::Single(_) | Found::Nothing) => {
                    *irregular.fork_mut(from) = None;
                    self.release_held(from);
                    return if let Found::Single(at) = found { Some(at) } else { None };
                }
                Found::More => {
                    let done = irregular.fork_mut(from).as_mut()?.advance(bytes.len());
                    if from == Side::Client {
                        irregular.available -= done;
                    }
                    return (done > 0).then_some(done);
                }
            }
        }
    }

    /// Decodes the frames in `bytes` that are whole only because the stream ends there, by their headers. Returns the
    /// number of bytes consumed.
    pub(super) fn decode_last_tcp_frames(&mut self, bytes: &[u8], context: &mut Context<'_>) -> usize {
        let mut rest = bytes;
        loop {
            if let Some(fork) = self.irregular.as_mut().and_then(|irregular| irregular.fork_mut(context.from).take()) {
                rest = rest.get(fork.end_offset(rest.len())..).unwrap_or_default();
            }
            self.release_held(context.from);
            let Framed::Short(length) = mbap::classify(context.from, rest) else { break };
            let Some((frame, behind)) = rest.split_at_checked(length) else { break };
            self.decode_whole(frame, false, context);
            rest = self.decode_any_frames(behind, context);
        }
        bytes.len() - rest.len()
    }

    /// Decodes a whole frame, whatever its header states.
    pub(super) fn decode_whole(&mut self, frame: &[u8], is_ambiguous: bool, context: &mut Context<'_>) {
        let Some((head, data)) = mbap::split(frame) else { return };
        match context.from {
            Side::Client => {
                count_request(head.code, context.sink);
                count_sub(head.code, data, context.sink);
                self.announce_request(head, data, is_ambiguous, context);
            }
            Side::Server => self.on_any_response(head, data, context),
        }
    }

    /// Decodes a frame of a second reading, without counting its PDU.
    fn decode_uncounted(&mut self, frame: &[u8], context: &mut Context<'_>) {
        match (mbap::split(frame), context.from) {
            (Some((head, data)), Side::Client) => self.announce_request(head, data, true, context),
            _ => self.decode_whole(frame, true, context),
        }
    }

    /// Keeps a request until it is known whether its end still arrives.
    fn hold_request(&mut self, before: Option<Held>, frame: &[u8], context: &Context<'_>) {
        if context.from == Side::Client {
            let held = before.unwrap_or_else(|| Held { frame: frame.into(), stamp: *context.stamp });
            self.irregular.get_or_insert_default().held = Some(held);
        }
    }

    /// Removes and returns the held request of a side, and drops the irregular state when it is empty.
    fn release_held(&mut self, from: Side) -> Option<Held> {
        let irregular = self.irregular.as_mut()?;
        let held = if from == Side::Client { irregular.held.take() } else { None };
        if irregular.is_over() {
            self.irregular = None;
        }
        held
    }

    /// The next bytes of a side do not continue those before: drops its readings.
    pub(super) fn drop_readings(&mut self, from: Side) {
        if let Some(irregular) = &mut self.irregular {
            *irregular.fork_mut(from) = None;
        }
        self.release_held(from);
    }

    /// Decodes the held request when the server answers it: the server frames by the header, so the request is whole.
    /// Returns whether there was one.
    pub(super) fn decode_held_on_answer(&mut self, head: Head, context: &mut Context<'_>) -> bool {
        let Some(irregular) = &mut self.irregular else { return false };
        let Some(Held { frame, stamp }) = irregular.held.take_if(|held| held.is_answered_by(head)) else {
            return false;
        };
        *irregular.fork_mut(Side::Client) = Some(Fork::single(frame.len()));
        let stamp = &Stamp { clock: context.stamp.clock, ..stamp };
        self.decode_whole(&frame, false, &mut Context { from: Side::Client, stamp, sink: &mut *context.sink });
        true
    }
}

/// Whether a server or client accepts a frame that only its header delimits: an exact one, or a request whose function
/// may exist. `is_lost`: the frame was found by a search.
fn is_sound(from: Side, frame: &[u8], is_lost: bool) -> bool {
    let Some((head, data)) = mbap::split(without_excess(from, frame)) else { return false };
    match shape::fit(from, head.code, data) {
        Fit::Exact => true,
        Fit::Unusual => from == Side::Client && head.code != 0 && !is_lost,
        Fit::Wrong => false,
    }
}

/// A frame without the bytes after its end by the function, which receivers ignore.
fn without_excess(from: Side, frame: &[u8]) -> &[u8] {
    match mbap::classify(from, frame) {
        Framed::WrongHeader(WrongHeader { own, .. }) => frame.get(..own).unwrap_or(frame),
        _ => frame,
    }
}
