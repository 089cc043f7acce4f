//! The row for content of the ISO transport that no other row decodes: it is named, so that it does not go unnoticed.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use super::content::{self, Content};
use super::embedded::find_embedded_pdu;
use super::probe::{self, IsoProbe};
use super::shape;
use super::stack::Stack;
use super::{CONNECT, MAX_FRAME, MIN_FRAME, PORTS, tpkt};
use crate::context::Context;
use crate::dissector::{
    Boundary, Dissector, FrameLen, Function, PduGroup, Probe, Protocol, Side, Sink, Stamp, Transport,
};

/// MMS, TLS, other ISO sessions, and whatever else ISO transport over TCP carries.
pub static OTHER: Protocol = Protocol {
    name: "iso-on-tcp",
    framing: "tpkt",
    display_name: "Iso-on-tcp",
    title: "other content of ISO transport over TCP (MMS, TLS)",
    transports: &[Transport::Tcp],
    ports: PORTS,
    max_frame: MAX_FRAME,
    min_frame: MIN_FRAME,
    probe,
    open: |_, limits| Box::new(Other { stack: Stack::new(limits) }),
    pdu_groups: &[PduGroup { name: "contents", key: content_name }],
    functions: &FUNCTIONS,
    techniques: |_| None,
};

static FUNCTIONS: [Function; 7] = {
    let [s7comm, s7comm_plus, tls, mms, session, other] = content::CONTENTS;
    [CONNECT, s7comm, s7comm_plus, tls, mms, session, other]
};

fn content_name(key: u32) -> String {
    Content::ALL.get(key as usize).map_or("other", |content| content.function().name).to_string()
}

/// Only content that no other row can decode is claimed at once.
fn probe(_: Transport, bytes: &[u8]) -> Probe {
    match probe::probe_opening(bytes) {
        IsoProbe::No => Probe::No,
        IsoProbe::More => Probe::More,
        IsoProbe::Connected { sender } => Probe::Wait { sender },
        IsoProbe::Carries { content: Content::S7comm | Content::S7commPlus, .. } => Probe::No,
        IsoProbe::Carries { sender, is_odd: true, .. } => Probe::Maybe { sender },
        IsoProbe::Carries { sender, .. } => Probe::Yes { sender },
    }
}

/// Whether a frame of `length` bytes has arrived and carries a PDU that another row decodes.
fn is_of_another_row(bytes: &[u8], length: usize, from: Side) -> bool {
    matches!(bytes, [_, _, _, _, _, _, _, 0x32 | 0x72, ..])
        && bytes.get(..length).is_some_and(|frame| shape::is_foreign(frame, from, Content::Other))
}

/// The decoder of one flow: reports connections and contents.
struct Other {
    stack: Stack,
}

impl Other {
    /// Reports whole PDUs of S7comm inside of unknown content.
    fn report_embedded_pdus(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        // A PDU at the start was reported already.
        let mut rest = bytes.get(1..).unwrap_or_default();
        while let Some((tsdu, behind)) = find_embedded_pdu(rest) {
            context.malformed("pdu_inside_pdu", tsdu.len() as u32);
            content::report_foreign(tsdu, &mut self.stack, context);
            rest = behind;
        }
    }
}

impl Dissector for Other {
    fn frame_len(&self, from: Side, bytes: &[u8]) -> FrameLen {
        match tpkt::frame_len(bytes) {
            FrameLen::Bytes(length) if is_of_another_row(bytes, length, from) => FrameLen::Invalid("tsdu_of_s7comm"),
            length => length,
        }
    }

    fn may_start(&self, _: Side, bytes: &[u8]) -> bool {
        tpkt::may_start(bytes)
    }

    fn boundary(&self, _: Side, frame: &[u8]) -> Boundary {
        tpkt::boundary(frame, |tsdu| Content::of(tsdu) != Content::Other)
    }

    fn decode_frame(&mut self, from: Side, frame: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        let mut context = Context { from, stamp, sink };
        for tsdu in self.stack.add_frame(frame, &mut context).into_iter().flatten() {
            let content = Content::of(&tsdu.bytes);
            if tsdu.form.is_torn && content == Content::Other {
                context.sink.lost(tsdu.bytes.len());
                continue;
            }
            context.sink.pdu(0, content as u32);
            content::report_foreign(&tsdu.bytes, &mut self.stack, &mut context);
            if content == Content::Other && !tsdu.form.is_joined {
                self.report_embedded_pdus(&tsdu.bytes, &mut context);
            }
        }
    }

    fn interrupt(&mut self, from: Side, sink: &mut dyn Sink) {
        self.stack.interrupt(from, sink);
    }

    fn buffered(&self) -> usize {
        self.stack.buffered()
    }

    fn give_up(&mut self, from: Side, _: &Stamp, sink: &mut dyn Sink) -> bool {
        self.stack.give_up(from, sink)
    }

    fn remembered(&self) -> usize {
        self.stack.remembered()
    }

    fn forget(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        self.stack.forget(stamp, sink);
    }

    fn next_request(&mut self) -> &mut u32 {
        self.stack.next_request()
    }

    fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.stack.expire(clock, sink);
    }

    fn deadline(&self) -> Option<i64> {
        self.stack.deadline()
    }

    fn close(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.stack.close(clock, sink);
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        self.stack.finish(sink);
    }
}
