//! Failed connections: the server did not answer, or refused. Many of them to one server indicate a scan, a server that is
//! down, or a firewall in between.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Why a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its SYN was not answered.
    Unanswered,
    /// Its SYN was answered by a reset.
    Refused,
}

/// Numbers of failed connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// SYN segments without an answer; a repeated one counts once.
    pub unanswered: u64,
    /// SYN segments answered by a reset.
    pub refused: u64,
}

/// Address and port of a server.
pub type Server = (IpAddr, u16);

/// Failed connections by server, of one shard or of all. The list of a shard is bounded, and depends only on its own packets.
#[derive(Clone, Debug, Default)]
pub struct FailedConnections {
    /// All failed connections.
    pub total: Failures,
    /// Failed connections to servers that did not fit in the list.
    pub unlisted: u64,
    servers: BTreeMap<Server, Failures>,
}

impl Failures {
    fn count(&mut self, failure: Failure) {
        match failure {
            Failure::Unanswered => self.unanswered += 1,
            Failure::Refused => self.refused += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.unanswered += other.unanswered;
        self.refused += other.refused;
    }

    /// The sum of both.
    pub const fn all(self) -> u64 {
        self.unanswered + self.refused
    }
}

impl FailedConnections {
    /// Counts a failed connection, in the list of one shard.
    pub fn count(&mut self, server: Server, failure: Failure) {
        self.total.count(failure);
        if self.servers.len() < MAX_SERVERS || self.servers.contains_key(&server) {
            self.servers.entry(server).or_default().count(failure);
        } else {
            self.unlisted += 1;
        }
    }

    /// Adds the failed connections of another shard.
    pub fn add(&mut self, other: &Self) {
        self.total.add(other.total);
        self.unlisted += other.unlisted;
        for (server, failures) in &other.servers {
            self.servers.entry(*server).or_default().add(*failures);
        }
    }

    /// The servers with the most failures, at most `most`, and the number of failures of all others.
    pub fn worst(&self, most: usize) -> (Vec<(Server, Failures)>, u64) {
        let mut all: Vec<_> = self.servers.iter().map(|(server, failures)| (*server, *failures)).collect();
        // A stable sort: servers with equal counts stay in order of address.
        all.sort_by_key(|(_, failures)| Reverse(failures.all()));
        all.truncate(most);
        let listed: u64 = all.iter().map(|(_, failures)| failures.all()).sum();
        (all, self.total.all() - listed)
    }
}

/// Most servers in the list of one shard: some 20 KiB for each of 64 shards.
const MAX_SERVERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn server(number: u32) -> Server {
        (IpAddr::V4(number.into()), 502)
    }

    #[test]
    fn the_servers_with_most_failures_come_first_and_the_rest_is_counted() {
        let (mut one, mut other) = (FailedConnections::default(), FailedConnections::default());
        for failure in [Failure::Refused, Failure::Unanswered, Failure::Refused] {
            one.count(server(7), failure);
        }
        one.count(server(9), Failure::Unanswered);
        other.count(server(9), Failure::Unanswered);
        other.count(server(3), Failure::Refused);
        one.add(&other);
        let (worst, others) = one.worst(2);
        let expected =
            [(server(7), Failures { unanswered: 1, refused: 2 }), (server(9), Failures { unanswered: 2, refused: 0 })];
        assert_eq!((worst.as_slice(), others), (&expected[..], 1));
        assert_eq!((one.total, one.unlisted), (Failures { unanswered: 3, refused: 3 }, 0));
    }

    #[test]
    fn a_scan_fills_the_table_and_no_more() {
        let mut failed = FailedConnections::default();
        (0..1000).for_each(|number| failed.count(server(number), Failure::Refused));
        failed.count(server(0), Failure::Refused);
        assert_eq!((failed.servers.len(), failed.unlisted), (MAX_SERVERS, 1000 - MAX_SERVERS as u64));
        assert_eq!(failed.total.all(), 1001);
        assert_eq!(failed.worst(1).0, [(server(0), Failures { unanswered: 0, refused: 2 })]);
    }
}
