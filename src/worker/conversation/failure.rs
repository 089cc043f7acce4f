//! Connections that came to nothing.

use super::{Bench, Content, Conversation};
use crate::metrics::{Failure, Server};

impl Conversation {
    /// [`Conversation::finish`]; what it took of memory is free, and if it came to nothing, it is counted among those that did.
    pub(in crate::worker) fn end(&mut self, clock: i64, bench: &mut Bench<'_>) {
        if let Some((server, failure)) = self.failure() {
            bench.shared.failed.count(server, failure);
        }
        self.finish(clock, bench);
        self.free_memory(bench);
    }

    /// Whether a connection was asked for and not granted, and by whom.
    fn failure(&self) -> Option<(Server, Failure)> {
        let Self { tcp, talk } = self;
        let server = tcp.client()?.other();
        if tcp.takes_part(server) || !matches!(talk.content, Content::Silence) {
            return None;
        }
        let failure = match talk.facts.seen[server.index()] {
            false => Failure::Unanswered,
            true if tcp.closed() => Failure::Refused,
            true => return None,
        };
        let end = talk.facts.ends[server.index()];
        Some(((end.host.ip?, end.port), failure))
    }
}
