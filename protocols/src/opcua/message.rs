//! MSG: from the chunks of a secure channel to whole bodies (OPC 10000-6, 6.7.2).
//!
//! A clear message in one chunk, the common case, is decoded where it lies. Everything else is put together first.

use super::assembly::{MessageKey, PartialMessage};
use super::channel::Protection;
use super::chunk::{Chunk, Kind, Part};
use super::exchange::Arrival;
use super::security_policy::Suite;
use super::{Context, OpcUa, cleartext, connection};
use crate::dissector::{AnomalyKind, Side};
use crate::keys::Sealed;
use crate::memory;
use crate::reader::Reader;
use crate::security::{Mode, Security};

/// A chunk on a channel, security header taken off.
#[derive(Clone, Copy, Debug)]
struct SecuredChunk<'f> {
    channel: u32,
    token: u32,
    part: Part,
    /// It is a CLO.
    is_close: bool,
    /// What follows the security header: encrypted, or the sequence header and the body, then the signature.
    text: &'f [u8],
    frame: &'f [u8],
    /// Bytes of the chunk: more than there are of one that is longer than is kept.
    size: usize,
}

impl<'f> SecuredChunk<'f> {
    fn split(chunk: &Chunk<'f>) -> Option<Self> {
        let (&[a, b, c, d, e, f, g, h], text) = chunk.rest.split_first_chunk::<SECURITY_HEADER>()?;
        let (channel, token) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let is_close = chunk.kind == Kind::Close;
        Some(Self { channel, token, part: chunk.part, is_close, text, frame: chunk.frame, size: chunk.frame.len() })
    }
}

impl OpcUa {
    /// One chunk of a message, or CLO: a message in one chunk that ends its channel.
    #[inline]
    pub(super) fn on_message(&mut self, chunk: &Chunk<'_>, context: &mut Context<'_>) {
        let Some(piece) = SecuredChunk::split(chunk) else { return };
        if !self.channels.has_token(piece.channel, piece.token) {
            self.add_unseen_channel(&piece, context);
        }
        let Some(channel) = self.channels.get(piece.channel) else { return };
        match (channel.protection, channel.signature) {
            (Protection::Readable, Some(signature)) => match piece.text.len().checked_sub(signature.into()) {
                Some(length) => self.on_cleartext(&piece, piece.text.get(..length).unwrap_or_default(), context),
                None => context.malformed("message_size", piece.frame.len() as u32),
            },
            _ => self.on_unproven(&piece, context),
        }
    }

    /// The beginning of a chunk of `size` bytes, of which no more is kept.
    pub(super) fn on_oversized_start(&mut self, chunk: &Chunk<'_>, size: usize, context: &mut Context<'_>) {
        let Some(piece) = SecuredChunk::split(chunk).map(|piece| SecuredChunk { size, ..piece }) else { return };
        let protection = self.channels.get(piece.channel).map(|channel| channel.protection);
        let is_readable = match protection {
            Some(Protection::Readable) => true,
            Some(Protection::Unknown) => self.is_cleartext(&piece, piece.text, context.from),
            Some(Protection::Encrypted) | None => false,
        };
        if !is_readable {
            return self.on_encrypted(&piece, context);
        }
        let Some((&[a, b, c, d, e, f, g, h], body)) = piece.text.split_first_chunk::<SEQUENCE_HEADER>() else { return };
        self.check_sequence(piece.channel, u32::from_le_bytes([a, b, c, d]), context);
        let request = u32::from_le_bytes([e, f, g, h]);
        let key = MessageKey { from: context.from, channel: piece.channel, request: Some(request) };
        if !self.assemblies.contains(key) {
            self.begin_message(key, context);
        }
        self.append_chunk(key, body, size, false, context);
        self.assemblies.truncate(key);
        match piece.part {
            Part::More => {}
            Part::Last => self.finish_message(key, &[], context),
            Part::Abort => self.on_abort(key, body, context),
        }
    }

    /// A channel, or a token of one, whose issue was not seen: the capture began later, or the answer that issued it was
    /// encrypted.
    fn add_unseen_channel(&mut self, piece: &SecuredChunk<'_>, context: &mut Context<'_>) {
        let (channel, is_full) = self.channels.get_or_insert(piece.channel);
        if let Some(channel) = channel {
            channel.add_token(piece.token);
        }
        if is_full {
            context.anomaly(AnomalyKind::Limit, "channels", None);
        }
    }

    /// What follows the security header, clear and without signature.
    #[inline]
    fn on_cleartext(&mut self, piece: &SecuredChunk<'_>, text: &[u8], context: &mut Context<'_>) {
        let Some((&[a, b, c, d, e, f, g, h], body)) = text.split_first_chunk::<SEQUENCE_HEADER>() else {
            return context.malformed("message_size", piece.frame.len() as u32);
        };
        self.check_sequence(piece.channel, u32::from_le_bytes([a, b, c, d]), context);
        let request = u32::from_le_bytes([e, f, g, h]);
        let is_headless = self.expects_tail.get(context.from.index()) != Some(&false);
        if piece.part == Part::Last && !is_headless && self.assemblies.is_empty() {
            self.exchange.receive(piece.channel, request, body, Arrival::Complete, context);
        } else {
            self.on_part(piece, request, body, is_headless, context);
        }
    }

    /// Holds the sequence number of a chunk against the one before. A number that is missing where bytes are missing is
    /// a lost chunk: the messages that it may have belonged to are given up, and nothing else.
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

    fn end_gap(&mut self, is_whole: bool, channel: u32, context: &mut Context<'_>) {
        let side = context.from.index();
        if let Some(has_gap) = self.has_gap.get_mut(side) {
            *has_gap = false;
        }
        if !is_whole {
            context.sink.lost(self.assemblies.mark_headless(context.from, channel));
            if let Some(expects_tail) = self.expects_tail.get_mut(side) {
                *expects_tail = true;
            }
        }
    }

    /// A chunk of a message that has several, or the first one behind a hole, which may be the end of a message.
    fn on_part(
        &mut self,
        piece: &SecuredChunk<'_>,
        request: u32,
        body: &[u8],
        is_headless: bool,
        context: &mut Context<'_>,
    ) {
        let key = MessageKey { from: context.from, channel: piece.channel, request: Some(request) };
        let is_known = self.assemblies.contains(key);
        let is_tail = !is_known && is_headless && !cleartext::is_cleartext(body);
        if is_headless
            && (!is_tail || piece.part != Part::More)
            && !is_known
            && let Some(expects_tail) = self.expects_tail.get_mut(context.from.index())
        {
            *expects_tail = false;
        }
        if !is_known && !is_tail {
            self.begin_message(key, context);
        }
        match piece.part {
            Part::More => self.append_chunk(key, body, piece.frame.len(), is_tail, context),
            Part::Last if is_tail => context.sink.lost(body.len()),
            Part::Last => self.finish_message(key, body, context),
            Part::Abort => self.on_abort(key, body, context),
        }
    }

    /// A message begins before another one of its sender has ended. No client does so: most servers join its chunks with
    /// those of the other, or forget the other, and what they execute then is none of both.
    fn begin_message(&mut self, key: MessageKey, context: &mut Context<'_>) {
        self.assemblies.remove_headless(key.from);
        if key.from == Side::Client && self.assemblies.has_other_message(key) {
            context.anomaly(AnomalyKind::Malformed, "chunks_interleaved", key.request);
            self.exchange.announce_unread(&[], "chunks", context);
        }
    }

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
        // Of how many chunks a message consists its first does not tell.
        let memory = || memory::lent(body.len(), 2 * body.len(), context.sink);
        let rejected = self.assemblies.append(key, (body, size), is_headless, memory);
        if let Some(rejected) = rejected {
            context.sink.lost(rejected.lost);
            if let Some(name) = rejected.limit {
                context.anomaly(AnomalyKind::Limit, name, None);
            }
        }
    }

    /// A message for which there is no room any more. Its server may still get the rest.
    fn evict(&mut self, oldest: PartialMessage, context: &mut Context<'_>) {
        context.anomaly(AnomalyKind::Limit, "messages_in_chunks", None);
        self.abandon(oldest, context);
    }

    /// The rest of a message is not waited for.
    pub(super) fn abandon(&mut self, oldest: PartialMessage, context: &mut Context<'_>) {
        context.sink.lost(oldest.bytes.len());
        if oldest.key.from == Side::Client && oldest.key.request.is_some() && !oldest.is_headless {
            self.exchange.announce_unread(&oldest.bytes, "message", context);
        }
        context.sink.give_back(oldest.bytes);
    }

    /// The last chunk of a message.
    fn finish_message(&mut self, key: MessageKey, body: &[u8], context: &mut Context<'_>) {
        let Some(mut partial) = self.assemblies.remove(key) else {
            return self.exchange.receive(
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
            memory::append(&mut partial.bytes, body);
        }
        let arrival = if partial.is_truncated { Arrival::Truncated } else { Arrival::Complete };
        self.exchange.receive(key.channel, key.request.unwrap_or_default(), &partial.bytes, arrival, context);
        context.sink.give_back(partial.bytes);
    }

    /// The sender gives a message up (OPC 10000-6, 6.7.3): a status and a reason stand in place of the body.
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

/// Chunks of channels that are not known to be clear.
impl OpcUa {
    fn on_unproven(&mut self, piece: &SecuredChunk<'_>, context: &mut Context<'_>) {
        let Some(channel) = self.channels.get(piece.channel) else { return };
        let is_secured = channel.suite.as_ref().is_some_and(|suite| !suite.is_none());
        match channel.protection {
            Protection::Readable => self.on_signed(piece, context),
            Protection::Encrypted if is_secured => {
                if !self.decrypt(piece, context) {
                    self.on_encrypted(piece, context);
                }
            }
            protection => self.on_unknown_protection(piece, is_secured || protection == Protection::Encrypted, context),
        }
    }

    /// Whether what follows a security header is clear: it goes on with a message, or begins one as only a clear one does.
    fn is_cleartext(&self, piece: &SecuredChunk<'_>, text: &[u8], from: Side) -> bool {
        let Some((&[.., a, b, c, d], body)) = text.split_first_chunk::<SEQUENCE_HEADER>() else { return false };
        let key = MessageKey { from, channel: piece.channel, request: Some(u32::from_le_bytes([a, b, c, d])) };
        self.assemblies.contains(key) || cleartext::is_cleartext(body)
    }

    /// Decrypts a chunk if there is a key for it. Another connection may have had the same channel and token: what does
    /// not make sense was decrypted with its key.
    fn decrypt(&mut self, piece: &SecuredChunk<'_>, context: &mut Context<'_>) -> bool {
        let Some(keys) = &self.keys else { return false };
        let (header, _) = piece.frame.split_at(piece.frame.len() - piece.text.len());
        let suite = self.channels.get(piece.channel).and_then(|channel| channel.suite.as_ref()?.known());
        let sealed = Sealed {
            suite: suite.map(|policy| policy.name),
            channel: piece.channel,
            token: piece.token,
            from: context.from,
            header,
            text: piece.text,
        };
        let mut clear = core::mem::take(&mut self.decrypted);
        clear.clear();
        let is_open = keys.open(&sealed, &mut clear) && self.is_cleartext(piece, &clear, context.from);
        if is_open {
            self.on_cleartext(piece, &clear, context);
        }
        self.decrypted = clear;
        is_open
    }

    /// A chunk whose protection is not known: the message itself tells, if it is a clear one. Several in a row settle it.
    /// `is_suspect`: everything but the message says that it is encrypted.
    fn on_unknown_protection(&mut self, piece: &SecuredChunk<'_>, is_suspect: bool, context: &mut Context<'_>) {
        let from = context.from;
        if self.is_cleartext(piece, piece.text, from) {
            self.observe_protection(piece.channel, Protection::Readable, context);
            return self.on_signed(piece, context);
        }
        let is_open = self.decrypt(piece, context);
        let goes_on = self.assemblies.contains(MessageKey { from, channel: piece.channel, request: None });
        let is_evidence = piece.part == Part::Last && !goes_on;
        let is_settled = is_evidence && self.observe_protection(piece.channel, Protection::Encrypted, context);
        if is_open {
            return;
        }
        if is_suspect || is_settled || piece.is_close {
            self.on_encrypted(piece, context);
        } else {
            // Encrypted, or the end of a clear message whose beginning was not seen.
            context.sink.lost(piece.text.len());
        }
    }

    /// A clear chunk. The length of its signature is not known where the opening of the channel was not seen, until a
    /// message tells where it ends. One without a signature is not protected at all.
    fn on_signed(&mut self, piece: &SecuredChunk<'_>, context: &mut Context<'_>) {
        let Some(channel) = self.channels.get(piece.channel) else { return };
        if channel.signature.is_none() && piece.part == Part::Last {
            channel.signature = piece.text.get(SEQUENCE_HEADER..).and_then(cleartext::signature_length);
            if channel.signature == Some(0) && channel.suite.is_none() {
                channel.apply_opening(Suite::of(&[]), Some(Mode::None), true);
                let fact = Security::Channel { mode: Some(Mode::None), policy: "None" };
                context.sink.security(&fact, context.stamp);
            }
        }
        let length = piece.text.len().saturating_sub(channel.signature.unwrap_or(0).into());
        self.on_cleartext(piece, piece.text.get(..length).unwrap_or_default(), context);
    }

    /// A message showed how its channel is protected. Says whether that is settled now.
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

    /// An encrypted chunk. How long its message is shows, and no more.
    fn on_encrypted(&mut self, piece: &SecuredChunk<'_>, context: &mut Context<'_>) {
        if let Some(has_gap) = self.has_gap.get_mut(context.from.index())
            && core::mem::take(has_gap)
        {
            self.assemblies.mark_headless(context.from, piece.channel);
        }
        let key = MessageKey { from: context.from, channel: piece.channel, request: None };
        let size = piece.size;
        match piece.part {
            _ if piece.is_close => self.exchange.report_encrypted_close(context),
            Part::More => self.append_chunk(key, &[], size, false, context),
            Part::Last => {
                let before = self.assemblies.remove(key).map_or(0, |partial| partial.size);
                self.exchange.report_encrypted(before.saturating_add(size), context);
            }
            Part::Abort => drop(self.assemblies.remove(key)),
        }
    }
}

/// Channel and token.
const SECURITY_HEADER: usize = 8;
/// Sequence number and request id.
const SEQUENCE_HEADER: usize = 8;
