//! The verdict on many operations at once, where they differ only in their nodes.

use lockkeeper_protocols::{Class, Namespaces};

use super::flow_verdict::SoleFlow;
use super::{FlowVerdict, Policy};

impl Policy {
    /// Whether [`Policy::judge`] would permit or only observe every operation of a class on nodes of these namespaces, with
    /// any value, and store nothing. `false` does not imply the contrary: it also covers what is not decided in constant time.
    #[inline]
    pub fn permits_all(&self, flow_verdict: &FlowVerdict, class: Class, namespaces: Namespaces) -> bool {
        let Some(SoleFlow { flow, asset, limited }) = flow_verdict.sole else { return !flow_verdict.is_judged() };
        let rules = self.compiled.flows.get(usize::from(flow));
        !(limited && class == Class::Write) && rules.is_some_and(|rules| rules.permit_all(asset, class, namespaces))
    }
}
