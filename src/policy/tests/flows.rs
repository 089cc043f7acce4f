//! Which flows name two hosts, however they name them.

use super::*;
use proptest::prelude::*;

/// Two zones, an asset in each, and the flows of one conduit after it.
const ZONES: &str = r#"
schema = "lockkeeper-policy/1"
[zone.clients]
networks = ["10.1.0.0/16"]
[zone.servers]
networks = ["10.2.0.0/16"]
[asset.SCADA]
zone = "clients"
ip = ["10.1.0.1", "10.1.0.2"]
[asset.PLC]
zone = "servers"
ip = ["10.2.0.1"]
[conduit.between]
zones = ["clients", "servers"]
"#;

/// Ways to name hosts, and which of [`CLIENTS`] and [`SERVERS`] each of them names.
const ENDS: [(&str, [bool; 3], [bool; 3]); 10] = [
    ("SCADA", [true, true, false], [false; 3]),
    ("PLC", [false; 3], [true, false, false]),
    ("10.1.0.2", [false, true, false], [false; 3]),
    ("10.1.0.3/32", [false, false, true], [false; 3]),
    ("10.2.0.2", [false; 3], [false, true, false]),
    ("10.1.0.2/31", [false, true, true], [false; 3]),
    ("10.2.0.0/30", [false; 3], [true; 3]),
    ("zone:clients", [true; 3], [false; 3]),
    ("zone:servers", [false; 3], [true; 3]),
    ("any", [true; 3], [true; 3]),
];
const CLIENTS: [&str; 3] = ["10.1.0.1", "10.1.0.2", "10.1.0.3"];
const SERVERS: [&str; 3] = ["10.2.0.1", "10.2.0.2", "10.2.0.3"];

/// One side of a flow: one to three of [`ENDS`], each at most once.
fn side() -> impl Strategy<Value = Vec<usize>> {
    proptest::sample::subsequence((0..ENDS.len()).collect::<Vec<_>>(), 1..=3)
}

fn text_of((number, (from, to)): (usize, &(Vec<usize>, Vec<usize>))) -> String {
    let names = |side: &[usize]| side.iter().map(|&end| format!("{:?}", ENDS[end].0)).collect::<Vec<_>>().join(", ");
    format!(
        "[[conduit.between.flow]]\nid = \"{number}\"\nfrom = [{}]\nto = [{}]\nprotocol = \"any\"\nallow = [{{ op = \"read\" }}]\n",
        names(from),
        names(to)
    )
}

proptest! {
    #[test]
    fn a_flow_is_found_if_and_only_if_it_names_both_hosts(
        flows in prop::collection::vec((side(), side()), 1..12),
        client in 0..CLIENTS.len(), server in 0..SERVERS.len(), turned in any::<bool>(),
    ) {
        let text: String = flows.iter().enumerate().map(text_of).collect();
        let policy = policy(&format!("{ZONES}{text}"));
        let tuple = match turned {
            false => tcp(CLIENTS[client], SERVERS[server], 502),
            true => tcp(SERVERS[server], CLIENTS[client], 502),
        };
        let names_client = |side: &[usize]| side.iter().any(|&end| ENDS[end].1[client]);
        let names_server = |side: &[usize]| side.iter().any(|&end| ENDS[end].2[server]);
        let names = |(from, to): &(Vec<usize>, Vec<usize>), turned: bool| match turned {
            false => names_client(from) && names_server(to),
            true => names_server(from) && names_client(to),
        };
        let naming = |turned: bool| (0_u16..).zip(&flows).filter(move |(_, flow)| names(flow, turned)).map(|(at, _)| at);
        let flow_verdict = policy.flow_verdict(&tuple, None);
        let found: Vec<u16> = flow_verdict.candidates.as_deref().unwrap_or_default().iter().map(|one| one.flow).collect();
        prop_assert_eq!(&found, &naming(turned).collect::<Vec<_>>());
        let reverse = naming(!turned).next().filter(|_| found.is_empty());
        prop_assert_eq!(flow_verdict.reverse, reverse);
    }
}

#[test]
fn the_protocols_declared_on_a_port_do_not_depend_on_the_hosts() {
    let flow = |protocol: &str, port: &str| {
        let ends = "from = [\"any\"]\nto = [\"any\"]\nallow = [{ op = \"any\" }]";
        format!("[[conduit.between.flow]]\nprotocol = \"{protocol}\"\n{port}\n{ends}\n")
    };
    let flows = [
        flow("modbus", "port = 4001"),
        flow("modbus", "port = [4001, 502]"),
        flow("opcua", "port = \"4000-4002\""),
        flow("s7comm", ""),
        flow("s7comm", "port = \"1024-65535\""),
        flow("ntp", "port = 4001"),
    ];
    let policy = policy(&[ZONES, &flows.concat()].concat());
    let at = |carrier, port| {
        let mut names: Vec<_> = policy.protocols_at((carrier, port)).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(at(Carrier::Tcp, 4001), ["modbus", "opcua"]);
    assert_eq!(at(Carrier::Tcp, 4000), ["opcua"]);
    assert_eq!(at(Carrier::Tcp, 102), ["s7comm"]);
    assert_eq!(at(Carrier::Udp, 502), ["modbus"]);
    assert!(at(Carrier::Tcp, 50_000).is_empty(), "a range of nearly everything says nothing");
}
