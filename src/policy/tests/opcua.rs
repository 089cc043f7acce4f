//! OPC UA: nodes, methods, values, secure channels, identities, certificates.

use lockkeeper_protocols::{Kind, MethodTarget, Mode, Node, NodeId, NodeTarget, Security, Side, UserKind};
use proptest::prelude::*;

use super::super::model::Channel;
use super::super::{FactVerdict, Reason, Secured};
use super::*;
use crate::policy::certificate::Certificate;
use crate::policy::certificate::tests::{OLD, PUMP as PUMP_DER, SCADA as SCADA_DER};

const PLANT: &str = r#"
schema = "lockkeeper-policy/1"
[zone.lock]
networks = ["10.20.10.0/24"]
[zone.scada]
networks = ["10.20.20.0/24"]
[asset.PUMP]
zone = "lock"
ip = ["10.20.10.13"]
[asset.SPARE]
zone = "lock"
ip = ["10.20.10.14"]
[asset.SCADA]
zone = "scada"
ip = ["10.20.20.10"]
[asset.HIST]
zone = "scada"
ip = ["10.20.20.20"]
[point.data]
asset = "PUMP"
opcua = { nodes = ["ns=3;s=\"PumpData\".*"] }
[point.level]
asset = "PUMP"
opcua = { nodes = ["ns=3;s=\"PumpCmd\".\"Level\""] }
type = "f32"
min = -0.5
max = 4.2
max_step = 1.0
[point.start]
asset = "PUMP"
opcua = { nodes = ["ns=3;i=100", "ns=3;i=101"] }
type = "bool"
values = [0]
[point.mode]
asset = "PUMP"
opcua = { nodes = ["ns=3;g=09087e75-8e5e-499b-954f-f2a9603db28a"] }
type = "u8"
values = [0, 1, 2]
[conduit.operate]
zones = ["scada", "lock"]
[[conduit.operate.flow]]
id = "F-1"
from = "SCADA"
to = "PUMP"
protocol = "opcua"
opcua = { min_mode = "SignAndEncrypt", policies = ["Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"], identity = ["username", "certificate"], client_uris = ["urn:lock-east:scada-1"], cert = { min_rsa_bits = 3072, forbid_sha1 = true, forbid_self_signed = true, warn_before_expiry = "60d" } }
allow = [
  { op = ["read", "subscribe"], points = ["data", "level"] },
  { op = "read", opcua = { nodes = ["i=2258"] } },
  { op = "write", points = ["level", "start", "mode"] },
  { op = "control", opcua = { nodes = ["ns=3;s=\"PumpCmd\""], methods = ["ns=3;i=7001"] } },
  { op = "control", opcua = { methods = ["i=12886"] } },
]
[[conduit.operate.flow]]
id = "F-2"
from = "HIST"
to = "zone:lock"
protocol = "opcua"
allow = [{ op = "read" }]
"#;

const SCADA: &str = "10.20.20.10";
const HIST: &str = "10.20.20.20";
const PUMP: &str = "10.20.10.13";
const BASIC: &str = "Basic256Sha256";
const GOOD: &str = "Aes256_Sha256_RsaPss";

fn flow_verdict(policy: &Policy, client: &str) -> FlowVerdict {
    policy.flow_verdict(&tcp(client, PUMP, 4840), Some("opcua"))
}

fn text(name: &'static str) -> Node<'static> {
    Node { namespace: 3, id: NodeId::Text(name.as_bytes()) }
}

fn number(number: u32) -> Node<'static> {
    Node { namespace: 3, id: NodeId::Numeric(number) }
}

fn asked(client: &str, class: Class, function: &'static str, target: Target<'_>, values: Values<'_>) -> String {
    let policy = policy(PLANT);
    let flow_verdict = flow_verdict(&policy, client);
    let operation = Operation { class, function, code: 0, ambiguous: false, target, values };
    short(
        &policy,
        &flow_verdict,
        policy.judge(&flow_verdict, &operation, &mut LastValues::default(), SessionState::default(), 0),
    )
}

fn at_node(class: Class, function: &'static str, node: Node<'_>) -> String {
    asked(SCADA, class, function, Target::Node(&NodeTarget { node, attribute: Some(13), range: b"" }), Values::None)
}

fn write(node: Node<'_>, kind: Kind, bytes: &[u8]) -> String {
    let target = NodeTarget { node, attribute: Some(13), range: b"" };
    let count = u32::from(!bytes.is_empty());
    asked(SCADA, Class::Write, "write", Target::Node(&target), Values::Typed { kind, count, bytes })
}

fn call(object: Node<'_>, method: Node<'_>) -> String {
    asked(SCADA, Class::Control, "call", Target::Method(&MethodTarget { object, method }), Values::None)
}

#[test]
fn nodes_are_permitted_where_points_or_patterns_name_them() {
    assert_eq!(at_node(Class::Read, "read", text("\"PumpData\".\"Level\"")), "permit F-1");
    assert_eq!(at_node(Class::Read, "read", Node::standard(2258)), "permit F-1");
    let elsewhere = at_node(Class::Read, "read", text("\"PumpCmd\".\"Secret\""));
    assert_eq!(elsewhere, "address.undeclared: flow F-1 permits read only on data, level, i=2258");
    let other_namespace = Node { namespace: 2, id: NodeId::Text(b"\"PumpData\".\"Level\"") };
    assert!(at_node(Class::Read, "read", other_namespace).starts_with("address.undeclared"));
    assert!(at_node(Class::Write, "write", text("\"PumpData\".\"Level\"")).starts_with("address.undeclared"));
    assert!(at_node(Class::Browse, "browse", Node::standard(85)).starts_with("operation.undeclared"));
}

#[test]
fn what_is_subscribed_is_reported_and_a_subscription_has_no_node() {
    assert_eq!(at_node(Class::Report, "publish", text("\"PumpData\".\"Level\"")), "permit F-1");
    assert!(at_node(Class::Report, "publish", text("\"Other\"")).starts_with("address.undeclared"));
    let item = Target::Item { kind: "subscription", number: 5, index: 0 };
    assert_eq!(asked(SCADA, Class::Subscribe, "modify_subscription", item, Values::None), "permit F-1");
    assert_eq!(asked(SCADA, Class::Report, "publish", Target::None, Values::None), "permit F-1");
    assert!(asked(SCADA, Class::Read, "read", Target::None, Values::None).starts_with("operation.undeclared"));
    assert!(asked(HIST, Class::Report, "publish", Target::None, Values::None).starts_with("operation.undeclared"));
}

#[test]
fn calls_are_permitted_by_object_and_by_method() {
    assert_eq!(call(text("\"PumpCmd\""), number(7001)), "permit F-1");
    assert_eq!(call(Node::standard(2253), Node::standard(12_886)), "permit F-1", "on any object");
    assert!(call(text("\"PumpCmd\""), number(7002)).starts_with("address.undeclared"), "another method");
    assert!(call(text("\"Other\""), number(7001)).starts_with("address.undeclared"), "another object");
}

#[test]
fn opening_channels_and_sessions_needs_no_entry_and_finding_other_servers_does() {
    let channel = Target::Channel { mode: None, policy: GOOD };
    assert_eq!(asked(SCADA, Class::Security, "open_secure_channel", channel, Values::None), "permit F-1");
    let user = Target::User { kind: UserKind::UserName, name: b"operator" };
    assert_eq!(asked(HIST, Class::Security, "activate_session", user, Values::None), "permit F-2");
    let url = Target::Endpoint { url: b"opc.tcp://10.20.10.13:4840" };
    assert_eq!(asked(SCADA, Class::Discover, "get_endpoints", url, Values::None), "permit F-1");
    assert!(asked(SCADA, Class::Discover, "find_servers", url, Values::None).starts_with("operation.undeclared"));
    let stolen = asked(SCADA, Class::Security, "transfer_subscriptions", Target::None, Values::None);
    assert!(stolen.starts_with("operation.undeclared"), "{stolen}");
}

#[test]
fn written_values_are_held_against_the_limits_of_their_points() {
    let level = text("\"PumpCmd\".\"Level\"");
    assert_eq!(write(level, Kind::F32, &1.5_f32.to_le_bytes()), "permit F-1");
    assert_eq!(write(level, Kind::F64, &4.0_f64.to_le_bytes()), "permit F-1", "every number is one");
    let high = write(level, Kind::F32, &5.0_f32.to_le_bytes());
    assert_eq!(high, "value.out-of-limits: 5 is above the maximum 4.2 of point level");
    assert!(write(level, Kind::F32, &f32::NAN.to_le_bytes()).starts_with("value.out-of-limits"));
    assert!(write(level, Kind::I32, &(-1_i32).to_le_bytes()).starts_with("value.out-of-limits: -1 is below"));
    assert_eq!(write(number(100), Kind::Bool, &[0]), "permit F-1");
    assert_eq!(write(number(101), Kind::Bool, &[1]), "value.out-of-limits: 1 is not one of 0 of point start");
}

#[test]
fn a_value_of_another_type_or_cut_short_is_a_violation() {
    let wrong = write(number(100), Kind::U8, &[0]);
    assert_eq!(wrong, "value.out-of-limits: the value is not of the type of point start");
    let Node { namespace, .. } = number(0);
    let wire = [0x75, 0x7E, 0x08, 0x09, 0x5E, 0x8E, 0x9B, 0x49, 0x95, 0x4F, 0xF2, 0xA9, 0x60, 0x3D, 0xB2, 0x8A];
    let mode = Node { namespace, id: Node::guid(wire) };
    assert_eq!(write(mode, Kind::I64, &2_i64.to_le_bytes()), "permit F-1");
    assert!(write(mode, Kind::U16, &7_u16.to_le_bytes()).starts_with("value.out-of-limits: 7 is not one of"));
    assert!(write(mode, Kind::F64, &2.0_f64.to_le_bytes()).ends_with("not of the type of point mode"));
    assert!(write(mode, Kind::Text, &[1, 0, 0, 0, b'2']).ends_with("not of the type of point mode"));
    assert!(write(mode, Kind::I64, &[2, 0]).contains("cannot be told"), "cut short");
    let target = NodeTarget { node: mode, attribute: Some(13), range: b"" };
    let untyped = asked(SCADA, Class::Write, "write", Target::Node(&target), Values::Bytes(&[2]));
    assert!(untyped.contains("cannot be told"), "{untyped}");
}

#[test]
fn a_step_is_measured_from_what_was_read_or_written_last() {
    let policy = policy(PLANT);
    let flow_verdict = flow_verdict(&policy, SCADA);
    let mut last = LastValues::default();
    let target = NodeTarget { node: text("\"PumpCmd\".\"Level\""), attribute: None, range: b"" };
    let of = |class, bytes| {
        let values = Values::Typed { kind: Kind::F32, count: 1, bytes };
        Operation { class, function: "any", code: 0, ambiguous: false, target: Target::Node(&target), values }
    };
    let (one, three) = (1.0_f32.to_le_bytes(), 3.0_f32.to_le_bytes());
    policy.learn(&flow_verdict, &of(Class::Read, &one), &mut last, &mut SessionState::default());
    let verdict = policy.judge(&flow_verdict, &of(Class::Write, &three), &mut last, SessionState::default(), 0);
    let said = short(&policy, &flow_verdict, verdict);
    assert_eq!(said, "value.out-of-limits: 3 is more than the largest step 1 from 1 of point level");
}

#[test]
fn content_that_cannot_be_seen_is_reported_as_the_policy_wants() {
    let opaque = |policy: &Policy, client| {
        let flow_verdict = flow_verdict(policy, client);
        let (class, target) = (Class::Opaque, Target::None);
        let operation =
            Operation { class, function: "encrypted_message", code: 0, ambiguous: false, target, values: Values::None };
        let verdict = policy.judge(&flow_verdict, &operation, &mut LastValues::default(), SessionState::default(), 0);
        short(policy, &flow_verdict, verdict)
    };
    let report = opaque(&policy(PLANT), SCADA);
    assert_eq!(report, "flow.opaque: flow F-1 restricts its content, and encrypted content cannot be seen");
    let with = |word| PLANT.replace("[zone.lock]", &format!("[default]\nopaque_payload = \"{word}\"\n[zone.lock]"));
    assert_eq!(opaque(&policy(&with("observe")), SCADA), "observe");
    assert!(opaque(&policy(&with("violation")), SCADA).starts_with("flow.opaque"));
    let named = PLANT.replace("allow = [{ op = \"read\" }]", "allow = [{ op = [\"read\", \"opaque\"] }]");
    assert_eq!(opaque(&policy(&named), HIST), "permit F-2");
}

/// A conversation's facts, in order, and what the policy says to each.
struct Talk {
    policy: Policy,
    flow_verdict: FlowVerdict,
    state: Secured,
}

impl Talk {
    fn of(client: &str) -> Self {
        let policy = policy(PLANT);
        Self { flow_verdict: flow_verdict(&policy, client), policy, state: Secured::default() }
    }

    fn told(&self, verdict: &FactVerdict) -> Vec<String> {
        let say = |denial| short(&self.policy, &self.flow_verdict, Verdict::Deny(denial));
        verdict.denials.iter().copied().map(say).collect()
    }

    fn fact(&mut self, fact: Security<'_>) -> Vec<String> {
        let verdict = self.policy.judge_fact(&self.flow_verdict, &fact, &mut self.state);
        self.told(&verdict)
    }

    fn channel(&mut self, mode: Mode, policy: &str) -> Vec<String> {
        self.fact(Security::Channel { mode: Some(mode), policy })
    }

    fn user(&mut self, kind: UserKind, clear_secret: bool) -> Vec<String> {
        self.fact(Security::User { kind, name: None, clear_secret })
    }

    fn uses(&mut self, class: Class) -> Vec<String> {
        if !self.state.waits(class) {
            return Vec::new();
        }
        let verdict = self.policy.judge_use(&self.flow_verdict, class, &mut self.state);
        self.told(&verdict)
    }
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn an_unprotected_channel_is_judged_when_it_is_used() {
    let none = "opcua.mode-none: the channel is in mode None, and flow F-1 demands at least SignAndEncrypt";
    let mut talk = Talk::of(SCADA);
    assert_eq!(talk.channel(Mode::None, "None"), nothing());
    assert_eq!(talk.uses(Class::Discover), nothing(), "looking for endpoints");
    assert_eq!(talk.uses(Class::Session), nothing());
    assert_eq!(talk.uses(Class::Read), [none]);
    assert_eq!(talk.uses(Class::Read), nothing(), "once");
    assert_eq!(talk.uses(Class::Write), [none], "and once for what changes something");
    assert_eq!(talk.uses(Class::Control), nothing());
    let mut login = Talk::of(SCADA);
    login.channel(Mode::None, "None");
    assert_eq!(login.user(UserKind::Certificate, false), [none]);
}

#[test]
fn a_channel_is_as_the_flow_demands_or_an_alert() {
    let mut talk = Talk::of(SCADA);
    assert_eq!(talk.channel(Mode::SignAndEncrypt, GOOD), nothing());
    assert_eq!(talk.uses(Class::Write), nothing());
    let weak = Talk::of(SCADA).channel(Mode::Sign, GOOD);
    assert_eq!(weak, ["opcua.mode-weak: the channel is in mode Sign, and flow F-1 demands at least SignAndEncrypt"]);
    let deprecated = Talk::of(SCADA).channel(Mode::SignAndEncrypt, "Basic256");
    let permits = "flow F-1 permits only Aes128_Sha256_RsaOaep, Aes256_Sha256_RsaPss";
    let expected = format!("opcua.policy-deprecated: security policy Basic256 is deprecated; {permits}");
    assert_eq!(deprecated, [expected]);
    let other = Talk::of(SCADA).channel(Mode::SignAndEncrypt, BASIC);
    assert_eq!(other, [format!("opcua.policy-undeclared: security policy {BASIC} is not declared; {permits}")]);
    assert!(Talk::of(SCADA).channel(Mode::SignAndEncrypt, "urn:own")[0].starts_with("opcua.policy-undeclared"));
}

#[test]
fn a_flow_without_session_options_still_forbids_deprecated_policies() {
    assert_eq!(Talk::of(HIST).channel(Mode::Sign, BASIC), nothing());
    let deprecated = Talk::of(HIST).channel(Mode::Sign, "Basic128Rsa15");
    assert_eq!(deprecated, ["opcua.policy-deprecated: security policy Basic128Rsa15 is deprecated"]);
    let mut talk = Talk::of(HIST);
    talk.channel(Mode::None, "None");
    assert_eq!(talk.uses(Class::Read), nothing());
}

#[test]
fn a_mode_that_becomes_known_later_is_judged_then_and_a_renewal_is_not_judged_again() {
    let mut talk = Talk::of(SCADA);
    assert_eq!(talk.fact(Security::Channel { mode: None, policy: GOOD }), nothing());
    assert_eq!(talk.channel(Mode::Sign, GOOD).len(), 1);
    assert_eq!(talk.channel(Mode::Sign, GOOD), nothing());
}

#[test]
fn identities_are_those_that_the_flow_names() {
    let mut talk = Talk::of(SCADA);
    talk.channel(Mode::SignAndEncrypt, GOOD);
    assert_eq!(talk.user(UserKind::UserName, false), nothing());
    let expected = "opcua.identity: flow F-1 permits only identity username, certificate, not anonymous";
    assert_eq!(talk.user(UserKind::Anonymous, false), [expected]);
    let expected = "opcua.identity: flow F-1 permits only identity username, certificate, not unread";
    assert_eq!(talk.user(UserKind::Unread, false), [expected]);
    assert_eq!(Talk::of(HIST).user(UserKind::Anonymous, false), nothing());
    assert_eq!(Talk::of(HIST).user(UserKind::Unread, false), nothing());
}

#[test]
fn a_secret_that_everybody_can_read_is_always_an_alert() {
    let expected = "opcua.cleartext-password: the secret of identity username travels unencrypted";
    for client in [SCADA, HIST] {
        let mut talk = Talk::of(client);
        talk.channel(Mode::Sign, GOOD);
        assert_eq!(talk.user(UserKind::UserName, true), [expected]);
        assert_eq!(talk.user(UserKind::UserName, false), nothing());
    }
}

#[test]
fn clients_are_those_that_the_flow_names() {
    let client =
        |client, uri: &str| Talk::of(client).fact(Security::Application { of: Side::Client, uri: uri.as_bytes() });
    assert_eq!(client(SCADA, "urn:lock-east:scada-1"), nothing());
    let wrong = client(SCADA, "urn:attacker");
    assert_eq!(wrong, ["opcua.client: flow F-1 permits only clients urn:lock-east:scada-1"]);
    assert_eq!(client(HIST, "urn:attacker"), nothing());
    let server = Security::Application { of: Side::Server, uri: b"urn:any" };
    assert_eq!(Talk::of(SCADA).fact(server), nothing());
}

#[test]
fn a_better_offer_counts_where_the_flow_does_not_say_that_less_suffices() {
    let offered = |talk: &mut Talk, mode, policy| talk.fact(Security::Offered { mode, policy });
    let mut talk = Talk::of(HIST);
    talk.channel(Mode::None, "None");
    offered(&mut talk, Mode::None, "None");
    assert_eq!(talk.user(UserKind::Anonymous, false), nothing(), "nothing better");
    offered(&mut talk, Mode::SignAndEncrypt, BASIC);
    offered(&mut talk, Mode::Sign, BASIC);
    assert_eq!(talk.user(UserKind::Anonymous, false), nothing(), "a kind of user is judged once");
    let expected = format!(
        "opcua.better-offered: the server offers SignAndEncrypt with {BASIC}, and the client took only None with None"
    );
    assert_eq!(talk.user(UserKind::UserName, false), [expected]);
    let suffices =
        PLANT.replace("allow = [{ op = \"read\" }]", "opcua = { min_mode = \"None\" }\nallow = [{ op = \"read\" }]");
    let mut content = Talk { policy: policy(&suffices), ..talk };
    assert_eq!(content.user(UserKind::Certificate, false), nothing());
    content.channel(Mode::SignAndEncrypt, "Basic256");
    let deprecated = content.user(UserKind::Certificate, false);
    assert!(deprecated[0].starts_with("opcua.better-offered: the server offers SignAndEncrypt with Basic256Sha256"));
}

#[test]
fn only_the_first_use_of_a_channel_is_reported_to_the_correlator() {
    let policy = policy(PLANT);
    let (flow_verdict, mut state) = (flow_verdict(&policy, HIST), Secured::default());
    let mut fact = |mode| {
        let fact = Security::Channel { mode: Some(mode), policy: BASIC };
        policy.judge_fact(&flow_verdict, &fact, &mut state).channel
    };
    assert_eq!(fact(Mode::Sign), Some(Channel::new(Mode::Sign, BASIC)));
    assert_eq!((fact(Mode::Sign), fact(Mode::None)), (None, None));
    assert!(policy.judge_use(&flow_verdict, Class::Read, &mut state).channel.is_some());
    assert_eq!(policy.judge_use(&flow_verdict, Class::Write, &mut state).channel, None);
}

/// 2026-01-15T00:00:00Z, nanoseconds: `pump.der` and `scada.der` are valid, `old.der` is not.
const JANUARY: i64 = 1_768_435_200_000_000_000;
const DAY: i64 = 86_400_000_000_000;

fn certificate(client: &str, of: Side, der: &[u8], time: i64) -> Vec<String> {
    let policy = policy(PLANT);
    let flow_verdict = flow_verdict(&policy, client);
    let certificate = Certificate::read(der).expect("a sound certificate");
    let denials = policy.judge_certificate(&flow_verdict, of, &certificate, time);
    denials.map(|denial| short(&policy, &flow_verdict, Verdict::Deny(denial))).collect()
}

#[test]
fn certificates_hold_for_their_time() {
    assert_eq!(certificate(HIST, Side::Server, PUMP_DER, JANUARY), nothing());
    let expired = certificate(HIST, Side::Server, SCADA_DER, JANUARY + 60 * DAY);
    assert_eq!(expired, ["cert.expired: it ended at 2026-03-01T00:00:00Z"]);
    let early = certificate(HIST, Side::Server, PUMP_DER, JANUARY - 20 * DAY);
    assert_eq!(early, ["cert.not-yet-valid: it is not valid before 2026-01-01T00:00:00Z"]);
}

#[test]
fn certificates_are_as_the_flow_demands() {
    let client = certificate(SCADA, Side::Client, SCADA_DER, JANUARY);
    assert_eq!(
        client,
        [
            "cert.expires-soon: it ends at 2026-03-01T00:00:00Z",
            "cert.self-signed: it is signed by itself, which flow F-1 forbids"
        ]
    );
    let short_key = certificate(SCADA, Side::Server, PUMP_DER, JANUARY);
    assert_eq!(short_key, ["cert.weak-key: its key has 2048 bits, and at least 3072 are demanded"]);
    let old = certificate(SCADA, Side::Client, OLD, JANUARY);
    let rules: Vec<&str> = old.iter().filter_map(|said| said.split(':').next()).collect();
    assert_eq!(rules, ["cert.expired", "cert.weak-key", "cert.sha1", "cert.self-signed", "cert.application-uri"]);
    assert!(old.last().is_some_and(|said| said.ends_with("permits only clients urn:lock-east:scada-1")));
    let silent = certificate(HIST, Side::Client, OLD, JANUARY);
    assert_eq!(silent.len(), 2, "expired, and shorter than any policy in use allows: {silent:?}");
}

#[test]
fn a_certificate_is_of_the_application_that_shows_it() {
    let policy = policy(PLANT);
    let flow_verdict = flow_verdict(&policy, HIST);
    let pump = Certificate::read(PUMP_DER).expect("a sound certificate");
    assert_eq!(policy.judge_application(&flow_verdict, &pump, "urn:lock-east:plc-pump"), None);
    let wrong = policy.judge_application(&flow_verdict, &pump, "urn:lock-east:scada-1");
    assert!(wrong.is_some_and(|denial| denial.rule == Rule::CertApplicationUri));
}

#[test]
fn nothing_is_demanded_of_who_is_not_judged() {
    let permissive = Policy::permissive();
    let flow_verdict = permissive.flow_verdict(&tcp(SCADA, PUMP, 4840), Some("opcua"));
    let fact = Security::Channel { mode: Some(Mode::Sign), policy: "Basic256" };
    assert!(permissive.judge_fact(&flow_verdict, &fact, &mut Secured::default()).denials.is_empty());
    let old = Certificate::read(OLD).expect("a sound certificate");
    assert_eq!(permissive.judge_certificate(&flow_verdict, Side::Client, &old, JANUARY).count(), 0);
    let now = Channel::new(Mode::None, "None");
    assert_eq!(permissive.judge_downgrade(&flow_verdict, Reason::Weaker { now, than: now }), None);
}

proptest! {
    #[test]
    fn any_values_on_any_node_have_a_verdict(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        count in any::<u32>(),
        kind in 1_u8..=25,
        which in 0_usize..4,
    ) {
        let nodes = [text("\"PumpCmd\".\"Level\""), number(100), number(9), text("\"PumpData\".x")];
        let target = NodeTarget { node: nodes[which], attribute: Some(13), range: b"" };
        let Some(kind) = Kind::from_number(kind) else { return Ok(()) };
        let values = Values::Typed { kind, count, bytes: &bytes };
        let said = asked(SCADA, Class::Write, "write", Target::Node(&target), values);
        prop_assert!(said.starts_with("permit") || said.starts_with("value.") || said.starts_with("address."));
    }
}
