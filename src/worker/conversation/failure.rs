//! Connections that came to nothing.

use super::Conversation;
use super::content::Content;
use crate::metrics::{Failure, Server};
use crate::worker::context::FlowContext;

impl Conversation {
    /// [`Conversation::finish`]; what it took of memory is free, and if it came to nothing, it is counted among those that did.
    pub(in crate::worker) fn end(&mut self, clock: i64, context: &mut FlowContext<'_>) {
        if let Some((server, failure)) = self.failure() {
            context.shared.failed.count(server, failure);
        }
        self.finish(clock, context);
        self.free_memory(context);
    }

    /// Whether a connection was asked for and not granted, and by whom.
    fn failure(&self) -> Option<(Server, Failure)> {
        let Self { tcp, flow } = self;
        let server = tcp.client()?.other();
        if tcp.takes_part(server) || !matches!(flow.content, Content::Silent) {
            return None;
        }
        let failure = match flow.facts.seen[server.index()] {
            false => Failure::Unanswered,
            true if tcp.closed() => Failure::Refused,
            true => return None,
        };
        let end = flow.facts.ends[server.index()];
        Some(((end.host.ip?, end.port), failure))
    }
}
