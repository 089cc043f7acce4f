//! Three hosts in a row: an attacker, a router, and a server with a Linux TCP stack. The traffic between attacker and router
//! is what a sensor would capture.

use std::path::Path;

use crate::evasion::wire::{CLIENT_MAC, SERVER, SERVER_MAC};
use crate::support::namespace::Namespace;
use crate::support::require::{VLAN, missing};

/// The hosts. The attacker is only a raw socket: no kernel responds for it.
pub(crate) struct Site {
    pub attacker: Namespace,
    pub router: Namespace,
    pub server: Namespace,
}

/// The attacker's interface.
pub(crate) const CARD: &str = "card";
/// The router's interface towards the attacker, where packets are recorded.
pub(crate) const OUTSIDE: &str = "outside";
const INSIDE: &str = "inside";
const SERVER_CARD: &str = "eth0";

impl Site {
    /// Builds it; `None` if namespaces are missing and the run allows that.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let new = |host: &str| Namespace::new(&format!("{name}-{host}"));
        let site = Self { attacker: new("attacker")?, router: new("router")?, server: new("server")? };
        for host in [&site.attacker, &site.router, &site.server] {
            // Hosts send no packets unprompted; a packet with an unexpected source address is not dropped.
            let quiet = ["all", "default"].map(|which| format!("net.ipv6.conf.{which}.disable_ipv6=1"));
            let lenient = ["all", "default"].map(|which| format!("net.ipv4.conf.{which}.rp_filter=0"));
            quiet.iter().chain(&lenient).for_each(|setting| host.set(setting));
        }
        site.connect();
        site.route();
        Some(site)
    }

    /// Adds two cables without checksum offload.
    fn connect(&self) {
        let Self { attacker, router, server } = self;
        cable([(attacker, CARD), (router, OUTSIDE)]);
        cable([(router, INSIDE), (server, SERVER_CARD)]);
        router.ip(&["link", "set", OUTSIDE, "address", &text(SERVER_MAC)]);
        for (host, card) in [(attacker, CARD), (router, OUTSIDE), (router, INSIDE), (server, SERVER_CARD)] {
            let off = ["-K", card, "tso", "off", "gso", "off", "gro", "off", "tx", "off", "rx", "off"];
            let output = host.command(Path::new("ethtool")).args(off).output().expect("ip(8) is installed");
            assert!(output.status.success(), "ethtool: {}", String::from_utf8_lossy(&output.stderr));
            host.ip(&["link", "set", card, "up"]);
        }
    }

    /// Sets addresses and routes.
    fn route(&self) {
        let Self { router, server, .. } = self;
        self.take_vlan();
        for (address, card) in [("10.0.1.1/24", OUTSIDE), ("10.0.2.1/24", INSIDE)] {
            router.ip(&["address", "add", address, "dev", card]);
        }
        let known = ["neigh", "replace", "10.0.1.10", "lladdr", &text(CLIENT_MAC), "dev", OUTSIDE, "nud", "permanent"];
        router.ip(&known);
        router.set("net.ipv4.ip_forward=1");
        let [a, b, c, d] = SERVER;
        server.ip(&["address", "add", &format!("{a}.{b}.{c}.{d}/24"), "dev", SERVER_CARD]);
        server.ip(&["link", "set", "lo", "up"]);
        server.ip(&["route", "add", "default", "via", "10.0.2.1"]);
    }

    /// Lets the router forward VLAN 77 as well. On a kernel without VLANs, tagged packets do not reach the server.
    fn take_vlan(&self) {
        let name = format!("{OUTSIDE}.77");
        let mut ip = self.router.command(Path::new("ip"));
        let made = ip.args(["link", "add", "link", OUTSIDE, "name", &name, "type", "vlan", "id", "77"]).output();
        if !made.is_ok_and(|made| made.status.success()) {
            return missing(VLAN, "ip link add type vlan fails");
        }
        self.router.ip(&["link", "set", &name, "up"]);
        self.router.ip(&["address", "add", "10.0.77.1/24", "dev", &name]);
    }
}

/// Adds a veth pair between two hosts.
fn cable([(one, card), (other, port)]: [(&Namespace, &str); 2]) {
    one.ip(&["link", "add", "name", card, "type", "veth", "peer", "name", port, "netns", other.name()]);
}

fn text(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}
