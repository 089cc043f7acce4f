//! Tunnels are judged by their two ends, in addition to their content.

mod support;

use support::frames::{OFFICE, PLC, POLICY, ReplayResult, SCADA, Wire, ethernet, hex, ipv4, join, modbus, udp};

/// Addresses of no zone, inside a tunnel.
const HERE: [u8; 4] = [192, 168, 7, 1];
const THERE: [u8; 4] = [192, 168, 7, 2];
/// A mirroring switch and the collector of its mirror session, in no zone.
const SWITCH: [u8; 4] = [192, 0, 2, 1];
const COLLECTOR: [u8; 4] = [192, 0, 2, 200];

/// Wraps an IP packet in a tunnel between two hosts.
type Wrap = fn([u8; 4], [u8; 4], &[u8]) -> Vec<u8>;

/// Every kind of tunnel, with the protocol of its alerts.
const TUNNELS: [(&str, Wrap); 12] = [
    ("ip/47", |from, to, ip| ipv4(from, to, 47, &join(&[&hex("0000 0800 ; GRE, IPv4"), ip]))),
    ("ip/4", |from, to, ip| ipv4(from, to, 4, ip)),
    ("ip/137", |from, to, ip| ipv4(from, to, 137, &join(&[&hex("00064 1 40 ; MPLS label 100"), ip]))),
    ("ip/115", |from, to, ip| ipv4(from, to, 115, &join(&[&hex("0000002A ; L2TPv3"), &ethernet(0x0800, ip)]))),
    ("ip/47", |from, to, ip| {
        ipv4(from, to, 47, &join(&[&hex("1000 88BE 00000001 1000 0001 00000000 ; ERSPAN"), &ethernet(0x0800, ip)]))
    }),
    ("udp/4789", |from, to, ip| {
        ipv4(from, to, 17, &udp(50_000, 4789, &join(&[&hex("08000000 000BEE00 ; VXLAN"), &ethernet(0x0800, ip)])))
    }),
    ("udp/8472", |from, to, ip| {
        ipv4(from, to, 17, &udp(50_000, 8472, &join(&[&hex("08000000 000BEE00 ; VXLAN"), &ethernet(0x0800, ip)])))
    }),
    ("udp/4790", |from, to, ip| {
        ipv4(from, to, 17, &udp(50_000, 4790, &join(&[&hex("0C000001 000BEE00 ; VXLAN-GPE"), ip])))
    }),
    ("udp/6081", |from, to, ip| {
        ipv4(from, to, 17, &udp(50_000, 6081, &join(&[&hex("00000800 000BEE00 ; GENEVE"), ip])))
    }),
    ("udp/1701", |from, to, ip| {
        ipv4(from, to, 17, &udp(1701, 1701, &join(&[&hex("0002 0001 0001 FF03 0021 ; L2TP"), ip])))
    }),
    ("udp/37008", |from, to, ip| {
        ipv4(from, to, 17, &udp(50_000, 37_008, &join(&[&hex("01 00 0001 01 ; TZSP"), &ethernet(0x0800, ip)])))
    }),
    ("ip/47", |from, to, ip| {
        let length = 4 + ip.len();
        let header = format!("3001 880B {length:04X} 0001 00000001 FF03 0021 ; PPTP");
        ipv4(from, to, 47, &join(&[&hex(&header), ip]))
    }),
];

/// A connection between `client` and `server` inside a tunnel between `here` and `there`.
fn inside(wrap: Wrap, (here, there): ([u8; 4], [u8; 4]), (client, server): ([u8; 4], [u8; 4])) -> Vec<Vec<u8>> {
    let outward = |ip: &[u8]| ip[12..16] == client;
    let around = |ip: &Vec<u8>| if outward(ip) { wrap(here, there, ip) } else { wrap(there, here, ip) };
    modbus(client, server).iter().map(|ip| ethernet(0x0800, &around(ip))).collect()
}

/// The protocols of the alerts of a rule.
fn protocols<'a>(result: &'a ReplayResult, rule: &str) -> Vec<&'a str> {
    result.of(rule).iter().map(|alert| alert["protocol"].as_str().expect("a protocol")).collect()
}

#[test]
fn an_undeclared_tunnel_of_any_kind_is_one_violation() {
    for (name, wrap) in TUNNELS {
        let wire = Wire::new(&inside(wrap, (OFFICE, PLC), (HERE, THERE)));
        let result = wire.replay(&["--workers", "1"]);
        assert_eq!(protocols(&result, "conduit.undeclared"), [name]);
        let alert = result.of("conduit.undeclared")[0];
        assert_eq!(
            (&alert["client"]["ip"], &alert["server"]["ip"]),
            (&"10.0.9.5".into(), &"10.0.2.10".into()),
            "{name}"
        );
        assert_eq!((&alert["severity"], &alert["count"]), (&"high".into(), &1.into()), "{name}");
        assert_eq!(
            (&result.stats["packets"], &result.stats["flows"], &result.stats["tunnels"]),
            (&8.into(), &1.into(), &1.into())
        );
        assert_eq!(result.stats["operations"]["modbus"]["write"], 1, "{name}: what is inside is decoded");
        assert_eq!(wire.replay(&["--workers", "7"]).alerts, result.alerts, "{name}");
    }
}

#[test]
fn the_content_of_a_tunnel_is_judged_as_well() {
    let result = Wire::new(&inside(TUNNELS[0].1, (OFFICE, PLC), (SCADA, PLC))).replay(&[]);
    assert_eq!(result.rules(), ["conduit.undeclared", "operation.undeclared"]);
    let result = Wire::new(&inside(TUNNELS[0].1, (SWITCH, COLLECTOR), (SCADA, PLC))).replay(&[]);
    assert_eq!(result.rules(), ["operation.undeclared"], "a tunnel between hosts of no zone is not judged");
}

#[test]
fn each_of_several_tunnels_around_a_packet_is_judged() {
    let [gre, vxlan] = [TUNNELS[0].1, TUNNELS[5].1];
    let twice: Vec<_> = modbus(HERE, THERE)
        .iter()
        .map(|ip| ethernet(0x0800, &gre(OFFICE, [10, 0, 2, 11], &vxlan(OFFICE, PLC, ip))))
        .collect();
    let wire = Wire::new(&twice);
    let one = wire.replay(&["--workers", "1"]);
    let mut found = protocols(&one, "conduit.undeclared");
    found.sort_unstable();
    assert_eq!(found, ["ip/47", "udp/4789"]);
    assert_eq!(wire.replay(&["--workers", "5"]).alerts, one.alerts);
}

/// The policy with one more flow, between office and plc.
fn with_flow(from: &str, to: &str, protocol: &str) -> String {
    format!(
        "{POLICY}\n[conduit.T]\nzones = [\"office\", \"plc\"]\n[[conduit.T.flow]]\nid = \"F-T\"\nfrom = [\"zone:{from}\"]\n\
         to = [\"zone:{to}\"]\nprotocol = \"{protocol}\"\n"
    )
}

#[test]
fn a_declared_tunnel_is_permitted_in_both_directions() {
    let declared = [
        (0, "gre"),
        (0, "ip/47"),
        (1, "ip-in-ip"),
        (2, "mpls-in-ip"),
        (3, "l2tp"),
        (4, "gre"),
        (5, "vxlan"),
        (5, "udp/4789"),
        (6, "vxlan"),
        (8, "geneve"),
        (9, "l2tp"),
        (10, "tzsp"),
    ];
    for (index, protocol) in declared {
        let frames = inside(TUNNELS[index].1, (OFFICE, PLC), (HERE, THERE));
        for (from, to) in [("office", "plc"), ("plc", "office")] {
            let result = Wire::judged_by(&with_flow(from, to, protocol), &frames).replay(&[]);
            assert_eq!(result.rules(), [""; 0], "{protocol} from {from}");
        }
    }
    let frames = inside(TUNNELS[5].1, (OFFICE, PLC), (HERE, THERE));
    let result = Wire::judged_by(&with_flow("office", "plc", "gre"), &frames).replay(&[]);
    assert_eq!(result.rules(), ["flow.undeclared-protocol"], "another tunnel than the declared one");
}

#[test]
fn a_declared_tunnel_with_unreadable_content_is_permitted_in_both_directions() {
    let esp = |from, to| ethernet(0x0800, &ipv4(from, to, 50, &hex("00000001 00000001 DEADBEEF")));
    let frames = [esp(PLC, OFFICE), esp(OFFICE, PLC)];
    for (from, to) in [("office", "plc"), ("plc", "office")] {
        let result = Wire::judged_by(&with_flow(from, to, "esp"), &frames).replay(&[]);
        assert_eq!(result.rules(), ["own.unread"], "from {from}");
    }
    assert_eq!(Wire::new(&frames).replay(&[]).rules(), ["conduit.undeclared", "own.unread"]);
}

#[test]
fn a_named_mirror_session_is_not_traffic_of_the_plant() {
    // The mirroring switch belongs to the zone of the controllers; the mirrored traffic is permitted.
    let switch = [10, 0, 2, 1];
    let mut frames = inside(TUNNELS[4].1, (switch, COLLECTOR), (SCADA, PLC));
    frames.truncate(5);
    let wire = Wire::new(&frames);
    assert_eq!(wire.replay(&[]).rules(), ["conduit.undeclared"]);
    for end in ["10.0.2.1", "192.0.2.200"] {
        let result = wire.replay(&["--mirror-session", "198.51.100.1", "--mirror-session", end]);
        assert_eq!((result.rules(), &result.stats["tunnels"]), (vec![], &0.into()), "{end}");
    }
}

#[test]
fn the_first_seen_direction_of_a_tunnel_makes_no_difference() {
    let mut frames = inside(TUNNELS[5].1, (OFFICE, PLC), (HERE, THERE));
    frames.rotate_left(1);
    let result = Wire::new(&frames).replay(&[]);
    let found = result.of("conduit.undeclared");
    assert_eq!((found.len(), &found[0]["client"]["ip"]), (1, &"10.0.2.10".into()), "one alert, with who came first");
}

#[test]
fn fragments_in_a_tunnel_are_traffic_of_the_tunnel() {
    // The first of two fragments of a datagram whose second never comes.
    let mut part = ipv4(HERE, THERE, 17, &udp(1, 2, &[0; 8]));
    part[6] = 0x20; // more fragments follow
    let frames = [ethernet(0x0800, &TUNNELS[0].1(OFFICE, PLC, &part))];
    assert_eq!(Wire::new(&frames).replay(&[]).of("conduit.undeclared").len(), 1);
}

#[test]
fn evidence_of_a_tunnel_contains_its_packets() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let evidence = folder.path().to_str().expect("UTF-8");
    for wrap in [TUNNELS[0].1, TUNNELS[5].1] {
        let mut frames = inside(wrap, (OFFICE, PLC), (HERE, THERE));
        frames.extend(modbus(SCADA, PLC).iter().take(5).map(|ip| ethernet(0x0800, ip)));
        let result = Wire::new(&frames).replay(&["--evidence", evidence]);
        let id = result.of("conduit.undeclared")[0]["id"].as_str().expect("an id").to_owned();
        let file = folder.path().join(format!("conduit.undeclared-{id}.pcapng"));
        assert_eq!(support::rewrite::read(&file).len(), 8, "{}", file.display());
    }
}
