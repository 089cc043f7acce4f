use lockkeeper_protocols::Side;

use super::*;

const ZONES: &str = r#"
schema = "lockkeeper-policy/1"
[zone.lock]
networks = ["10.20.10.0/24"]
vlans = [110]
[zone.scada]
networks = ["10.20.20.0/24"]
[asset.PLC]
zone = "lock"
ip = "10.20.10.12"
mac = "00:80:f4:10:20:12"
[conduit.operate]
zones = ["scada", "lock"]
[[conduit.operate.flow]]
from = "any"
to = "PLC"
protocol = "any"
allow = [{ op = "observe" }]
"#;

#[test]
fn traffic_inside_a_zone_is_observed_unless_it_is_to_be_declared() {
    let inside = tcp("10.20.10.7", "10.20.10.12", 502);
    assert_eq!(flow_judged(&policy(ZONES), &inside, None), "observe");
    let strict = ZONES.replace("[zone.lock]", "[default]\nintra_zone = \"declared\"\n[zone.lock]");
    assert_eq!(flow_judged(&policy(&strict), &inside, None), "permit operate/1");
    let other = tcp("10.20.10.7", "10.20.10.13", 502);
    assert!(flow_judged(&policy(&strict), &other, None).starts_with("flow.undeclared-peer"));
}

#[test]
fn traffic_inside_a_zone_without_a_conduit_is_denied_by_that_reason() {
    let strict = ZONES.replace(
        "[zone.lock]",
        "[default]\nintra_zone = \"declared\"\n[zone.yard]\nnetworks = [\"10.9.0.0/16\"]\n[zone.lock]",
    );
    let inside = flow_judged(&policy(&strict), &tcp("10.9.0.1", "10.9.0.2", 80), None);
    assert_eq!(inside, "flow.undeclared-peer: no flow is declared between them inside zone yard");
}

#[test]
fn a_host_that_is_no_declared_asset_is_unknown_only_where_assets_are_declared() {
    let policy = policy(ZONES);
    let sides = |tuple: &FlowTuple| policy.unknown_sides(&policy.flow_verdict(tuple, None)).collect::<Vec<_>>();
    assert_eq!(sides(&tcp("10.20.20.7", "10.20.10.12", 502)), []);
    assert_eq!(sides(&tcp("10.20.10.7", "10.20.10.12", 502)), [Side::Client]);
    assert_eq!(sides(&tcp("10.20.10.7", "10.20.10.8", 502)), [Side::Client, Side::Server]);
}

#[test]
fn a_broadcast_address_is_no_unknown_host_and_stays_in_the_zone_of_its_sender() {
    let policy = policy(ZONES);
    for server in ["239.1.1.1", "255.255.255.255", "10.20.10.255"] {
        let tuple = tuple("10.20.10.12", server, Carrier::Udp, 5000);
        assert_eq!(policy.unknown_sides(&policy.flow_verdict(&tuple, Some("modbus"))).count(), 0, "{server}");
        assert_eq!(flow_judged(&policy, &tuple, None), "observe", "{server}");
    }
    let across = tuple("10.20.20.7", "10.20.10.255", Carrier::Udp, 5000);
    assert!(flow_judged(&policy, &across, None).starts_with("flow.undeclared-peer"));
}

#[test]
fn housekeeping_of_the_link_is_not_judged() {
    let policy = policy(&ZONES.replace("[zone.lock]", "[default]\nintra_zone = \"declared\"\n[zone.lock]"));
    let l2 = |kind| FlowTuple {
        client: Host { ip: None, mac: Some([0, 0x80, 0xF4, 0x10, 0x20, 0x12]), vlan: Some(110) },
        server: Host { ip: None, mac: Some([2, 0, 0, 0, 0, 9]), vlan: None },
        transport: Carrier::Ethernet(kind),
        server_port: 0,
    };
    assert_eq!(flow_judged(&policy, &l2(0x0806), None), "observe");
    let profinet = flow_judged(&policy, &l2(0x8892), None);
    assert_eq!(profinet, "conduit.undeclared: no conduit connects lock and unknown");
    assert!(policy.is_housekeeping(&tuple("fe80::1", "ff02::1:ff00:2", Carrier::Ip(58), 0)));
    assert!(policy.is_housekeeping(&tuple("10.20.10.12", "224.0.0.22", Carrier::Ip(2), 0)));
    assert!(!policy.is_housekeeping(&tuple("10.20.10.12", "10.20.20.7", Carrier::Ip(1), 0)));
}

#[test]
fn of_several_conduits_between_two_zones_the_one_that_permits_is_crossed() {
    let policy = policy(FULL);
    let crossed = |tuple: &FlowTuple| {
        policy.flow_verdict(tuple, None).conduit.map(|conduit| policy.conduit_name(conduit).to_owned())
    };
    let reports = tcp("10.1.2.3", "10.20.30.20", 443);
    assert_eq!(crossed(&reports).as_deref(), Some("C-DMZ-OFFICE"));
    let findings = tcp("10.20.30.40", "10.1.8.20", 8883);
    assert_eq!(crossed(&findings).as_deref(), Some("C-SENSOR-SOC"));
    assert_eq!(flow_judged(&policy, &findings, None), "permit F-801");
    let time = tuple("10.20.10.11", "10.20.30.5", Carrier::Udp, 123);
    assert_eq!(crossed(&time).as_deref(), Some("C-TIME"));
    assert_eq!(flow_judged(&policy, &time, None), "permit F-701");
}
