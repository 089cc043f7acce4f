//! The flows of a conduit by the single hosts that they name: a new conversation looks only at those that may be its own.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::super::model::{Endpoint, Flow};

/// The flows of one conduit.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct FlowIndex {
    /// Flows that name nothing but single hosts on one side, filed under each of these: clients, and servers.
    named: [HashMap<Party, Vec<u16>>; 2],
    /// All others, which may be anybody's.
    open: Vec<u16>,
}

/// A single host, as a policy names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::policy) enum Party {
    /// A declared asset (index).
    Asset(u16),
    /// An address.
    Address(IpAddr),
}

/// The hosts on both sides of a flow, clients first; none where a side is not a list of single hosts.
type Sides = [Option<Vec<Party>>; 2];

impl FlowIndex {
    pub(super) fn new<'f>(flows: impl Iterator<Item = (u16, &'f Flow)>) -> Self {
        let flows: Vec<(u16, Sides)> =
            flows.map(|(at, flow)| (at, [&flow.from, &flow.to].map(|side| single_hosts(side)))).collect();
        let crowds = crowds(flows.iter().map(|(_, sides)| sides));
        let mut index = Self::default();
        for (at, sides) in flows {
            index.file(at, sides, &crowds);
        }
        index
    }

    /// Files a flow on that side whose hosts stand in the fewest flows: one station that asks a thousand controllers says
    /// little about a flow, each of the controllers everything.
    fn file(&mut self, at: u16, sides: Sides, crowds: &[HashMap<Party, usize>; 2]) {
        let crowd = |crowds: &HashMap<Party, usize>, hosts: &[Party]| {
            hosts.iter().filter_map(|host| crowds.get(host)).max().copied()
        };
        let sides = self.named.iter_mut().zip(sides).zip(crowds);
        let sides =
            sides.filter_map(|((named, hosts), crowds)| hosts.map(|hosts| (crowd(crowds, &hosts), named, hosts)));
        match sides.min_by_key(|(crowd, ..)| *crowd) {
            Some((_, named, hosts)) => hosts.into_iter().for_each(|host| named.entry(host).or_default().push(at)),
            None => self.open.push(at),
        }
    }

    /// The flows (indices, in the order of the policy) that may name these two ends: every one that does, and few others.
    pub(in crate::policy) fn between(
        &self,
        client: impl Iterator<Item = Party>,
        server: impl Iterator<Item = Party>,
    ) -> Vec<u16> {
        let [by_client, by_server] = &self.named;
        let filed =
            client.filter_map(|host| by_client.get(&host)).chain(server.filter_map(|host| by_server.get(&host)));
        let mut flows: Vec<u16> = filed.flatten().chain(&self.open).copied().collect();
        flows.sort_unstable();
        flows.dedup();
        flows
    }
}

/// In how many flows every host stands, as client and as server.
fn crowds<'s>(flows: impl Iterator<Item = &'s Sides>) -> [HashMap<Party, usize>; 2] {
    let mut crowds = <[HashMap<Party, usize>; 2]>::default();
    for sides in flows {
        for (crowd, hosts) in crowds.iter_mut().zip(sides) {
            hosts.iter().flatten().for_each(|host| *crowd.entry(*host).or_default() += 1);
        }
    }
    crowds
}

/// The hosts of one side of a flow, where it names nothing else.
fn single_hosts(side: &[Endpoint]) -> Option<Vec<Party>> {
    let party = |endpoint: &Endpoint| match endpoint {
        Endpoint::Asset(asset) => Some(Party::Asset(*asset)),
        Endpoint::Network(network) if network.prefix_len() == network.max_prefix_len() => {
            Some(Party::Address(network.addr()))
        }
        Endpoint::Network(_) | Endpoint::Zone(_) | Endpoint::Any => None,
    };
    side.iter().map(party).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parties(hosts: &[u16]) -> impl Iterator<Item = Party> {
        hosts.iter().map(|&host| Party::Asset(host))
    }

    #[test]
    fn a_flow_is_filed_on_the_side_that_fewer_flows_name() {
        let hosts = |hosts: &[u16]| Some(parties(hosts).collect::<Vec<_>>());
        // One station asks a hundred controllers, and a hundred panels ask one.
        let sides: Vec<Sides> = (0..100)
            .flat_map(|number| [[hosts(&[1]), hosts(&[1_000 + number])], [hosts(&[2_000 + number]), hosts(&[2])]])
            .chain([[None, hosts(&[3])], [hosts(&[4]), None], [None, None]])
            .collect();
        let crowds = crowds(sides.iter());
        let mut index = FlowIndex::default();
        (0..).zip(sides).for_each(|(at, sides)| index.file(at, sides, &crowds));
        let between = |client, server| index.between(parties(&[client]), parties(&[server]));
        assert_eq!(between(1, 1_042), [84, 202]);
        assert_eq!(between(2_042, 2), [85, 202]);
        assert_eq!(between(7, 3), [200, 202]);
        assert_eq!(between(4, 7), [201, 202]);
        assert_eq!(between(1, 2), [202]);
    }

    #[test]
    fn a_flow_that_names_a_host_twice_is_found_once() {
        let named = [Some(parties(&[1, 1]).collect()), None];
        let mut index = FlowIndex::default();
        index.file(7, named, &Default::default());
        assert_eq!(index.between(parties(&[1]), parties(&[])), [7]);
    }
}
