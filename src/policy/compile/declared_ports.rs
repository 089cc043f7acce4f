//! The ports on which a policy declares decoded protocols: hints for identification.

use hashbrown::HashSet;

use super::super::Carrier;
use super::super::model::{DeclaredProtocol, Flow, Ports};
use super::super::services::{ServicePort, is_decoded};

/// The port ranges that flows name for decoded protocols, each once.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct DeclaredPorts(Vec<(Carrier, u16, u16, &'static str)>);

impl DeclaredPorts {
    pub(super) fn new(flows: &[Flow]) -> Self {
        let named = flows.iter().filter_map(|flow| match (&flow.protocol, &flow.ports) {
            (DeclaredProtocol::Named(name), Ports::Ranges(ranges)) if is_decoded(name) => Some((ranges, *name)),
            _ => None,
        });
        let ports =
            named.flat_map(|(ranges, name)| ranges.iter().map(move |&(of, first, last)| (of, first, last, name)));
        let hints = ports.filter(|(_, first, last, _)| last.saturating_sub(*first) < HINT_RANGE);
        Self(hints.collect::<HashSet<_>>().into_iter().collect())
    }

    /// The protocols that are declared on a port.
    pub(in crate::policy) fn at(&self, (carrier, port): ServicePort) -> impl Iterator<Item = &'static str> {
        let admits =
            move |&&(of, first, last, _): &&(Carrier, u16, u16, _)| of == carrier && (first..=last).contains(&port);
        self.0.iter().filter(admits).map(|(.., name)| *name)
    }
}

/// A flow on more ports than this is no hint for a single one of them.
const HINT_RANGE: u16 = 256;
