//! The security of a conversation: facts of its handshakes, judged by the policy, and reported to the correlator, which
//! compares them with earlier ones.

use lockkeeper_protocols::{Class, Operation, Security, Side, Stamp};

use super::flow_facts::{ChannelSecurity, FlowFacts};
use super::flow_sink::FlowSink;
use crate::policy::certificate::MAX_BYTES;
use crate::policy::{Denial, FactVerdict, Rule, Secured};
use crate::record::{Fact, FindingKind, OwnedOperation};

impl FlowFacts {
    /// Whether the first use of the channel by an operation of this class has yet to be judged.
    pub(super) fn awaits_use_by(&self, class: Class) -> bool {
        let waits = |security: &ChannelSecurity| security.secured.waits(class);
        self.awaits_use && self.rare().and_then(|rare| rare.security.as_ref()).is_some_and(waits)
    }

    /// Judges a fact of its security, and updates whether a use of its channel has yet to be judged.
    fn judge_secured(&mut self, judge: impl FnOnce(&mut Secured) -> FactVerdict) -> FactVerdict {
        let secured = &mut self.make_security().secured;
        let verdict = judge(secured);
        self.awaits_use = secured.waits_for_some();
        verdict
    }

    /// Whether a denial is to be reported, and notes that it is: one of opaque content stands for the whole conversation.
    pub(super) fn note_denial(&mut self, denial: &Denial) -> bool {
        denial.rule != Rule::FlowOpaque || !std::mem::replace(&mut self.make_security().opaque_reported, true)
    }
}

impl FlowSink<'_> {
    /// Reports a fact about the security of the conversation, and judges it.
    pub(super) fn handle_fact(&mut self, fact: &Security<'_>, stamp: &Stamp) {
        match *fact {
            Security::Certificate { of, der } if self.note_certificate(of, der) => {
                let der = der.get(..MAX_BYTES).unwrap_or(der);
                self.state.report_fact(self.facts, Fact::Certificate(of, der.into()), stamp);
            }
            Security::Application { of, uri } if !uri.is_empty() => {
                let uri = uri.get(..MAX_URI).unwrap_or(uri);
                self.state.report_fact(self.facts, Fact::Application(of, uri.into()), stamp);
            }
            _ => {}
        }
        let Self { facts, state } = self;
        let flow_verdict = facts.flow_verdict.clone().filter(|_| state.judging);
        if let Some(flow_verdict) = flow_verdict {
            let verdict = facts.judge_secured(|secured| state.policy.judge_fact(&flow_verdict, fact, secured));
            self.report_verdict(verdict, None, stamp);
        }
    }

    /// Judges the first use of an unprotected channel, or the first that changes something.
    pub(super) fn judge_use(&mut self, operation: &Operation<'_>, stamp: &Stamp) {
        let Self { facts, state } = self;
        let Some(flow_verdict) = facts.flow_verdict.clone() else { return };
        let verdict = facts.judge_secured(|secured| state.policy.judge_use(&flow_verdict, operation.class, secured));
        self.report_verdict(verdict, Some(operation), stamp);
    }

    /// Reports what the policy denies. An alert about a channel shows the operation that used it, without its outcome: only the
    /// alert about the operation itself gets that.
    fn report_verdict(&mut self, verdict: FactVerdict, operation: Option<&Operation<'_>>, stamp: &Stamp) {
        for denial in verdict.denials {
            let operation = operation.map(OwnedOperation::from);
            self.state.report_finding(self.facts, FindingKind::Denied(denial), None, operation, stamp);
        }
        if let Some(channel) = verdict.channel {
            self.state.report_fact(self.facts, Fact::Channel(channel), stamp);
        }
    }

    /// Notes a certificate, and returns whether the side showed another one before.
    fn note_certificate(&mut self, of: Side, der: &[u8]) -> bool {
        let shown = Some(hash(der));
        let security = self.facts.make_security();
        let before = security.last_certificates.get_mut(of.index()).map(|place| std::mem::replace(place, shown));
        !der.is_empty() && before != Some(shown)
    }
}

/// FNV-1a. A forged collision hides the second certificate from the inventory, on that conversation only.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

/// Longest application URI that is kept, bytes.
const MAX_URI: usize = 1024;
