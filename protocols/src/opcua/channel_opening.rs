//! The effect of OPN: a secure channel is opened or renewed.

use super::chunk::Chunk;
use super::open_message::{AsymmetricHeader, ClearBody, ClearContent};
use super::pending_request::ChannelRequest;
use super::security_policy::Suite;
use super::service::TokenRequest;
use super::{Context, OpcUa, SECURITY_POLICIES};
use crate::dissector::{AnomalyKind, Outcome, Side};
use crate::fault::Fault;
use crate::reader::Reader;
use crate::security::{Mode, Security};

impl OpcUa {
    /// OPN: a client requests a channel, or a server grants it.
    pub(super) fn on_open(&mut self, chunk: &Chunk<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
        let mut reader = Reader::new(chunk.rest);
        let head = AsymmetricHeader::read(&mut reader)?;
        let suite = Suite::of(head.uri);
        context.sink.pdu(SECURITY_POLICIES, suite.count_key());
        if !head.certificate.is_empty() {
            let fact = Security::Certificate { of: context.from, der: head.certificate };
            context.sink.security(&fact, context.stamp);
        }
        // RSA policies encrypt the body. One that reads as cleartext to its end does not do so by accident.
        let clear = match ClearBody::read(&mut reader) {
            Ok(clear) => Some(clear),
            Err(fault) => {
                if suite.is_none() {
                    fault.report(false, context);
                }
                None
            }
        };
        if let Some(clear) = &clear {
            self.exchange.count_message(&clear.message, context);
        }
        match context.from {
            Side::Client => self.on_channel_request(&head, suite, clear, context),
            Side::Server => self.on_channel_response(&head, suite, clear, context),
        }
        Ok(())
    }

    /// A client requests a channel. If the body is encrypted, its mode is that of the channel that it renews.
    fn on_channel_request(
        &mut self,
        head: &AsymmetricHeader<'_>,
        suite: Suite,
        clear: Option<ClearBody<'_>>,
        context: &mut Context<'_>,
    ) {
        let request = clear.and_then(|clear| match clear.content {
            ClearContent::Request(request) => {
                Some((request.kind == TokenRequest::Renew, Mode::from_number(request.mode)))
            }
            ClearContent::Response(_) | ClearContent::Fault(_) => None,
        });
        let known = self.channels.get(head.channel);
        let mode = match request {
            Some((_, mode)) => mode,
            None if suite.is_none() => Some(Mode::None),
            // A renewal keeps the mode.
            None => known.and_then(|channel| channel.mode()),
        };
        let is_renewal = request.map_or(head.channel != 0, |(is_renewal, _)| is_renewal);
        let id = clear.map(|clear| clear.request);
        let sequence = clear.map(|clear| clear.sequence);
        self.note_sequence(head.channel, sequence, context);
        self.exchange.on_channel_request(
            head.channel,
            id,
            ChannelRequest { suite, mode, is_renewal, sequence },
            context,
        );
    }

    /// A server grants a channel, which is opened then, or refuses it.
    fn on_channel_response(
        &mut self,
        head: &AsymmetricHeader<'_>,
        suite: Suite,
        clear: Option<ClearBody<'_>>,
        context: &mut Context<'_>,
    ) {
        let outcome = match clear.map(|clear| clear.content) {
            Some(ClearContent::Fault(status)) => Outcome::Refused { code: status.0, name: status.name() },
            _ => Outcome::Accepted,
        };
        let request = self.exchange.on_channel_response(clear.map(|clear| clear.request), outcome, context);
        if outcome != Outcome::Accepted {
            return;
        }
        let (id, token) = match clear.map(|clear| clear.content) {
            Some(ClearContent::Response(granted)) => (granted.channel, Some(granted.token)),
            _ => (head.channel, None),
        };
        let request = request.unwrap_or_else(|| {
            let mode = suite.is_none().then_some(Mode::None);
            ChannelRequest { suite, mode, is_renewal: true, sequence: None }
        });
        self.open_channel(id, token, request, context);
        self.note_sequence(id, clear.map(|clear| clear.sequence), context);
    }

    /// Opens a channel, or renews it with a new token.
    fn open_channel(&mut self, id: u32, token: Option<u32>, request: ChannelRequest, context: &mut Context<'_>) {
        let (channel, is_full) = self.channels.get_or_insert(id);
        if let Some(channel) = channel {
            let fact = Security::Channel { mode: request.mode, policy: request.suite.name() };
            context.sink.security(&fact, context.stamp);
            if let Some(token) = token {
                channel.add_token(token);
            }
            if let Some(sequence) = request.sequence.filter(|_| !request.is_renewal) {
                channel.advance_sequence(Side::Client, sequence);
            }
            channel.apply_opening(request.suite, request.mode, request.is_renewal);
        }
        if is_full {
            context.anomaly(AnomalyKind::Limit, "channels", None);
        }
    }

    /// Records the sequence number of an OPN: OPN and MSG share one sequence. An encrypted body hides its number.
    fn note_sequence(&mut self, channel: u32, sequence: Option<u32>, context: &mut Context<'_>) {
        match sequence {
            Some(number) => self.check_sequence(channel, number, context),
            None => {
                if let Some(channel) = self.channels.get(channel) {
                    channel.forget_sequence(context.from);
                }
            }
        }
    }
}
