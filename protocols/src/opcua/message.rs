//! MSG and CLO: from the chunks of a secure channel to whole bodies (OPC 10000-6, 6.7.2).
//!
//! A cleartext message in one chunk, the common case, is decoded in place. Chunks of larger messages are assembled first.

use super::assembly::{MessageKey, PartialMessage};
use super::channel::Protection;
use super::chunk::{self, Chunk, Kind, Part};
use super::exchange::Arrival;
use super::security_policy::Suite;
use super::{Context, OpcUa, cleartext, connection};
use crate::dissector::{AnomalyKind, Side};
use crate::keys::Sealed;
use crate::memory;
use crate::reader::Reader;
use crate::security::{Mode, Security};

/// A chunk on a secure channel, split from its security header.
#[derive(Clone, Copy, Debug)]
struct SecuredChunk<'f> {
    channel: u32,
    token: u32,
    part: Part,
    /// It is a CLO, which ends its channel.
    is_close: bool,
    /// What follows the security header: encrypted, or else the sequence header, the body and the signature.
    text: &'f [u8],
    frame: &'f [u8],
    /// Size of the chunk, bytes: of an oversized chunk, more than `frame` holds.
    size: usize,
}

impl<'f> SecuredChunk<'f> {
    /// Splits the security header off a chunk; `None` if it is too short.
    fn split(chunk: &Chunk<'f>) -> Option<Self> {
        let (channel, token, text) = chunk::split_numbers(chunk.rest)?;
        let is_close = chunk.kind == Kind::Close;
        Some(Self { channel, token, part: chunk.part, is_close, text, frame: chunk.frame, size: chunk.frame.len() })
    }
}

impl OpcUa {
    /// Decodes one chunk of a message, or a CLO.
    #[inline]
    pub(super) fn on_message(&mut self, chunk: &Chunk<'_>, context: &mut Context<'_>) {
        let Some(secured) = SecuredChunk::split(chunk) else { return };
        if !self.channels.has_token(secured.channel, secured.token) {
            self.add_unseen_channel(&secured, context);
        }
        let Some(channel) = self.channels.get(secured.channel) else { return };
        match (channel.protection, channel.signature) {
            (Protection::Readable, Some(signature)) => match secured.text.len().checked_sub(signature.into()) {
                Some(length) => self.on_cleartext(&secured, secured.text.get(..length).unwrap_or_default(), context),
                None => context.malformed("message_size", secured.frame.len() as u32),
            },
            _ => self.on_unproven(&secured, context),
        }
    }

    /// Decodes the beginning of an oversized chunk of `size` bytes. The rest of it is skipped.
    pub(super) fn on_oversized_start(&mut self, chunk: &Chunk<'_>, size: usize, context: &mut Context<'_>) {
        let Some(secured) = SecuredChunk::split(chunk).map(|secured| SecuredChunk { size, ..secured }) else { return };
        let protection = self.channels.get(secured.channel).map(|channel| channel.protection);
        let is_readable = match protection {
            Some(Protection::Readable) => true,
            Some(Protection::Unknown) => self.is_cleartext(&secured, secured.text, context.from),
            Some(Protection::Encrypted) | None => false,
        };
        if !is_readable {
            return self.on_encrypted(&secured, context);
        }
        let Some((sequence, request, body)) = chunk::split_numbers(secured.text) else { return };
        self.check_sequence(secured.channel, sequence, context);
        let key = MessageKey { from: context.from, channel: secured.channel, request: Some(request) };
        if !self.assemblies.contains(key) {
            self.begin_message(key, context);
        }
        self.append_chunk(key, body, size, false, context);
        self.assemblies.truncate(key);
        match secured.part {
            Part::More => {}
            Part::Last => self.finish_message(key, &[], context),
            Part::Abort => self.on_abort(key, body, context),
        }
    }

    /// Adds a channel or token whose issue was not captured: the capture began later, or the answer with it was encrypted.
    fn add_unseen_channel(&mut self, secured: &SecuredChunk<'_>, context: &mut Context<'_>) {
        let (channel, is_full) = self.channels.get_or_insert(secured.channel);
        if let Some(channel) = channel {
            channel.add_token(secured.token);
        }
        if is_full {
            context.anomaly(AnomalyKind::Limit, "channels", None);
        }
    }

    /// Decodes what follows the security header, cleartext and without its signature.
    #[inline]
    fn on_cleartext(&mut self, secured: &SecuredChunk<'_>, text: &[u8], context: &mut Context<'_>) {
        let Some((sequence, request, body)) = chunk::split_numbers(text) else {
            return context.malformed("message_size", secured.frame.len() as u32);
        };
        self.check_sequence(secured.channel, sequence, context);
        let is_headless = self.expects_tail.get(context.from.index()) != Some(&false);
        if secured.part == Part::Last && !is_headless && self.assemblies.is_empty() {
            self.exchange.on_body(secured.channel, request, body, Arrival::Complete, context);
        } else {
            self.on_part(secured, request, body, is_headless, context);
        }
    }

    /// Compares the sequence number of a chunk with that of the previous one. After lost bytes, a missing number means a
    /// lost chunk: incomplete messages of this side and channel are given up. Without lost bytes it is malformed.
    #[inline]
    pub(super) fn check_sequence(&mut self, channel: u32, number: u32, context: &mut Context<'_>) {
        let side = context.from.index();
        let Some(known) = self.channels.get(channel) else { return };
        let follows = known.advance_sequence(context.from, number);
        let has_gap = self.has_gap.get(side) != Some(&false);
        match (follows, has_gap) {
            (Some(true) | None, false) => {}
            (Some(false), false) => context.malformed("sequence_number", number),
            (_, true) => self.end_gap(follows == Some(true), channel, context),
        }
    }

    /// Ends a gap at the first chunk behind it. `is_complete`: no chunk is missing in the gap.
    fn end_gap(&mut self, is_complete: bool, channel: u32, context: &mut Context<'_>) {
        let side = context.from.index();
        if let Some(has_gap) = self.has_gap.get_mut(side) {
            *has_gap = false;
        }
        if !is_complete {
            context.sink.lost(self.assemblies.mark_headless(context.from, channel));
            if let Some(expects_tail) = self.expects_tail.get_mut(side) {
                *expects_tail = true;
            }
        }
    }

    /// Decodes a chunk of a message of several, or the first chunk behind a gap, which may be the tail of a message.
    fn on_part(
        &mut self,
        secured: &SecuredChunk<'_>,
        request: u32,
        body: &[u8],
        is_headless: bool,
        context: &mut Context<'_>,
    ) {
        let key = MessageKey { from: context.from, channel: secured.channel, request: Some(request) };
        let is_known = self.assemblies.contains(key);
        let is_tail = !is_known && is_headless && !cleartext::is_cleartext(body);
        if is_headless
            && (!is_tail || secured.part != Part::More)
            && !is_known
            && let Some(expects_tail) = self.expects_tail.get_mut(context.from.index())
        {
            *expects_tail = false;
        }
        if !is_known && !is_tail {
            self.begin_message(key, context);
        }
        match secured.part {
            Part::More => self.append_chunk(key, body, secured.frame.len(), is_tail, context),
            Part::Last if is_tail => context.sink.lost(body.len()),
            Part::Last => self.finish_message(key, body, context),
            Part::Abort => self.on_abort(key, body, context),
        }
    }

    /// Begins a message. If the client has another one incomplete, its server may join the chunks of both or drop the other
    /// message, so that an unread operation is reported: no proper client interleaves chunks.
    fn begin_message(&mut self, key: MessageKey, context: &mut Context<'_>) {
        self.assemblies.remove_headless(key.from);
        if key.from == Side::Client && self.assemblies.has_other_message(key) {
            context.anomaly(AnomalyKind::Malformed, "chunks_interleaved", key.request);
            self.exchange.announce_unread(&[], "chunks", context);
        }
    }

    /// Keeps a chunk until the rest of its message arrives. `is_headless`: the beginning of the message is missing.
    fn append_chunk(
        &mut self,
        key: MessageKey,
        body: &[u8],
        size: usize,
        is_headless: bool,
        context: &mut Context<'_>,
    ) {
        if let Some(oldest) = self.assemblies.evict_if_full(key) {
            self.evict(oldest, context);
        }
        context.sink.takes_memory();
        // The first chunk does not include the number of chunks.
        let memory = || memory::lent(body.len(), 2 * body.len(), context.sink);
        let rejected = self.assemblies.append(key, (body, size), is_headless, memory);
        if let Some(rejected) = rejected {
            context.sink.lost(rejected.lost);
            if let Some(name) = rejected.limit {
                context.anomaly(AnomalyKind::Limit, name, None);
            }
        }
    }

    /// Gives up a message for lack of room. Its server may still receive the rest.
    fn evict(&mut self, oldest: PartialMessage, context: &mut Context<'_>) {
        context.anomaly(AnomalyKind::Limit, "messages_in_chunks", None);
        self.abandon(oldest, context);
    }

    /// Gives up an incomplete message: a request is reported as unread.
    pub(super) fn abandon(&mut self, oldest: PartialMessage, context: &mut Context<'_>) {
        context.sink.lost(oldest.bytes.len());
        if oldest.key.from == Side::Client && oldest.key.request.is_some() && !oldest.is_headless {
            self.exchange.announce_unread(&oldest.bytes, "message", context);
        }
        context.sink.give_back(oldest.bytes);
    }

    /// Completes a message with the body of its last chunk.
    fn finish_message(&mut self, key: MessageKey, body: &[u8], context: &mut Context<'_>) {
        let Some(mut partial) = self.assemblies.remove(key) else {
            return self.exchange.on_body(
                key.channel,
                key.request.unwrap_or_default(),
                body,
                Arrival::Complete,
                context,
            );
        };
        if partial.is_headless {
            return context.sink.lost(body.len());
        }
        if partial.is_truncated {
            context.sink.lost(body.len());
        } else {
            partial.bytes.extend_from_slice(body);
        }
        let arrival = if partial.is_truncated { Arrival::Truncated } else { Arrival::Complete };
        self.exchange.on_body(key.channel, key.request.unwrap_or_default(), &partial.bytes, arrival, context);
        context.sink.give_back(partial.bytes);
    }

    /// The sender aborts a message (OPC 10000-6, 6.7.3): a status and a reason stand in place of the body.
    fn on_abort(&mut self, key: MessageKey, body: &[u8], context: &mut Context<'_>) {
        if let Some(partial) = self.assemblies.remove(key) {
            context.sink.give_back(partial.bytes);
        }
        match connection::read_error(&mut Reader::new(body)) {
            Ok((status, _reason)) => self.exchange.on_abort(key, status, context),
            Err(fault) => fault.report(false, context),
        }
    }
}

/// Chunks of channels that are not known to be readable.
impl OpcUa {
    /// Decodes a chunk whose channel is encrypted, of unknown protection, or of unknown signature length.
    fn on_unproven(&mut self, secured: &SecuredChunk<'_>, context: &mut Context<'_>) {
        let Some(channel) = self.channels.get(secured.channel) else { return };
        let is_secured = channel.suite.as_ref().is_some_and(|suite| !suite.is_none());
        match channel.protection {
            Protection::Readable => self.on_signed(secured, context),
            Protection::Encrypted if is_secured => {
                if !self.decrypt(secured, context) {
                    self.on_encrypted(secured, context);
                }
            }
            protection => {
                self.on_unknown_protection(secured, is_secured || protection == Protection::Encrypted, context)
            }
        }
    }

    /// Whether what follows a security header is cleartext: it continues a cleartext message, or begins as only a cleartext
    /// body does.
    fn is_cleartext(&self, secured: &SecuredChunk<'_>, text: &[u8], from: Side) -> bool {
        let Some((_, request, body)) = chunk::split_numbers(text) else { return false };
        let key = MessageKey { from, channel: secured.channel, request: Some(request) };
        self.assemblies.contains(key) || cleartext::is_cleartext(body)
    }

    /// Decrypts and decodes a chunk if there is a key for it; returns whether it did. Another connection may have used the
    /// same channel and token, so that a result that is not cleartext was decrypted with the wrong key.
    fn decrypt(&mut self, secured: &SecuredChunk<'_>, context: &mut Context<'_>) -> bool {
        let Some(keys) = &self.keys else { return false };
        let (header, _) = secured.frame.split_at(secured.frame.len() - secured.text.len());
        let suite = self.channels.get(secured.channel).and_then(|channel| channel.suite.as_ref()?.known());
        let sealed = Sealed {
            suite: suite.map(|policy| policy.name),
            channel: secured.channel,
            token: secured.token,
            from: context.from,
            header,
            text: secured.text,
        };
        let mut clear = core::mem::take(&mut self.decrypted);
        clear.clear();
        let is_decrypted = keys.open(&sealed, &mut clear) && self.is_cleartext(secured, &clear, context.from);
        if is_decrypted {
            self.on_cleartext(secured, &clear, context);
        }
        self.decrypted = clear;
        is_decrypted
    }

    /// Decodes a chunk of unknown protection by its own shape. Several in a row settle the protection of the channel.
    /// `is_suspect`: everything but the chunk itself suggests that it is encrypted.
    fn on_unknown_protection(&mut self, secured: &SecuredChunk<'_>, is_suspect: bool, context: &mut Context<'_>) {
        let from = context.from;
        if self.is_cleartext(secured, secured.text, from) {
            self.observe_protection(secured.channel, Protection::Readable, context);
            return self.on_signed(secured, context);
        }
        let is_decrypted = self.decrypt(secured, context);
        let is_continued = self.assemblies.contains(MessageKey { from, channel: secured.channel, request: None });
        let is_evidence = secured.part == Part::Last && !is_continued;
        let is_settled = is_evidence && self.observe_protection(secured.channel, Protection::Encrypted, context);
        if is_decrypted {
            return;
        }
        if is_suspect || is_settled || secured.is_close {
            self.on_encrypted(secured, context);
        } else {
            // Encrypted, or the tail of a cleartext message whose beginning was not captured.
            context.sink.lost(secured.text.len());
        }
    }

    /// Decodes a cleartext chunk with its signature. If the opening of the channel was not captured, the length of the
    /// signature is unknown until a message defines its own end; without a signature, the channel has no security.
    fn on_signed(&mut self, secured: &SecuredChunk<'_>, context: &mut Context<'_>) {
        let Some(channel) = self.channels.get(secured.channel) else { return };
        if channel.signature.is_none() && secured.part == Part::Last {
            channel.signature = secured.text.get(SEQUENCE_HEADER..).and_then(cleartext::signature_length);
            if channel.signature == Some(0) && channel.suite.is_none() {
                channel.apply_opening(Suite::of(&[]), Some(Mode::None), true);
                let fact = Security::Channel { mode: Some(Mode::None), policy: "None" };
                context.sink.security(&fact, context.stamp);
            }
        }
        let length = secured.text.len().saturating_sub(channel.signature.unwrap_or(0).into());
        self.on_cleartext(secured, secured.text.get(..length).unwrap_or_default(), context);
    }

    /// Records how a message is protected. Returns whether enough messages agree on the protection of their channel, and reports
    /// that protection to the sink once they do.
    fn observe_protection(&mut self, id: u32, protection: Protection, context: &mut Context<'_>) -> bool {
        let Some(channel) = self.channels.get(id) else { return false };
        let before = channel.protection;
        if before == protection {
            return true;
        }
        let settled = channel.observe_protection(protection);
        if settled && let Some(suite) = &channel.suite {
            let fact = Security::Channel { mode: channel.mode(), policy: suite.name() };
            context.sink.security(&fact, context.stamp);
        }
        settled
    }

    /// Decodes an encrypted chunk: only the length of its message is known.
    fn on_encrypted(&mut self, secured: &SecuredChunk<'_>, context: &mut Context<'_>) {
        if let Some(has_gap) = self.has_gap.get_mut(context.from.index())
            && core::mem::take(has_gap)
        {
            self.assemblies.mark_headless(context.from, secured.channel);
        }
        let key = MessageKey { from: context.from, channel: secured.channel, request: None };
        let size = secured.size;
        match secured.part {
            _ if secured.is_close => self.exchange.report_encrypted_close(context),
            Part::More => self.append_chunk(key, &[], size, false, context),
            Part::Last => {
                let before = self.assemblies.remove(key).map_or(0, |partial| partial.size);
                self.exchange.report_encrypted(before.saturating_add(size), context);
            }
            Part::Abort => drop(self.assemblies.remove(key)),
        }
    }
}

/// Size of sequence number and request id, bytes.
const SEQUENCE_HEADER: usize = 8;
