//! Effects of the connection messages: how a connection begins and ends.

use super::chunk::Chunk;
use super::{Context, OpcUa, connection};
use crate::dissector::{AnomalyKind, Side};
use crate::fault::Fault;
use crate::reader::Reader;
use crate::security::Security;

impl OpcUa {
    /// HEL: the client opens the connection.
    pub(super) fn on_hello(&mut self, chunk: &Chunk<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
        let mut reader = Reader::new(chunk.rest);
        let (sizes, url) = connection::read_hello(&mut reader)?;
        context.expect_end(reader.rest());
        self.check_sender(Side::Client, context);
        if let Some(size) = sizes.invalid_size() {
            context.malformed("buffer_size", size);
        }
        self.exchange.on_hello(limit_text(url, "endpoint_url", context), context);
        Ok(())
    }

    /// ACK: the negotiated sizes hold for both ends.
    pub(super) fn on_acknowledge(&mut self, chunk: &Chunk<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
        let mut reader = Reader::new(chunk.rest);
        let sizes = connection::read_acknowledge(&mut reader)?;
        context.expect_end(reader.rest());
        self.check_sender(Side::Server, context);
        if let Some(size) = sizes.invalid_size() {
            context.malformed("buffer_size", size);
        }
        let agreed = |size: u32| if size == 0 { u32::MAX } else { size };
        self.max_chunk = [agreed(sizes.receive), agreed(sizes.send)];
        self.exchange.on_acknowledge(context);
        Ok(())
    }

    /// ERR: the server ends the connection with a status and a reason.
    pub(super) fn on_error(&mut self, chunk: &Chunk<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
        let mut reader = Reader::new(chunk.rest);
        let (status, reason) = connection::read_error(&mut reader)?;
        limit_text(reason, "reason", context);
        context.expect_end(reader.rest());
        self.exchange.on_error(status, context);
        Ok(())
    }

    /// RHE: the server opened the TCP connection, so that a client behind a firewall can send its Hello.
    pub(super) fn on_reverse_hello(&mut self, chunk: &Chunk<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
        let mut reader = Reader::new(chunk.rest);
        let (server, url) = connection::read_reverse_hello(&mut reader)?;
        context.expect_end(reader.rest());
        self.check_sender(Side::Server, context);
        let (server, url) = (limit_text(server, "server_uri", context), limit_text(url, "endpoint_url", context));
        context.sink.security(&Security::Application { of: Side::Server, uri: server }, context.stamp);
        self.exchange.on_reverse_hello(url, context);
        Ok(())
    }

    /// Reports a message that only the other end may send.
    fn check_sender(&self, sender: Side, context: &mut Context<'_>) {
        if context.from != sender {
            context.anomaly(AnomalyKind::Malformed, "message_direction", None);
        }
    }
}

/// The text, cut to the longest that the standard allows. A longer text is malformed, but servers accept it.
fn limit_text<'f>(text: &'f [u8], field: &'static str, context: &mut Context<'_>) -> &'f [u8] {
    text.get(..connection::LONGEST_TEXT).map_or(text, |beginning| {
        if beginning.len() < text.len() {
            context.malformed(field, text.len() as u32);
        }
        beginning
    })
}
