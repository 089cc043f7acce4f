//! MSG: from the chunks of a secure channel to whole bodies (OPC 10000-6, 6.7.2).
//!
//! A clear message in one chunk, the common case, is decoded where it lies. Everything else is put together first.

use super::assembly::{Key, Partial};
use super::channel::Protection;
use super::chunk::{Chunk, Kind, Part};
use super::exchange::Came;
use super::security_policy::Suite;
use super::{Context, OpcUa, connection, proof};
use crate::dissector::{AnomalyKind, Side};
use crate::keys::Sealed;
use crate::memory;
use crate::reader::Reader;
use crate::security::{Mode, Security};

/// A chunk on a channel, security header taken off.
#[derive(Clone, Copy, Debug)]
struct Piece<'f> {
    channel: u32,
    token: u32,
    part: Part,
    /// It is a CLO.
    closes: bool,
    /// What follows the security header: encrypted, or the sequence header and the body, then the signature.
    text: &'f [u8],
    frame: &'f [u8],
    /// Bytes of the chunk: more than there are of one that is longer than is kept.
    size: usize,
}

impl<'f> Piece<'f> {
    fn split(chunk: &Chunk<'f>) -> Option<Self> {
        let (&[a, b, c, d, e, f, g, h], text) = chunk.rest.split_first_chunk::<SECURITY_HEADER>()?;
        let (channel, token) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let closes = chunk.kind == Kind::Close;
        Some(Self { channel, token, part: chunk.part, closes, text, frame: chunk.frame, size: chunk.frame.len() })
    }
}

impl OpcUa {
    /// One chunk of a message, or CLO: a message in one chunk that ends its channel.
    #[inline]
    pub(super) fn on_message(&mut self, chunk: &Chunk<'_>, context: &mut Context<'_>) {
        let Some(piece) = Piece::split(chunk) else { return };
        if !self.channels.has(piece.channel, piece.token) {
            self.meet(&piece, context);
        }
        let Some(channel) = self.channels.get(piece.channel) else { return };
        match (channel.protection, channel.signature) {
            (Protection::Readable, Some(signature)) => match piece.text.len().checked_sub(signature.into()) {
                Some(length) => self.clear(&piece, piece.text.get(..length).unwrap_or_default(), context),
                None => context.malformed("message_size", piece.frame.len() as u32),
            },
            _ => self.unusual(&piece, context),
        }
    }

    /// The beginning of a chunk of `size` bytes, of which no more is kept.
    pub(super) fn on_beginning(&mut self, chunk: &Chunk<'_>, size: usize, context: &mut Context<'_>) {
        let Some(piece) = Piece::split(chunk).map(|piece| Piece { size, ..piece }) else { return };
        let protection = self.channels.get(piece.channel).map(|channel| channel.protection);
        let is_readable = match protection {
            Some(Protection::Readable) => true,
            Some(Protection::Unknown) => self.is_clear(&piece, piece.text, context.from),
            Some(Protection::Sealed) | None => false,
        };
        if !is_readable {
            return self.sealed(&piece, context);
        }
        let Some((&[a, b, c, d, e, f, g, h], body)) = piece.text.split_first_chunk::<SEQUENCE_HEADER>() else { return };
        self.order(piece.channel, u32::from_le_bytes([a, b, c, d]), context);
        let request = u32::from_le_bytes([e, f, g, h]);
        let key = Key { from: context.from, channel: piece.channel, request: Some(request) };
        if !self.assemblies.has(key) {
            self.begins(key, context);
        }
        self.add(key, body, size, false, context);
        self.assemblies.cut(key);
        match piece.part {
            Part::More => {}
            Part::Last => self.last(key, &[], context),
            Part::Abort => self.abort(key, body, context),
        }
    }

    /// A channel, or a token of one, whose issue was not seen: the capture began later, or the answer that issued it was
    /// encrypted.
    fn meet(&mut self, piece: &Piece<'_>, context: &mut Context<'_>) {
        let (channel, is_full) = self.channels.enter(piece.channel);
        if let Some(channel) = channel {
            channel.learn_token(piece.token);
        }
        if is_full {
            context.anomaly(AnomalyKind::Limit, "channels", None);
        }
    }

    /// What follows the security header, clear and without signature.
    #[inline]
    fn clear(&mut self, piece: &Piece<'_>, text: &[u8], context: &mut Context<'_>) {
        let Some((&[a, b, c, d, e, f, g, h], body)) = text.split_first_chunk::<SEQUENCE_HEADER>() else {
            return context.malformed("message_size", piece.frame.len() as u32);
        };
        self.order(piece.channel, u32::from_le_bytes([a, b, c, d]), context);
        let request = u32::from_le_bytes([e, f, g, h]);
        let is_torn = self.torn.get(context.from.index()) != Some(&false);
        if piece.part == Part::Last && !is_torn && self.assemblies.is_empty() {
            self.exchange.receive(piece.channel, request, body, Came::Whole, context);
        } else {
            self.part(piece, request, body, is_torn, context);
        }
    }

    /// Holds the sequence number of a chunk against the one before. A number that is missing where bytes are missing is
    /// a lost chunk: the messages that it may have belonged to are given up, and nothing else.
    #[inline]
    pub(super) fn order(&mut self, channel: u32, number: u32, context: &mut Context<'_>) {
        let side = context.from.index();
        let Some(known) = self.channels.get(channel) else { return };
        let follows = known.follows(context.from, number);
        let is_holed = self.holed.get(side) != Some(&false);
        match (follows, is_holed) {
            (Some(true) | None, false) => {}
            (Some(false), false) => context.malformed("sequence_number", number),
            (_, true) => self.hole(follows == Some(true), channel, context),
        }
    }

    fn hole(&mut self, is_whole: bool, channel: u32, context: &mut Context<'_>) {
        let side = context.from.index();
        if let Some(holed) = self.holed.get_mut(side) {
            *holed = false;
        }
        if !is_whole {
            context.sink.lost(self.assemblies.tear(context.from, channel));
            if let Some(torn) = self.torn.get_mut(side) {
                *torn = true;
            }
        }
    }

    /// A chunk of a message that has several, or the first one behind a hole, which may be the end of a message.
    fn part(&mut self, piece: &Piece<'_>, request: u32, body: &[u8], is_torn: bool, context: &mut Context<'_>) {
        let key = Key { from: context.from, channel: piece.channel, request: Some(request) };
        let is_known = self.assemblies.has(key);
        let is_tail = !is_known && is_torn && !proof::is_clear(body);
        if is_torn
            && (!is_tail || piece.part != Part::More)
            && !is_known
            && let Some(torn) = self.torn.get_mut(context.from.index())
        {
            *torn = false;
        }
        if !is_known && !is_tail {
            self.begins(key, context);
        }
        match piece.part {
            Part::More => self.add(key, body, piece.frame.len(), is_tail, context),
            Part::Last if is_tail => context.sink.lost(body.len()),
            Part::Last => self.last(key, body, context),
            Part::Abort => self.abort(key, body, context),
        }
    }

    /// A message begins before another one of its sender has ended. No client does so: most servers join its chunks with
    /// those of the other, or forget the other, and what they execute then is none of both.
    fn begins(&mut self, key: Key, context: &mut Context<'_>) {
        self.assemblies.forget_torn(key.from);
        if key.from == Side::Client && self.assemblies.has_beside(key) {
            context.anomaly(AnomalyKind::Malformed, "chunks_interleaved", key.request);
            self.exchange.unread(&[], "chunks", context);
        }
    }

    fn add(&mut self, key: Key, body: &[u8], size: usize, is_torn: bool, context: &mut Context<'_>) {
        if let Some(oldest) = self.assemblies.make_room(key) {
            self.give_up(oldest, context);
        }
        context.sink.takes_memory();
        // Of how many chunks a message consists its first does not tell.
        let memory = || memory::lent(body.len(), 2 * body.len(), context.sink);
        let reached = self.assemblies.add(key, (body, size), is_torn, memory);
        if let Some(reached) = reached {
            context.sink.lost(reached.lost);
            if let Some(name) = reached.name {
                context.anomaly(AnomalyKind::Limit, name, None);
            }
        }
    }

    /// A message for which there is no room any more. Its server may still get the rest.
    fn give_up(&mut self, oldest: Partial, context: &mut Context<'_>) {
        context.anomaly(AnomalyKind::Limit, "messages_in_chunks", None);
        self.lose(oldest, context);
    }

    /// The rest of a message is not waited for.
    pub(super) fn lose(&mut self, oldest: Partial, context: &mut Context<'_>) {
        context.sink.lost(oldest.bytes.len());
        if oldest.key.from == Side::Client && oldest.key.request.is_some() && !oldest.is_torn {
            self.exchange.unread(&oldest.bytes, "message", context);
        }
        context.sink.give_back(oldest.bytes);
    }

    /// The last chunk of a message.
    fn last(&mut self, key: Key, body: &[u8], context: &mut Context<'_>) {
        let Some(mut partial) = self.assemblies.take(key) else {
            return self.exchange.receive(key.channel, key.request.unwrap_or_default(), body, Came::Whole, context);
        };
        if partial.is_torn {
            return context.sink.lost(body.len());
        }
        if partial.is_cut {
            context.sink.lost(body.len());
        } else {
            memory::append(&mut partial.bytes, body);
        }
        let came = if partial.is_cut { Came::Cut } else { Came::Whole };
        self.exchange.receive(key.channel, key.request.unwrap_or_default(), &partial.bytes, came, context);
        context.sink.give_back(partial.bytes);
    }

    /// The sender gives a message up (OPC 10000-6, 6.7.3): a status and a reason stand in place of the body.
    fn abort(&mut self, key: Key, body: &[u8], context: &mut Context<'_>) {
        if let Some(partial) = self.assemblies.take(key) {
            context.sink.give_back(partial.bytes);
        }
        match connection::error(&mut Reader::new(body)) {
            Ok((status, _reason)) => self.exchange.aborted(key, status, context),
            Err(fault) => fault.report(false, context),
        }
    }
}

/// Chunks of channels that are not known to be clear.
impl OpcUa {
    fn unusual(&mut self, piece: &Piece<'_>, context: &mut Context<'_>) {
        let Some(channel) = self.channels.get(piece.channel) else { return };
        let is_secured = channel.suite.as_ref().is_some_and(|suite| !suite.is_none());
        match channel.protection {
            Protection::Readable => self.unsigned(piece, context),
            Protection::Sealed if is_secured => {
                if !self.unlock(piece, context) {
                    self.sealed(piece, context);
                }
            }
            protection => self.doubtful(piece, is_secured || protection == Protection::Sealed, context),
        }
    }

    /// Whether what follows a security header is clear: it goes on with a message, or begins one as only a clear one does.
    fn is_clear(&self, piece: &Piece<'_>, text: &[u8], from: Side) -> bool {
        let Some((&[.., a, b, c, d], body)) = text.split_first_chunk::<SEQUENCE_HEADER>() else { return false };
        let key = Key { from, channel: piece.channel, request: Some(u32::from_le_bytes([a, b, c, d])) };
        self.assemblies.has(key) || proof::is_clear(body)
    }

    /// Decrypts a chunk if there is a key for it. Another connection may have had the same channel and token: what does
    /// not make sense was decrypted with its key.
    fn unlock(&mut self, piece: &Piece<'_>, context: &mut Context<'_>) -> bool {
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
        let mut clear = core::mem::take(&mut self.unsealed);
        clear.clear();
        let is_open = keys.open(&sealed, &mut clear) && self.is_clear(piece, &clear, context.from);
        if is_open {
            self.clear(piece, &clear, context);
        }
        self.unsealed = clear;
        is_open
    }

    /// A chunk whose protection is not known: the message itself tells, if it is a clear one. Several in a row settle it.
    /// `is_suspect`: everything but the message says that it is encrypted.
    fn doubtful(&mut self, piece: &Piece<'_>, is_suspect: bool, context: &mut Context<'_>) {
        let from = context.from;
        if self.is_clear(piece, piece.text, from) {
            self.shown(piece.channel, Protection::Readable, context);
            return self.unsigned(piece, context);
        }
        let is_open = self.unlock(piece, context);
        let goes_on = self.assemblies.has(Key { from, channel: piece.channel, request: None });
        let is_evidence = piece.part == Part::Last && !goes_on;
        let is_settled = is_evidence && self.shown(piece.channel, Protection::Sealed, context);
        if is_open {
            return;
        }
        if is_suspect || is_settled || piece.closes {
            self.sealed(piece, context);
        } else {
            // Encrypted, or the end of a clear message whose beginning was not seen.
            context.sink.lost(piece.text.len());
        }
    }

    /// A clear chunk. The length of its signature is not known where the opening of the channel was not seen, until a
    /// message tells where it ends. One without a signature is not protected at all.
    fn unsigned(&mut self, piece: &Piece<'_>, context: &mut Context<'_>) {
        let Some(channel) = self.channels.get(piece.channel) else { return };
        if channel.signature.is_none() && piece.part == Part::Last {
            channel.signature = piece.text.get(SEQUENCE_HEADER..).and_then(proof::signature);
            if channel.signature == Some(0) && channel.suite.is_none() {
                channel.opened(Suite::of(&[]), Some(Mode::None), true);
                let fact = Security::Channel { mode: Some(Mode::None), policy: "None" };
                context.sink.security(&fact, context.stamp);
            }
        }
        let length = piece.text.len().saturating_sub(channel.signature.unwrap_or(0).into());
        self.clear(piece, piece.text.get(..length).unwrap_or_default(), context);
    }

    /// A message showed how its channel is protected. Says whether that is settled now.
    fn shown(&mut self, id: u32, protection: Protection, context: &mut Context<'_>) -> bool {
        let Some(channel) = self.channels.get(id) else { return false };
        let before = channel.protection;
        if before == protection {
            return true;
        }
        let settled = channel.shows(protection);
        if settled && let Some(suite) = &channel.suite {
            let fact = Security::Channel { mode: channel.mode(), policy: suite.name() };
            context.sink.security(&fact, context.stamp);
        }
        settled
    }

    /// An encrypted chunk. How long its message is shows, and no more.
    fn sealed(&mut self, piece: &Piece<'_>, context: &mut Context<'_>) {
        if let Some(holed) = self.holed.get_mut(context.from.index())
            && core::mem::take(holed)
        {
            self.assemblies.tear(context.from, piece.channel);
        }
        let key = Key { from: context.from, channel: piece.channel, request: None };
        let size = piece.size;
        match piece.part {
            _ if piece.closes => self.exchange.closed(context),
            Part::More => self.add(key, &[], size, false, context),
            Part::Last => {
                let before = self.assemblies.take(key).map_or(0, |partial| partial.size);
                self.exchange.opaque(before.saturating_add(size), context);
            }
            Part::Abort => drop(self.assemblies.take(key)),
        }
    }
}

/// Channel and token.
const SECURITY_HEADER: usize = 8;
/// Sequence number and request id.
const SEQUENCE_HEADER: usize = 8;
