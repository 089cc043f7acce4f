//! Denials of secure channels, identities and certificates as sentences.

use jiff::Timestamp;
use lockkeeper_protocols::UserKind;

use super::{CertificateRules, Channel, OpcUaSession};
use crate::document::suggest::list;
use crate::policy::{Denial, FlowVerdict, Policy, Reason, Rule};

/// The second half of the sentence of an alert, for rules about channels, identities and certificates.
pub(in crate::policy) fn detail(policy: &Policy, _flow_verdict: &FlowVerdict, denial: &Denial) -> String {
    let flow = denial.flow.and_then(|flow| policy.flow(flow));
    let id = flow.map(|flow| flow.id.as_str()).unwrap_or_default();
    let demanded = flow.and_then(|flow| flow.session.opcua.clone()).unwrap_or_default();
    match (denial.rule, denial.reason) {
        (_, Reason::Channel(channel)) => channel_detail(denial.rule, id, &demanded, channel),
        (Rule::OpcUaDowngrade, Reason::Weaker { now, than }) => {
            format!("these hosts used {} before, and now only {}", channel_text(than), channel_text(now))
        }
        (_, Reason::Weaker { now, than }) => {
            format!("the server offers {}, and the client took only {}", channel_text(than), channel_text(now))
        }
        (Rule::OpcUaCleartextPassword, Reason::User(kind)) => {
            format!("the secret of identity {} travels unencrypted", kind.name())
        }
        (_, Reason::User(kind)) => {
            let kinds = list(demanded.identity.into_iter().map(UserKind::name));
            format!("flow {id} permits only identity {kinds}, not {}", kind.name())
        }
        _ => certificate_detail(denial, id, &demanded),
    }
}

fn channel_detail(rule: Rule, id: &str, demanded: &OpcUaSession, channel: Channel) -> String {
    let policies = list(demanded.policies.iter().map(String::as_str));
    let permits = if policies.is_empty() { String::new() } else { format!("; flow {id} permits only {policies}") };
    match rule {
        Rule::OpcUaPolicyDeprecated => format!("security policy {} is deprecated{permits}", channel.policy),
        Rule::OpcUaPolicyUndeclared => format!("security policy {} is not declared{permits}", channel.policy),
        _ => {
            let least = demanded.min_mode.map_or("a better one", |mode| mode.name());
            format!("the channel is in mode {}, and flow {id} demands at least {least}", channel.mode.name())
        }
    }
}

fn channel_text(channel: Channel) -> String {
    format!("{} with {}", channel.mode.name(), channel.policy)
}

fn certificate_detail(denial: &Denial, id: &str, demanded: &OpcUaSession) -> String {
    let time = match denial.reason {
        Reason::Time(seconds) => time_text(seconds),
        _ => String::new(),
    };
    match (denial.rule, denial.reason) {
        (Rule::CertExpired, _) => format!("it ended at {time}"),
        (Rule::CertNotYetValid, _) => format!("it is not valid before {time}"),
        (Rule::CertExpiresSoon, _) => format!("it ends at {time}"),
        (Rule::CertWeakKey, Reason::Bits(bits)) => {
            let least = demanded.certificates.min_rsa_bits.unwrap_or(CertificateRules::RSA_BITS);
            format!("its key has {bits} bits, and at least {least} are demanded")
        }
        (Rule::CertSha1, _) => format!("it is signed with SHA-1, which flow {id} forbids"),
        (Rule::CertSelfSigned, _) => format!("it is signed by itself, which flow {id} forbids"),
        (_, Reason::Application) => "it is not of the application that shows it".to_owned(),
        _ => format!("flow {id} permits only clients {}", list(demanded.client_uris.iter().map(String::as_str))),
    }
}

/// A time as a date, or in seconds if no calendar has it.
fn time_text(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds} s since 1970"), |time| time.to_string())
}
