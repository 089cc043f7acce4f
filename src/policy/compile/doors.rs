//! Which protocol a policy makes to be expected on which port.

use hashbrown::HashSet;

use crate::policy::Carrier;
use crate::policy::model::{DeclaredProtocol, Flow, Ports};
use crate::policy::words::{Door, is_decoded};

/// The ports that flows name for decoded protocols, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doors(Vec<(Carrier, u16, u16, &'static str)>);

impl Doors {
    pub(super) fn new(flows: &[Flow]) -> Self {
        let named = flows.iter().filter_map(|flow| match (&flow.protocol, &flow.ports) {
            (DeclaredProtocol::Named(name), Ports::Doors(doors)) if is_decoded(name) => Some((doors, *name)),
            _ => None,
        });
        let doors = named.flat_map(|(doors, name)| doors.iter().map(move |&(of, first, last)| (of, first, last, name)));
        let telling = doors.filter(|(_, first, last, _)| last.saturating_sub(*first) < TELLING_RANGE);
        Self(telling.collect::<HashSet<_>>().into_iter().collect())
    }

    /// The protocols that are declared there.
    pub(in crate::policy) fn at(&self, (carrier, port): Door) -> impl Iterator<Item = &'static str> {
        let admits =
            move |&&(of, first, last, _): &&(Carrier, u16, u16, _)| of == carrier && (first..=last).contains(&port);
        self.0.iter().filter(admits).map(|(.., name)| *name)
    }
}

/// A flow on at least this many ports is no hint for a single one.
const TELLING_RANGE: u16 = 256;
