//! Client and server of a conversation whose ports or first packets suggest the wrong roles.

mod support;

use support::wire::{Station, Wire};

/// Services of the IT zone that every host of the plant may use.
const SERVICES: &str = r#"
schema = "lockkeeper-policy/1"
[zone.plc]
networks = ["10.1.1.0/24"]
[zone.it]
networks = ["10.2.2.0/24"]
[conduit.C]
zones = ["plc", "it"]
[[conduit.C.flow]]
from = "zone:plc"
to = "zone:it"
protocol = "ntp"
[[conduit.C.flow]]
from = "zone:plc"
to = "zone:it"
protocol = "enip"
[[conduit.C.flow]]
from = "zone:plc"
to = "zone:it"
protocol = "iec104"
[[conduit.C.flow]]
from = "zone:plc"
to = "zone:it"
protocol = "dnp3"
"#;

#[test]
fn a_source_port_equal_to_a_service_port_does_not_make_its_host_the_server() {
    let (client, server) = (Station::new(1, "10.1.1.5"), Station::new(2, "10.2.2.9"));
    let ntp = [0x23; 48];
    for port in [4840, 502, 102, 20_000, 44_818] {
        for answer_is_first in [false, true] {
            let mut wire = Wire::default();
            let frames = [((client, port), (server, 123)), ((server, 123), (client, port))];
            let order = if answer_is_first { [1, 0] } else { [0, 1] };
            order.into_iter().for_each(|at| wire.udp(frames[at].0, frames[at].1, &ntp));
            assert_eq!(wire.replay(SERVICES).raised(), [""; 0], "{port}, answer first: {answer_is_first}");
        }
    }
}

#[test]
fn connections_joined_midstream_have_the_right_client() {
    let (client, server) = (Station::new(1, "10.1.1.5"), Station::new(2, "10.2.2.9"));
    for service in [44_818, 2404, 20_000] {
        for port in [1025, 4840, 502, 50_000] {
            for answer_is_first in [false, true] {
                let mut wire = Wire::default();
                let ends = [(client, port), (server, service)];
                for turn in 0..6_u32 {
                    let from = (turn as usize + usize::from(answer_is_first)) % 2;
                    wire.tcp(ends[from], ends[1 - from], "A", [1000 + turn / 2 * 9, 1000 + turn / 2 * 9], b"not ours.");
                }
                let raised = wire.replay(SERVICES).raised();
                assert_eq!(raised, [""; 0], "{port} to {service}, answer first: {answer_is_first}");
            }
        }
    }
}
