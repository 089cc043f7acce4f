//! The verdict on certificates, at the time at which they are presented.

use lockkeeper_protocols::Side;

use super::{CertificateRules, OpcUaSession};
use crate::policy::certificate::Certificate;
use crate::policy::{Denial, FlowVerdict, Policy, Reason, Rule};

impl Policy {
    /// The violations of a certificate that one end presents at `time` (nanoseconds since 1970-01-01 UTC), by the flows that
    /// decide about the conversation.
    pub fn judge_certificate(
        &self,
        flow_verdict: &FlowVerdict,
        of: Side,
        certificate: &Certificate,
        time: i64,
    ) -> impl Iterator<Item = Denial> {
        let Certificate { not_before, not_after, .. } = *certificate;
        let now = time.div_euclid(SECOND);
        let left = u64::try_from(not_after.saturating_sub(now)).unwrap_or(0);
        let demand = |admits: &dyn Fn(&CertificateRules) -> bool, rule, reason| {
            self.demand(flow_verdict, |session| admits(&session.certificates), rule, reason)
        };
        let ended = now > not_after;
        let lasts = |rules: &CertificateRules| rules.warn_before_expiry.is_none_or(|warn| left >= warn.as_secs());
        let is_long = |rules: &CertificateRules| {
            let least = rules.min_rsa_bits.unwrap_or(CertificateRules::RSA_BITS);
            certificate.key.kind != "RSA" || certificate.key.bits >= u32::from(least)
        };
        let signed_well = |rules: &CertificateRules| !(certificate.is_sha1 && rules.forbid_sha1);
        let signed_by_others = |rules: &CertificateRules| !(certificate.is_self_signed && rules.forbid_self_signed);
        let is_client =
            |session: &OpcUaSession| of == Side::Server || session.admits_client(|uri| certificate.names(uri));
        [
            demand(&|_| !ended, Rule::CertExpired, Reason::Time(not_after)),
            demand(&|_| now >= not_before, Rule::CertNotYetValid, Reason::Time(not_before)),
            demand(&|rules| ended || lasts(rules), Rule::CertExpiresSoon, Reason::Time(not_after)),
            demand(&is_long, Rule::CertWeakKey, Reason::Bits(certificate.key.bits)),
            demand(&signed_well, Rule::CertSha1, Reason::Plain),
            demand(&signed_by_others, Rule::CertSelfSigned, Reason::Plain),
            self.demand(flow_verdict, is_client, Rule::CertApplicationUri, Reason::Plain),
        ]
        .into_iter()
        .flatten()
    }

    /// The denial of a certificate of another application than the one that presents it.
    pub fn judge_application(
        &self,
        flow_verdict: &FlowVerdict,
        certificate: &Certificate,
        uri: &str,
    ) -> Option<Denial> {
        self.demand(flow_verdict, |_| certificate.names(uri), Rule::CertApplicationUri, Reason::Application)
    }
}

/// Nanoseconds.
const SECOND: i64 = 1_000_000_000;
