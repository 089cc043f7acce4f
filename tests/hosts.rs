//! The identity of a host: address, hardware and VLAN compared, apart from broadcasts, groups and routers.

mod support;

use support::wire::{ALL, READ, READ_ANSWER, Station, WRITE, Wire};

/// Two zones and the office; both assets declare their hardware. Reads and writes are permitted.
const PLANT: &str = r#"
schema = "lockkeeper-policy/1"
policy = { id = "HOSTS", version = "1" }
[zone.scada]
networks = ["10.0.1.0/24", "fd00:1::/64"]
[zone.plc]
networks = ["10.0.2.0/24", "fd00:2::/64"]
[zone.office]
networks = ["10.0.9.0/24"]
[asset.SCADA]
zone = "scada"
ip = ["10.0.1.10", "fd00:1::10"]
mac = "02:00:00:00:00:0a"
[asset.PLC]
zone = "plc"
ip = ["10.0.2.10", "fd00:2::10"]
mac = "02:00:00:00:00:14"
[conduit.C]
zones = ["scada", "plc", "office"]
[[conduit.C.flow]]
from = ["zone:scada", "zone:office"]
to = "zone:plc"
protocol = "modbus"
allow = [{ op = "read" }, { op = "write" }]
"#;

const SECOND: i64 = 1_000_000_000;

fn scada() -> Station {
    Station::new(0x0A, "10.0.1.10")
}

fn plc() -> Station {
    Station::new(0x14, "10.0.2.10")
}

fn office(last: u8) -> Station {
    Station::new(last, &format!("10.0.9.{last}"))
}

/// Undeclared hardware, by its last byte.
const OTHER: u8 = 0xBA;
const ROUTER: u8 = 0x01;

#[test]
fn hosts_with_their_declared_hardware_raise_nothing() {
    let mut wire = Wire::default();
    wire.arp(scada(), plc());
    wire.modbus(scada(), plc(), 40_000, true);
    wire.modbus(Station::new(0x0A, "fd00:1::10"), Station::new(0x14, "fd00:2::10"), 40_001, true);
    wire.modbus(office(5), plc(), 40_002, true);
    assert_eq!(wire.replay(PLANT).raised(), [""; 0]);
}

#[test]
fn the_address_of_an_asset_on_other_hardware_is_reported_once() {
    for (client, server) in [
        (scada().through(OTHER), plc()),
        (scada(), plc().through(OTHER)),
        (Station::new(OTHER, "fd00:1::10"), Station::new(0x14, "fd00:2::10")),
    ] {
        let mut wire = Wire::default();
        for port in 40_000..40_020 {
            wire.modbus(client, server, port, true);
            wire.wait(SECOND);
        }
        let outcome = wire.replay(PLANT);
        assert_eq!(outcome.raised(), ["asset.other-hardware medium 1"], "{client:?} {server:?}");
    }
    let mut wire = Wire::default();
    wire.udp((scada().through(OTHER), 40_000), (plc(), 502), &WRITE);
    let outcome = wire.replay(PLANT);
    assert_eq!(outcome.raised(), ["asset.other-hardware medium 1"]);
    let message = "Hardware 02:00:00:00:00:ba uses 10.0.1.10, the address of SCADA: declared is 02:00:00:00:00:0a.";
    assert_eq!(outcome.messages("asset.other-hardware"), [message]);
}

#[test]
fn it_is_more_severe_if_the_asset_itself_is_also_present() {
    for own_is_first in [true, false] {
        let mut wire = Wire::default();
        let mut hosts = [scada(), scada().through(OTHER)];
        if !own_is_first {
            hosts.reverse();
        }
        wire.modbus(hosts[0], plc(), 40_000, false);
        wire.modbus(hosts[1], plc(), 40_001, false);
        assert_eq!(wire.replay(PLANT).raised(), ["asset.other-hardware high 1"], "{own_is_first}");
    }
}

#[test]
fn a_hijacked_connection_is_reported_though_its_stream_continues() {
    let mut wire = Wire::default();
    wire.modbus(scada(), plc(), 40_000, false);
    wire.tcp((scada().through(OTHER), 40_000), (plc(), 502), "A", [112, 511], &WRITE);
    wire.tcp((plc(), 502), (scada().through(OTHER), 40_000), "A", [511, 124], &WRITE);
    let outcome = wire.replay(PLANT);
    assert_eq!(outcome.raised(), ["asset.other-hardware high 1"]);
    assert_eq!(outcome.transactions[1]["client"]["mac"], "02:00:00:00:00:ba", "who wrote");
}

#[test]
fn a_host_that_forwards_frames_of_an_asset_is_reported_though_they_are_copies() {
    let mut wire = Wire::default();
    wire.udp((scada(), 40_000), (plc().through(OTHER), 502), &READ);
    wire.forwarded([2, 0, 0, 0, 0, OTHER], plc().mac);
    let outcome = wire.replay(PLANT);
    assert_eq!(outcome.raised(), ["asset.other-hardware high 1"]);
    assert_eq!(outcome.stats["losses"]["mirrored_copies"], 1);
}

#[test]
fn claiming_an_address_is_reported_like_using_it() {
    let mut wire = Wire::default();
    wire.arp(scada().through(OTHER), plc());
    assert_eq!(wire.replay(PLANT).raised(), ["asset.other-hardware medium 1"]);
    wire.arp(scada(), plc());
    assert_eq!(wire.replay(PLANT).raised(), ["asset.other-hardware high 1"]);

    // A neighbour advertisement (ICMPv6 136, override) for fd00:1::10 at 02:00:00:00:00:ba, sent from another address.
    let mut wire = Wire::default();
    let mut message = vec![136, 0, 0, 0, 0x20, 0, 0, 0, 0xFD, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];
    message.extend([2, 1, 2, 0, 0, 0, 0, OTHER]);
    wire.icmp6("fe80::ba", "ff02::1", OTHER, &message);
    assert_eq!(wire.replay(PLANT).raised(), ["asset.other-hardware medium 1"]);
}

#[test]
fn hardware_behind_a_declared_router_is_not_compared() {
    let router = "[asset.FW]\nzone = \"office\"\nmac = \"02:00:00:00:00:01\"\nrouter = true\n";
    let mut wire = Wire::default();
    wire.modbus(scada().through(ROUTER), plc(), 40_000, true);
    assert_eq!(wire.replay(PLANT).raised(), ["asset.other-hardware medium 1"]);
    assert_eq!(wire.replay(&format!("{PLANT}{router}")).raised(), [""; 0]);
    // Also beside the asset itself: a mirror port may show a packet before and behind the router.
    wire.modbus(scada(), plc().through(ROUTER), 40_001, true);
    assert_eq!(wire.replay(&format!("{PLANT}{router}")).raised(), [""; 0]);
}

#[test]
fn an_undeclared_router_is_recognised_by_its_forwarding_and_reported_once() {
    let mut wire = Wire::default();
    wire.modbus(scada().through(ROUTER), plc(), 40_000, true);
    for last in 5..9 {
        wire.wait(SECOND);
        wire.modbus(office(last).through(ROUTER), plc(), 40_001, true);
    }
    let outcome = wire.replay(PLANT);
    assert_eq!(outcome.raised(), ["asset.undeclared-router low 1"]);
    let message = "Hardware 02:00:00:00:00:01 sends for hosts of several zones, 10.0.1.10 among them: no router with it is declared.";
    assert_eq!(outcome.messages("asset.undeclared-router"), [message]);
    // A host that resembles a router, while the asset itself is present.
    wire.wait(11 * SECOND);
    wire.modbus(scada(), plc(), 40_002, true);
    assert_eq!(wire.replay(PLANT).raised(), ["asset.other-hardware medium 1", "asset.undeclared-router low 1"]);
}

#[test]
fn a_host_with_its_own_address_is_not_a_router_when_it_uses_another() {
    let mut wire = Wire::default();
    wire.modbus(office(66), plc(), 40_000, false);
    wire.modbus(scada().through(66), plc(), 40_001, true);
    assert_eq!(wire.replay(PLANT).raised(), ["asset.other-hardware medium 1"]);
}

#[test]
fn hardware_of_an_asset_at_an_undeclared_address_is_that_asset() {
    let named =
        PLANT.replace("from = [\"zone:scada\", \"zone:office\"]", "from = \"SCADA\"").replace(", \"fd00:1::10\"", "");
    let policy = named.replace("\"fd00:1::/64\"", "\"fd00:f::/64\"").replace(", { op = \"write\" }", "");
    let mut wire = Wire::default();
    for port in 40_000..40_003 {
        wire.modbus(Station::new(0x0A, "2001:db8::66"), Station::new(0x14, "fd00:2::10"), port, true);
    }
    let outcome = wire.replay(&policy);
    assert_eq!(outcome.raised(), ["asset.undeclared-address medium 1", "operation.undeclared high 3"]);
    assert_eq!(outcome.verdicts("read"), ["permit"; 3]);
    let client = &outcome.transactions[0]["client"];
    assert_eq!((&client["zone"], &client["asset"]), (&"scada".into(), &"SCADA".into()));
    let message = "SCADA (02:00:00:00:00:0a) uses 2001:db8::66: the policy does not declare this address.";
    assert_eq!(outcome.messages("asset.undeclared-address"), [message]);
}

#[test]
fn an_asset_without_a_declared_address_may_use_any_of_its_zone() {
    let by_hardware = PLANT.replace("ip = [", "# ip = [");
    let mut wire = Wire::default();
    wire.modbus(scada(), plc(), 40_000, true);
    wire.modbus(Station::new(0x0A, "fd00:1::77"), Station::new(0x14, "fd00:2::10"), 40_000, true);
    assert_eq!(wire.replay(&by_hardware).raised(), [""; 0]);
    wire.modbus(Station::new(0x0A, "192.168.7.7"), plc(), 40_001, false);
    assert_eq!(wire.replay(&by_hardware).raised(), ["asset.undeclared-address medium 1"]);
}

#[test]
fn a_stranger_that_writes_to_an_undeclared_address_of_an_asset_is_a_stranger_to_its_zone() {
    for (client, server) in [("fd00::66", "fd00::14"), ("192.168.0.99", "192.168.0.1"), ("fe80::66", "fe80::14")] {
        let mut wire = Wire::default();
        wire.modbus(Station::new(0x66, client), Station::new(0x14, server), 40_000, true);
        let outcome = wire.replay(PLANT);
        assert_eq!(outcome.verdicts("write"), ["conduit.undeclared"], "{server}");
        let raised = outcome.raised();
        assert_eq!(
            raised.contains(&"asset.undeclared-address medium 1".to_owned()),
            server != "fe80::14",
            "{raised:?}"
        );
    }
}

#[test]
fn hosts_behind_a_declared_firewall_are_not_the_firewall() {
    let firewall = "[asset.FW]\nzone = \"plc\"\nmac = \"02:00:00:00:00:01\"\nrole = \"firewall\"\n";
    let mut wire = Wire::default();
    wire.modbus(Station::new(ROUTER, "192.168.7.7"), plc(), 40_000, true);
    let outcome = wire.replay(&format!("{PLANT}{firewall}"));
    assert_eq!(outcome.raised(), ["conduit.undeclared high 1"; 3]);
    assert_eq!(outcome.transactions[0]["client"]["zone"], "unknown");
}

#[test]
fn traffic_inside_a_tunnel_is_not_from_its_endpoint() {
    // IPv4 in IPv4 (protocol 4) from SCADA to the PLC: 192.168.7.7 writes to the PLC.
    let mut inner = Wire::default();
    inner.udp((Station::new(0, "192.168.7.7"), 40_000), (plc(), 502), &WRITE);
    let mut wire = Wire::default();
    wire.ip(scada(), plc(), 4, &inner.last()[14..]);
    let outcome = wire.replay(PLANT);
    assert_eq!(outcome.verdicts("write"), ["conduit.undeclared"]);
    let client = &outcome.transactions[0]["client"];
    assert_eq!((&client["asset"], &client["mac"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert!(outcome.messages("asset.undeclared-address").is_empty(), "{:?}", outcome.raised());
}

/// [`PLANT`] with VLANs and without declared hardware.
fn plant_with_vlans() -> String {
    let bare = PLANT.replace("mac = \"02:00:00:00:00:0a\"\n", "").replace("mac = \"02:00:00:00:00:14\"\n", "");
    bare.replace("[zone.scada]", "[zone.scada]\nvlans = [10]").replace("[zone.plc]", "[zone.plc]\nvlans = [20, 21]")
}

#[test]
fn an_address_on_the_vlan_of_no_zone_or_of_another_is_reported_once_for_each() {
    let mut wire = Wire::default();
    for port in 40_000..40_005 {
        wire.modbus(scada().on(99), plc().on(99), port, true);
    }
    assert_eq!(wire.replay(&plant_with_vlans()).raised(), ["zone.other-vlan medium 1"; 2]);
    let mut wire = Wire::default();
    wire.modbus(scada().on(20), plc().on(20), 40_000, true);
    let outcome = wire.replay(&plant_with_vlans());
    assert_eq!(outcome.raised(), ["zone.other-vlan medium 1"]);
    let message =
        "10.0.1.10 (02:00:00:00:00:0a) of zone scada is on VLAN 20, that of zone plc: the zone declares VLAN 10.";
    assert_eq!(outcome.messages("zone.other-vlan"), [message]);
    let mut wire = Wire::default();
    wire.udp((Station::new(0x0A, "fd00:1::10").on(30), 1), (Station::new(0x14, "fd00:2::10"), 2), &[]);
    assert!(wire.replay(&plant_with_vlans()).raised().contains(&"zone.other-vlan medium 1".to_owned()));
}

#[test]
fn only_the_vlan_of_declared_hardware_is_compared() {
    let policy =
        PLANT.replace("[zone.scada]", "[zone.scada]\nvlans = [10]").replace("[zone.plc]", "[zone.plc]\nvlans = [20]");
    let mut wire = Wire::default();
    wire.modbus(scada().on(30), plc().on(20), 40_000, false);
    assert_eq!(wire.replay(&policy).raised(), ["zone.other-vlan medium 1"]);
    let mut wire = Wire::default();
    wire.modbus(scada().through(OTHER).on(30), plc().on(20), 40_000, false);
    assert_eq!(wire.replay(&policy).raised(), ["asset.other-hardware medium 1"]);
}

#[test]
fn tags_changed_by_a_mirror_port_raise_nothing() {
    let policy = plant_with_vlans();
    let raised = |from: Option<u16>, to: Option<u16>| {
        let mut wire = Wire::default();
        let (client, server) = (Station { vlan: from, ..scada() }, Station { vlan: to, ..plc() });
        wire.modbus(client, server, 40_000, true);
        wire.replay(&policy).raised()
    };
    assert_eq!(raised(None, None), [""; 0], "stripped");
    assert_eq!(raised(Some(10), Some(21)), [""; 0], "each direction on the VLAN of its sender");
    assert_eq!(raised(Some(10), None), [""; 0], "stripped of one direction");
    assert_eq!(raised(Some(901), Some(902)), [""; 0], "a VLAN for each direction, as remote SPAN makes them");
    let mut wire = Wire::default();
    wire.modbus(scada().on(999), plc().on(999), 40_000, true);
    let sensor = "[sensor.S1]\nmirror_vlans = [999]\n";
    assert_eq!(wire.replay(&format!("{policy}{sensor}")).raised(), [""; 0], "declared");
}

#[test]
fn a_host_that_forwards_between_vlans_is_reported_as_a_router() {
    let (from, to) = (scada().on(10), plc().on(20));
    let mut wire = Wire::default();
    let (into, back) = (from.through(ROUTER).on(20), to.through(ROUTER).on(10));
    // Each host sends to the router on its own VLAN, and the router forwards.
    for (sender, forwarded, ports) in [(from, into, (40_000, 502)), (to, back, (502, 40_000))] {
        let receiver = if ports.0 == 502 { from } else { to };
        wire.udp((sender, ports.0), (receiver.through(ROUTER), ports.1), b"payload");
        wire.udp((forwarded, ports.0), (receiver, ports.1), b"payload");
    }
    let raised = wire.replay(&plant_with_vlans()).raised();
    assert_eq!(raised.iter().filter(|one| one.starts_with("zone")).count(), 0, "{raised:?}");
    assert!(raised.contains(&"asset.undeclared-router low 1".to_owned()), "{raised:?}");
}

#[test]
fn writes_between_hosts_of_no_zone_on_one_link_are_reported() {
    for (client, server) in [("fe80::1", "fe80::2"), ("169.254.7.1", "169.254.7.2")] {
        let mut wire = Wire::default();
        wire.modbus(Station::new(1, client), Station::new(2, server), 40_000, true);
        let outcome = wire.replay(PLANT);
        assert_eq!(outcome.raised(), ["operation.unplaced high 1"]);
        assert_eq!(outcome.verdicts("read"), ["not-judged"]);
        assert_eq!(outcome.stats["not_judged"]["no_zone"], 1);
    }
    let mut wire = Wire::default();
    wire.udp((Station::new(1, "fe80::1"), 40_000), (Station::new(2, "fe80::2"), 502), &WRITE);
    assert_eq!(wire.replay(PLANT).raised(), ["operation.unplaced high 1"]);
}

#[test]
fn office_traffic_on_one_link_has_no_operations() {
    let mut wire = Wire::default();
    let (one, other) = (Station::new(1, "fe80::1"), Station::new(2, "fe80::2"));
    let group = |ip: &str| Station { mac: [0x33, 0x33, 0, 0, 0, 0xFB], ..Station::new(0, ip) };
    wire.udp((one, 5353), (group("ff02::fb"), 5353), b"\0\0\0\0\0\x01\0\0\0\0\0\0");
    wire.udp((one, 546), (group("ff02::1:2"), 547), b"\x01abc");
    wire.udp((one, 50_000), (group("ff02::1:3"), 5355), b"\0\x01\0\0\0\x01\0\0\0\0\0\0");
    wire.udp((other, 5355), (one, 50_000), b"\0\x01\x80\0\0\x01\0\0\0\0\0\0");
    wire.udp(
        (Station::new(1, "0.0.0.0"), 68),
        (Station { mac: ALL, ..Station::new(0, "255.255.255.255") }, 67),
        b"\x01",
    );
    assert_eq!(wire.replay(PLANT).raised(), [""; 0]);
}

#[test]
fn operations_between_hosts_of_no_zone_are_counted_and_not_called_permitted() {
    let mut wire = Wire::default();
    wire.modbus(Station::new(1, "192.0.2.1"), Station::new(2, "192.0.2.2"), 40_000, true);
    let outcome = wire.replay(PLANT);
    assert_eq!(outcome.raised(), [""; 0]);
    assert_eq!([outcome.verdicts("read"), outcome.verdicts("write")].concat(), ["not-judged"; 2]);
    assert_eq!(outcome.stats["not_judged"]["no_zone"], 2);
    assert!(
        outcome.summary.contains("not judged") && outcome.summary.contains("neither host is in a zone"),
        "{}",
        outcome.summary
    );
}

const A: [u8; 6] = [2, 0, 0, 0, 0, 0x0A];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0x14];
const PROFINET: u16 = 0x8892;

#[test]
fn traffic_between_zones_without_ip_is_reported_once() {
    let mut wire = Wire::default();
    for _ in 0..50 {
        wire.ethernet(A, B, PROFINET, &[0x80, 0x20, 1, 2, 3]);
        wire.ethernet(B, A, PROFINET, &[0x80, 0x20, 1, 2, 3]);
    }
    assert_eq!(wire.replay(PLANT).raised(), ["flow.undeclared-protocol high 1"]);
    // LLC without an EtherType (length 3), which carries ISO transport.
    let mut wire = Wire::default();
    wire.ethernet(A, B, 3, &[0xFE, 0xFE, 0x03]);
    assert_eq!(wire.replay(PLANT).raised(), ["flow.undeclared-protocol high 1"]);
}

#[test]
fn a_flow_permits_an_ethertype_in_both_directions() {
    for names in ["ethernet/0x8892", "profinet"] {
        let flow = format!("[[conduit.C.flow]]\nfrom = \"PLC\"\nto = \"SCADA\"\nprotocol = \"{names}\"\n");
        let policy = format!("{PLANT}{flow}");
        for (first, second) in [(A, B), (B, A)] {
            let mut wire = Wire::default();
            wire.ethernet(first, second, PROFINET, &[0x80, 0x20, 1, 2, 3]);
            wire.ethernet(second, first, PROFINET, &[0x80, 0x20, 1, 2, 3]);
            assert_eq!(wire.replay(&policy).raised(), [""; 0], "{names}");
            wire.ethernet(second, first, 0x88A4, &[1]);
            assert_eq!(wire.replay(&policy).raised(), ["flow.undeclared-protocol high 1"], "{names}");
        }
    }
}

#[test]
fn groups_and_the_housekeeping_of_a_link_are_no_violation() {
    let mut wire = Wire::default();
    wire.ethernet(A, [1, 0x0E, 0xCF, 0, 0, 0], PROFINET, &[0xFE, 0xFE, 5, 0]);
    wire.ethernet(A, ALL, PROFINET, &[1]);
    wire.ethernet(A, [1, 0x0C, 0xCD, 1, 0, 1], 0x88B8, &[1]);
    wire.ethernet(A, [1, 0x80, 0xC2, 0, 0, 0], 38, &[0x42, 0x42, 3]);
    for housekeeping in [0x0806, 0x88CC, 0x88E3, 0x88F7, 0x8809, 0x888E] {
        wire.ethernet(A, B, housekeeping, &[0]);
    }
    assert_eq!(wire.replay(PLANT).raised(), [""; 0]);
    let strict = PLANT.replace("[zone.scada]", "[default]\nintra_zone = \"declared\"\n[zone.scada]");
    assert_eq!(wire.replay(&strict).raised(), [""; 0]);
}

#[test]
fn a_response_to_a_search_opens_no_conversation() {
    let mut wire = Wire::default();
    // DCP: Identify to all, and the response of one device.
    wire.ethernet(A, [1, 0x0E, 0xCF, 0, 0, 0], PROFINET, &[0xFE, 0xFE, 5, 0]);
    wire.ethernet(B, A, PROFINET, &[0xFE, 0xFF, 5, 1]);
    assert_eq!(wire.replay(PLANT).raised(), [""; 0]);
    // DCP Set.
    wire.ethernet(A, B, PROFINET, &[0xFE, 0xFD, 4, 0]);
    let outcome = wire.replay(PLANT);
    assert_eq!(outcome.raised(), ["flow.undeclared-protocol high 1"]);
    assert_eq!(outcome.alerts[0]["client"]["asset"], "SCADA");
    // Without a search there is nothing to respond to.
    let mut wire = Wire::default();
    wire.ethernet(B, A, PROFINET, &[0xFE, 0xFF, 5, 1]);
    assert_eq!(wire.replay(PLANT).raised(), ["flow.undeclared-peer high 1"]);
}

#[test]
fn hardware_of_no_zone_is_reported_with_lower_severity() {
    let mut wire = Wire::default();
    wire.ethernet([2, 0, 0, 0, 0, OTHER], B, PROFINET, &[1]);
    assert_eq!(wire.replay(PLANT).raised(), ["conduit.undeclared medium 1"]);
    let mut wire = Wire::default();
    wire.ethernet([2, 0, 0, 0, 0, OTHER], [2, 0, 0, 0, 0, 0xBB], PROFINET, &[1]);
    assert_eq!(wire.replay(PLANT).raised(), [""; 0]);
}

/// Zones that share a subnet.
const SHARED: &str = r#"
schema = "lockkeeper-policy/1"
[zone.hmi]
networks = ["10.1.1.31/32"]
[zone.lan]
networks = ["10.1.1.0/24"]
[asset.HMI]
zone = "hmi"
ip = "10.1.1.31"
"#;

fn to_all(ip: &str) -> Station {
    Station { mac: ALL, ..Station::new(0, ip) }
}

#[test]
fn broadcasts_into_a_subnet_are_permitted_whatever_zones_share_it() {
    let (hmi, peer) = (Station::new(0x31, "10.1.1.31"), Station::new(0x50, "10.1.1.50"));
    for broadcast in ["10.1.1.255", "10.1.255.255", "10.1.1.127", "255.255.255.255"] {
        let mut wire = Wire::default();
        wire.udp((hmi, 137), (to_all(broadcast), 137), b"name query");
        wire.udp((peer, 138), (to_all(broadcast), 138), b"datagram");
        assert_eq!(wire.replay(SHARED).raised(), [""; 0], "{broadcast}");
        let strict = format!("{SHARED}[default]\nintra_zone = \"declared\"\n");
        assert_eq!(wire.replay(&strict).raised(), [""; 0], "{broadcast} inside");
    }
    let mut wire = Wire::default();
    wire.udp((hmi, 137), (to_all("10.1.1.255"), 137), b"name query");
    wire.udp((peer, 137), (hmi, 137), b"answer");
    assert_eq!(wire.replay(SHARED).raised(), [""; 0], "the answer to a call");
}

#[test]
fn an_unsolicited_or_late_response_is_a_conversation() {
    let (hmi, peer) = (Station::new(0x31, "10.1.1.31"), Station::new(0x50, "10.1.1.50"));
    let violation = ["conduit.undeclared high 1"];
    let mut wire = Wire::default();
    wire.udp((peer, 137), (hmi, 137), b"answer");
    assert_eq!(wire.replay(SHARED).raised(), violation);
    let mut wire = Wire::default();
    wire.udp((hmi, 137), (to_all("10.1.1.255"), 137), b"name query");
    wire.wait(11 * SECOND);
    wire.udp((peer, 137), (hmi, 137), b"answer");
    assert_eq!(wire.replay(SHARED).raised(), violation);
    let mut wire = Wire::default();
    wire.udp((hmi, 137), (to_all("10.1.1.255"), 137), b"name query");
    wire.udp((peer, 139), (hmi, 137), b"from another service");
    assert_eq!(wire.replay(SHARED).raised(), violation);
    let mut wire = Wire::default();
    wire.udp((hmi, 137), (to_all("10.1.1.255"), 137), b"name query");
    wire.udp((peer, 137), (hmi, 137), b"answer");
    wire.udp((hmi, 137), (peer, 137), b"a question to it alone");
    assert_eq!(wire.replay(SHARED).raised(), violation, "then they converse");
}

#[test]
fn a_host_without_an_address_receives_responses_by_its_hardware() {
    let (nobody, server) = (Station::new(0x31, "0.0.0.0"), Station::new(0x50, "10.1.1.50"));
    let mut wire = Wire::default();
    wire.udp((nobody, 68), (to_all("255.255.255.255"), 67), b"\x01discover");
    wire.udp((server, 67), (Station::new(0x31, "10.1.1.31"), 68), b"\x02offer");
    assert_eq!(wire.replay(SHARED).raised(), [""; 0]);
}

#[test]
fn broadcast_operations_are_judged() {
    let strict = PLANT.replace("[zone.scada]", "[default]\nintra_zone = \"declared\"\n[zone.scada]");
    // Within the zone of the sender.
    for receiver in ["10.0.2.255", "239.1.1.1", "255.255.255.255"] {
        let mut wire = Wire::default();
        wire.udp((Station::new(0x14, "10.0.2.10"), 40_000), (to_all(receiver), 502), &WRITE);
        let outcome = wire.replay(&strict);
        assert_eq!(outcome.verdicts("write"), ["flow.undeclared-peer"], "{receiver}");
    }
    // In a zone whose inner traffic is not judged, only what may also leave the zone is reported.
    for (receiver, raised) in [("10.0.2.255", None), ("239.1.1.1", Some(())), ("255.255.255.255", Some(()))] {
        let mut wire = Wire::default();
        wire.udp((plc(), 40_000), (to_all(receiver), 502), &READ);
        assert_eq!(wire.replay(PLANT).raised(), [""; 0], "{receiver}");
        wire.udp((plc(), 40_000), (to_all(receiver), 502), &WRITE);
        let expected: Vec<_> = raised.map(|()| "operation.unplaced high 1".to_owned()).into_iter().collect();
        assert_eq!(wire.replay(PLANT).raised(), expected, "{receiver}");
    }
    // Into the zone of the address, from outside.
    let mut wire = Wire::default();
    wire.udp((Station::new(0x66, "192.0.2.1"), 40_000), (to_all("10.0.2.255"), 502), &WRITE);
    assert_eq!(wire.replay(PLANT).verdicts("write"), ["conduit.undeclared"]);
    // The response to a permitted one.
    let mut wire = Wire::default();
    wire.udp((scada(), 40_000), (to_all("10.0.2.255"), 502), &READ);
    wire.udp((plc(), 502), (scada(), 40_000), &READ_ANSWER);
    assert_eq!(wire.replay(PLANT).raised(), [""; 0]);
}

#[test]
fn a_packet_for_one_host_stays_so_in_a_broadcast_frame() {
    // An asset, and a host whose address is not a broadcast address.
    for receiver in ["10.0.2.10", "10.0.2.77"] {
        let mut wire = Wire::default();
        wire.udp((office(5), 9600), (to_all(receiver), 9600), b"FINS");
        let raised = wire.replay(&PLANT.replace("mac =", "# mac =")).raised();
        assert!(raised.contains(&"flow.undeclared-protocol medium 1".to_owned()), "{receiver}: {raised:?}");
    }
    // A host whose address resembles a broadcast address, until it receives a unicast frame.
    let mut wire = Wire::default();
    let host = Station::new(0x63, "10.0.2.63");
    wire.udp((office(5), 9600), (to_all("10.0.2.63"), 9600), b"FINS");
    assert_eq!(wire.replay(PLANT).raised(), [""; 0]);
    wire.udp((office(5), 9600), (host, 9600), b"FINS again");
    let raised = wire.replay(PLANT).raised();
    assert!(raised.contains(&"flow.undeclared-protocol medium 1".to_owned()), "{raised:?}");
}

#[test]
fn a_host_with_the_address_of_a_broadcast_is_a_host() {
    let (odd, hmi) = (Station::new(0xFF, "10.1.1.255"), Station::new(0x31, "10.1.1.31"));
    let mut wire = Wire::default();
    wire.udp((odd, 9600), (hmi, 9600), b"FINS");
    assert_eq!(wire.replay(SHARED).raised(), ["conduit.undeclared high 1"]);
    let mut wire = Wire::default();
    wire.udp((hmi, 9600), (odd, 9600), b"FINS");
    assert_eq!(wire.replay(SHARED).raised(), ["conduit.undeclared high 1"]);
}

#[test]
fn a_routed_directed_broadcast_is_judged_as_traffic_into_its_zone() {
    let mut wire = Wire::default();
    wire.udp((office(5), 9), (Station::new(ROUTER, "10.0.2.255"), 9), b"wake up");
    let raised = wire.replay(PLANT).raised();
    assert_eq!(raised, ["flow.undeclared-protocol medium 1"]);
}
