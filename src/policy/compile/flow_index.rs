//! The flows of a conduit by the single hosts that they name, so that a new conversation is compared with few flows.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::super::model::{Endpoint, Flow};

/// The flows of one conduit.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct FlowIndex {
    /// Flows that name only single hosts on one side, under each of these hosts: by client, and by server.
    named: [HashMap<Party, Vec<u16>>; 2],
    /// All other flows.
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

/// The hosts on both sides of a flow, clients first; `None` for a side with other names than single hosts.
type Sides = [Option<Vec<Party>>; 2];

impl FlowIndex {
    pub(super) fn new<'f>(flows: impl Iterator<Item = (u16, &'f Flow)>) -> Self {
        let flows: Vec<(u16, Sides)> =
            flows.map(|(at, flow)| (at, [&flow.from, &flow.to].map(|side| single_hosts(side)))).collect();
        let flows_per_host = flows_per_host(flows.iter().map(|(_, sides)| sides));
        let mut index = Self::default();
        for (at, sides) in flows {
            index.file(at, sides, &flows_per_host);
        }
        index
    }

    /// Files a flow under the side whose hosts are in the fewest flows: a station that polls a thousand controllers narrows the
    /// search little, each of the controllers much.
    fn file(&mut self, at: u16, sides: Sides, flows_per_host: &[HashMap<Party, usize>; 2]) {
        let flow_count = |flows_per_host: &HashMap<Party, usize>, hosts: &[Party]| {
            hosts.iter().filter_map(|host| flows_per_host.get(host)).max().copied()
        };
        let sides = self.named.iter_mut().zip(sides).zip(flows_per_host);
        let sides = sides.filter_map(|((named, hosts), flows_per_host)| {
            hosts.map(|hosts| (flow_count(flows_per_host, &hosts), named, hosts))
        });
        match sides.min_by_key(|(flow_count, ..)| *flow_count) {
            Some((_, named, hosts)) => hosts.into_iter().for_each(|host| named.entry(host).or_default().push(at)),
            None => self.open.push(at),
        }
    }

    /// The flows (indices, in the order of the policy) that may name these two ends: all that do, and few others.
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

/// The number of flows of each host, as client and as server.
fn flows_per_host<'s>(flows: impl Iterator<Item = &'s Sides>) -> [HashMap<Party, usize>; 2] {
    let mut flows_per_host = <[HashMap<Party, usize>; 2]>::default();
    for sides in flows {
        for (flow_count, hosts) in flows_per_host.iter_mut().zip(sides) {
            hosts.iter().flatten().for_each(|host| *flow_count.entry(*host).or_default() += 1);
        }
    }
    flows_per_host
}

/// The hosts of one side of a flow; `None` if it names anything else.
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
        let flows_per_host = flows_per_host(sides.iter());
        let mut index = FlowIndex::default();
        (0..).zip(sides).for_each(|(at, sides)| index.file(at, sides, &flows_per_host));
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
