//! The verdict on many operations at once, where it does not depend on what tells them apart.

use lockkeeper_protocols::{Class, Namespaces};

use super::judge::Only;
use super::{FlowVerdict, Policy};

impl Policy {
    /// Whether every operation of a class on nodes of these namespaces passes, whatever node it is and whatever it moves:
    /// [`Policy::judge`] would permit or only observe each, and remember nothing of it. Where this cannot be said cheaply, it is not said.
    #[inline]
    pub fn permits_all(&self, flow_verdict: &FlowVerdict, class: Class, namespaces: Namespaces) -> bool {
        let Some(Only { flow, asset, limited }) = flow_verdict.only else { return !flow_verdict.is_judged() };
        let rules = self.compiled.flows.get(usize::from(flow));
        !(limited && class == Class::Write) && rules.is_some_and(|rules| rules.permit_all(asset, class, namespaces))
    }
}
