//! The security of hosts across their conversations: the best channel of each pair of hosts, and the certificates that they
//! showed. Facts come in the one order of the run, so the findings do not depend on the number of workers.

use std::sync::Arc;

use jiff::Timestamp;
use lockkeeper_protocols::Side;
use sha1::{Digest, Sha1};

use super::key::Party;
use super::table::{LruTable, make_room};
use super::{Fact, Finding, FindingKind};
use crate::policy::certificate::Certificate;
use crate::policy::model::Channel;
use crate::policy::{Denial, Policy, Reason, Rule};

/// Bounded tables; the least recently used entry is forgotten first.
#[derive(Debug)]
pub(super) struct Secured {
    limit: usize,
    /// The best channel of each pair of hosts.
    channels: LruTable<(Party, Party, u16), Channel>,
    /// Certificates by the SHA-1 of the bytes that were sent; none if they are no certificate.
    read: LruTable<[u8; 20], Option<Arc<Certificate>>>,
    /// What each end of a conversation showed of itself.
    shown: LruTable<(u64, Side), Shown>,
    /// Entries that were forgotten because there were too many.
    pub(super) forgotten: u64,
}

/// What one end of a conversation showed of itself.
#[derive(Debug, Default)]
struct Shown {
    certificate: Option<Arc<Certificate>>,
    application: Option<String>,
}

impl Secured {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            channels: LruTable::default(),
            read: LruTable::default(),
            shown: LruTable::default(),
            forgotten: 0,
        }
    }

    /// Records a fact, and returns the findings that it and earlier facts lead to.
    pub(super) fn record_fact(&mut self, policy: &Policy, base: &Finding, fact: Fact) -> Vec<FindingKind> {
        match fact {
            Fact::Channel(channel) => self.handle_channel(policy, base, channel).into_iter().collect(),
            Fact::Certificate(of, der) => self.handle_certificate(policy, base, of, &der),
            Fact::Application(of, uri) => self.handle_application(policy, base, of, &uri),
            Fact::Call | Fact::Unasked { .. } | Fact::Asked(_) | Fact::Sighting { .. } => Vec::new(),
        }
    }

    /// Returns a denial if the channel is weaker than the best one of its hosts.
    fn handle_channel(&mut self, policy: &Policy, base: &Finding, now: Channel) -> Option<FindingKind> {
        let pair = (Party::of(base, Side::Client), Party::of(base, Side::Server), base.server.port);
        let Some(best) = self.channels.to_back(&pair) else {
            self.forgotten += make_room(&mut self.channels, self.limit);
            self.channels.insert(pair, now);
            return None;
        };
        let than = *best;
        if than.is_weaker_than(&now) {
            *best = now;
        }
        let denial = || policy.judge_downgrade(&base.flow_verdict, Reason::Weaker { now, than });
        now.is_weaker_than(&than).then(denial).flatten().map(FindingKind::Denied)
    }

    /// Identifies the owner of a certificate, and judges it alone and with the application URI of its side.
    fn handle_certificate(&mut self, policy: &Policy, base: &Finding, of: Side, der: &[u8]) -> Vec<FindingKind> {
        let Some(certificate) = self.read_certificate(der) else {
            let malformed = FindingKind::Malformed { name: "certificate", value: None };
            return policy.judges().then_some(malformed).into_iter().collect();
        };
        let uri = self.update_shown(base, of, |shown| {
            shown.certificate = Some(Arc::clone(&certificate));
            shown.application.clone()
        });
        let denials: Vec<Denial> = policy.judge_certificate(&base.flow_verdict, of, &certificate, base.time).collect();
        let other = uri.and_then(|uri| policy.judge_application(&base.flow_verdict, &certificate, &uri));
        let undeclared = denials.iter().any(|denial| denial.rule == Rule::CertApplicationUri);
        let denials = denials.into_iter().chain(other.filter(|_| !undeclared));
        let wrong =
            denials.map(|denial| FindingKind::Certificate { denial, of, certificate: Arc::clone(&certificate) });
        identities(of, &certificate).chain(wrong).collect()
    }

    /// Judges an application URI with the certificate of its side.
    fn handle_application(&mut self, policy: &Policy, base: &Finding, of: Side, uri: &[u8]) -> Vec<FindingKind> {
        let uri = String::from_utf8_lossy(uri).into_owned();
        let certificate = self.update_shown(base, of, |shown| {
            shown.application = Some(uri.clone());
            shown.certificate.clone()
        });
        let wrong = certificate.and_then(|certificate| {
            let denial = policy.judge_application(&base.flow_verdict, &certificate, &uri)?;
            Some(FindingKind::Certificate { denial, of, certificate })
        });
        let identity = FindingKind::Identity { of, unit: None, field: "application_uri", value: uri };
        [Some(identity), wrong].into_iter().flatten().collect()
    }

    /// Reads a certificate, or finds it among those that were read before.
    fn read_certificate(&mut self, der: &[u8]) -> Option<Arc<Certificate>> {
        let name: [u8; 20] = Sha1::digest(der).into();
        if let Some(known) = self.read.to_back(&name) {
            return known.clone();
        }
        let certificate = Certificate::read(der).map(Arc::new);
        self.forgotten += make_room(&mut self.read, self.limit);
        self.read.insert(name, certificate.clone());
        certificate
    }

    /// Updates the record of what `side` has shown in the conversation; at the limit, drops the least recently updated record.
    /// Returns what `write` returns.
    fn update_shown<R>(&mut self, base: &Finding, side: Side, write: impl FnOnce(&mut Shown) -> R) -> R {
        let end = (base.conversation, side);
        let mut shown = self.shown.remove(&end).unwrap_or_default();
        let result = write(&mut shown);
        self.forgotten += make_room(&mut self.shown, self.limit);
        self.shown.insert(end, shown);
        result
    }
}

/// The findings that identify the owner of a certificate, for the inventory.
fn identities(of: Side, certificate: &Certificate) -> impl Iterator<Item = FindingKind> {
    let Certificate { key, not_before, not_after, .. } = certificate;
    let key = if key.bits == 0 { key.kind.to_owned() } else { format!("{} {} bits", key.kind, key.bits) };
    let fields = [
        ("certificate", Some(certificate.thumbprint.clone())),
        ("certificate_subject", Some(certificate.subject.clone())),
        ("certificate_issuer", Some(certificate.issuer.clone())),
        ("certificate_application_uri", certificate.uris.first().cloned()),
        ("certificate_key", Some(key)),
        ("certificate_signature", Some(certificate.signature.clone())),
        ("certificate_validity", Some(format!("{} to {}", date(*not_before), date(*not_after)))),
        ("certificate_self_signed", Some(certificate.is_self_signed.to_string())),
    ];
    let known = fields.into_iter().filter_map(|(field, value)| Some((field, value?)));
    known.map(move |(field, value)| FindingKind::Identity { of, unit: None, field, value })
}

fn date(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds} s since 1970"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::certificate::tests::{OLD, PUMP};
    use crate::policy::{Carrier, FlowTuple};
    use crate::record::testing;
    use lockkeeper_protocols::Mode;

    const PLANT: &str = r#"schema = "lockkeeper-policy/1"
[zone.scada]
networks = ["10.20.9.0/24"]
[zone.lock]
networks = ["10.20.1.0/24"]
[conduit.operate]
zones = ["scada", "lock"]
[[conduit.operate.flow]]
from = ["zone:scada"]
to = ["zone:lock"]
protocol = "opcua"
allow = [{ op = "read" }]
"#;

    fn policy() -> Policy {
        Policy::parse("plant.toml", PLANT).expect("a sound policy")
    }

    /// The conversation of 10.20.9.9 with 10.20.1.10 that begins with packet `conversation`.
    fn base(policy: &Policy, conversation: u64) -> Finding {
        let finding = testing::finding(0);
        let (client, server) = (finding.client.host, finding.server.host);
        let tuple = FlowTuple { client, server, transport: Carrier::Tcp, server_port: 4840 };
        let flow_verdict = Arc::new(policy.flow_verdict(&tuple, Some("opcua")));
        Finding { conversation, flow_verdict, operation: None, protocol: Some("opcua"), ..finding }
    }

    fn rules(found: &[FindingKind]) -> Vec<&'static str> {
        let denied = found.iter().filter_map(|what| match what {
            FindingKind::Denied(denial) | FindingKind::Certificate { denial, .. } => Some(denial.rule.id()),
            FindingKind::Malformed { .. } => Some("proto.malformed"),
            _ => None,
        });
        denied.collect()
    }

    #[test]
    fn a_channel_weaker_than_before_is_a_downgrade_across_conversations_and_a_better_one_is_remembered() {
        let (policy, mut secured) = (policy(), Secured::new(8));
        let mut open = |conversation, mode, name| {
            let fact = Fact::Channel(Channel::new(mode, name));
            rules(&secured.record_fact(&policy, &base(&policy, conversation), fact))
        };
        assert_eq!(open(1, Mode::Sign, "Basic256Sha256"), [""; 0]);
        assert_eq!(open(2, Mode::SignAndEncrypt, "Basic256Sha256"), [""; 0]);
        assert_eq!(open(3, Mode::Sign, "Basic256Sha256"), ["opcua.downgrade"]);
        assert_eq!(open(4, Mode::SignAndEncrypt, "Basic256"), ["opcua.downgrade"]);
        assert_eq!(open(5, Mode::SignAndEncrypt, "Aes256_Sha256_RsaPss"), [""; 0]);
        assert_eq!(open(6, Mode::None, "None"), ["opcua.downgrade"]);
    }

    #[test]
    fn pairs_are_separate_and_the_least_recent_one_is_forgotten() {
        let (policy, mut secured) = (policy(), Secured::new(2));
        let mut open = |port, mode| {
            let mut base = base(&policy, 1);
            base.server.port = port;
            rules(&secured.record_fact(&policy, &base, Fact::Channel(Channel::new(mode, "Basic256Sha256")))).len()
        };
        assert_eq!((open(1, Mode::Sign), open(2, Mode::None), open(3, Mode::Sign)), (0, 0, 0));
        assert_eq!((open(3, Mode::None), open(1, Mode::None)), (1, 0));
        assert_eq!(secured.forgotten, 2);
    }

    #[test]
    fn a_certificate_gives_the_identity_of_its_owner_and_its_own_defects() {
        let (policy, mut secured) = (policy(), Secured::new(8));
        let base = base(&policy, 1);
        let found = secured.record_fact(&policy, &base, Fact::Certificate(Side::Server, OLD.into()));
        assert_eq!(rules(&found), ["cert.expired", "cert.weak-key"]);
        let identity = |name: &str| {
            found.iter().find_map(|what| match what {
                FindingKind::Identity { field, value, of: Side::Server, .. } if *field == name => Some(value.as_str()),
                _ => None,
            })
        };
        assert_eq!(identity("certificate_subject"), Some("CN=OLD, O=Lock East"));
        assert_eq!(identity("certificate_key"), Some("RSA 1024 bits"));
        assert_eq!(identity("certificate_validity"), Some("2019-01-01T00:00:00Z to 2020-01-01T00:00:00Z"));
        assert_eq!(identity("certificate_self_signed"), Some("true"));
        assert_eq!(identity("certificate_application_uri"), Some("urn:lock-east:old"));
    }

    #[test]
    fn the_application_of_a_certificate_is_compared_whichever_is_seen_first() {
        let (policy, mut secured) = (policy(), Secured::new(8));
        let mut tell = |conversation, fact| rules(&secured.record_fact(&policy, &base(&policy, conversation), fact));
        let shows = || Fact::Certificate(Side::Server, PUMP.into());
        let is = |uri: &str| Fact::Application(Side::Server, uri.as_bytes().into());
        assert_eq!((tell(1, shows()), tell(1, is("urn:lock-east:plc-pump"))), (vec![], vec![]));
        assert_eq!((tell(2, shows()), tell(2, is("urn:other"))), (vec![], vec!["cert.application-uri"]));
        assert_eq!((tell(3, is("urn:other")), tell(3, shows())), (vec![], vec!["cert.application-uri"]));
        assert_eq!((tell(4, is("urn:other")), tell(5, shows())), (vec![], vec![]), "two conversations");
    }

    #[test]
    fn bytes_that_are_no_certificate_are_malformed_and_read_once() {
        let (policy, mut secured) = (policy(), Secured::new(8));
        for garbage in [vec![0xFF; 3], vec![0x30; 16_384], PUMP[..PUMP.len() - 1].to_vec()] {
            let tell = |secured: &mut Secured| {
                let fact = Fact::Certificate(Side::Client, garbage.clone().into());
                rules(&secured.record_fact(&policy, &base(&policy, 1), fact))
            };
            assert_eq!((tell(&mut secured), tell(&mut secured)), (vec!["proto.malformed"], vec!["proto.malformed"]));
        }
        assert_eq!(secured.read.len(), 3);
        let fact = Fact::Certificate(Side::Client, vec![1].into());
        let permissive = Policy::permissive();
        assert!(
            secured.record_fact(&permissive, &base(&policy, 1), fact).is_empty(),
            "without a policy nothing is wrong"
        );
    }
}
