//! Verdicts on many operations at once.

use lockkeeper_protocols::{Namespaces, Node, NodeId, NodeTarget};
use proptest::prelude::*;

use super::*;

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
[point.everything]
asset = "PUMP"
opcua = { nodes = ["ns=4;*"] }
[point.level]
asset = "SPARE"
opcua = { nodes = ["ns=2;s=Level"] }
type = "f64"
max = 4.2
[conduit.operate]
zones = ["scada", "lock"]
[[conduit.operate.flow]]
id = "F-1"
from = "SCADA"
to = "zone:lock"
protocol = "opcua"
allow = [
  { op = ["read", "write", "subscribe"], opcua = { nodes = ["ns=2;*", "ns=3;s=Pump.*", "ns=63;*"] } },
  { op = "read", points = ["everything"] },
  { op = "browse" },
]
[[conduit.operate.flow]]
id = "F-2"
from = "HIST"
to = "PUMP"
protocol = "opcua"
allow = [{ op = "read", opcua = { nodes = ["ns=2;*"] } }]
[[conduit.operate.flow]]
id = "F-3"
from = "HIST"
to = "zone:lock"
protocol = "opcua"
allow = [{ op = "write", opcua = { nodes = ["ns=2;*"] } }]
"#;

const SCADA: &str = "10.20.20.10";
const HIST: &str = "10.20.20.20";
const PUMP: &str = "10.20.10.13";
const SPARE: &str = "10.20.10.14";

fn set(indexes: &[u16]) -> Namespaces {
    indexes.iter().fold(Namespaces::NONE, |all, index| all.with(Namespaces::only(*index)))
}

fn permits_all(client: &str, server: &str, class: Class, namespaces: &[u16]) -> bool {
    let policy = policy(PLANT);
    policy.permits_all(&policy.flow_verdict(&tcp(client, server, 4840), Some("opcua")), class, set(namespaces))
}

#[test]
fn all_nodes_of_a_namespace_are_permitted_where_an_entry_names_all_of_them() {
    assert!(permits_all(SCADA, PUMP, Class::Read, &[2]) && permits_all(SCADA, PUMP, Class::Read, &[2, 4, 63]));
    assert!(permits_all(SCADA, PUMP, Class::Write, &[2]) && !permits_all(SCADA, PUMP, Class::Write, &[2, 4]));
    assert!(permits_all(SCADA, PUMP, Class::Report, &[2]), "what is subscribed is reported");
    assert!(permits_all(SCADA, PUMP, Class::Browse, &[0, 7]), "an entry without nodes permits all of them");
    assert!(!permits_all(SCADA, PUMP, Class::Read, &[3]), "only some of namespace 3");
    assert!(!permits_all(SCADA, SPARE, Class::Read, &[4]), "the point is another server's");
}

#[test]
fn writes_to_a_server_with_limits_are_judged_one_by_one() {
    assert!(!permits_all(SCADA, SPARE, Class::Write, &[2]));
    assert!(permits_all(SCADA, SPARE, Class::Read, &[2]));
}

#[test]
fn observed_operations_pass_as_a_whole_and_one_by_one() {
    let policy = policy(PLANT);
    let flow_verdict = policy.flow_verdict(&tcp("10.20.20.1", "10.20.20.2", 4840), Some("opcua"));
    assert!(!flow_verdict.is_judged());
    for class in Class::ALL {
        let target =
            NodeTarget { node: Node { namespace: 3, id: NodeId::Numeric(7) }, attribute: Some(13), range: b"" };
        let (target, values) = (Target::Node(&target), Values::None);
        let operation = Operation { class, function: "any", code: 0, ambiguous: false, target, values };
        assert!(
            policy.permits_plainly(&flow_verdict, &operation) && policy.permits_all(&flow_verdict, class, set(&[3]))
        );
        assert!(!policy.learns(&flow_verdict, class));
        let verdict = policy.judge(&flow_verdict, &operation, &mut LastValues::default(), SessionState::default(), 0);
        assert_eq!(verdict, Verdict::Observe);
    }
}

#[test]
fn where_several_flows_decide_each_operation_is_judged() {
    assert!(!permits_all(HIST, PUMP, Class::Read, &[2]));
    assert!(!permits_all(HIST, SPARE, Class::Read, &[2]), "F-3 lets it write only");
    assert!(!permits_all("10.9.9.9", PUMP, Class::Read, &[2]));
}

proptest! {
    #[test]
    fn what_is_permitted_at_once_is_permitted_one_by_one(
        class in proptest::sample::select(Class::ALL.to_vec()), client in 0..2_usize, server in 0..2_usize,
        index in prop_oneof![0..5_u16, 62..66_u16], name in "(Pump\\.)?[a-z]{0,3}",
    ) {
        let policy = policy(PLANT);
        let (client, server) = ([SCADA, HIST][client], [PUMP, SPARE][server]);
        let flow_verdict = policy.flow_verdict(&tcp(client, server, 4840), Some("opcua"));
        let target = NodeTarget {
            node: Node { namespace: index, id: NodeId::Text(name.as_bytes()) },
            attribute: Some(13),
            range: b"",
        };
        let operation =
            Operation { class, function: "any", code: 0, ambiguous: false, target: Target::Node(&target), values: Values::None };
        let one = policy.judge(&flow_verdict, &operation, &mut LastValues::default(), SessionState::default(), 0);
        // A namespace that no set can hold is in none.
        let all = index < Namespaces::END && policy.permits_all(&flow_verdict, class, Namespaces::only(index));
        prop_assert!(!all || matches!(one, Verdict::Permit { .. }), "{class:?} on {index}: {one:?}");
    }
}
