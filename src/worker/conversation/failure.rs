//! Connections that were not established.

use super::Conversation;
use super::content::Content;
use crate::metrics::{Failure, Server};
use crate::worker::context::FlowContext;

impl Conversation {
    /// [Finishes](Conversation::finish) the conversation, frees its memory, and counts it if it is a connection that failed.
    pub(in crate::worker) fn end(&mut self, clock: i64, context: &mut FlowContext<'_>) {
        if let Some((server, failure)) = self.failure() {
            context.shared.failed.count(server, failure);
        }
        self.finish(clock, context);
        self.free_memory(context);
    }

    /// The server and the reason, if this is a connection that was requested and not established.
    fn failure(&self) -> Option<(Server, Failure)> {
        let Self { tcp, flow } = self;
        let server = tcp.client()?.other();
        if tcp.takes_part(server) || !matches!(flow.content, Content::Empty) {
            return None;
        }
        let failure = match flow.facts.seen[server.index()] {
            false => Failure::Unanswered,
            true if tcp.is_closed() => Failure::Refused,
            true => return None,
        };
        let end = flow.facts.ends[server.index()];
        Some(((end.host.ip?, end.port), failure))
    }
}
