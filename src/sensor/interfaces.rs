//! `lockkeeper interfaces`: the network interfaces that can be watched, the problems of each, and their remedies.
//!
//! An interface for a SPAN port should only listen: switched on, without addresses, and without offloads that change packets
//! before they are captured.

mod offload;

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::capture::Error;
use crate::capture::live::{Device, devices};

/// One interface of this machine.
#[derive(Debug, Serialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// It can be watched: it has no problem of severity `error`.
    pub watchable: bool,
    /// It is switched on.
    pub up: bool,
    /// It has a link.
    pub carrier: bool,
    /// MTU, bytes: the longest frame without its Ethernet header.
    pub mtu: Option<u32>,
    /// Speed, Mbit/s, if the hardware reports it.
    pub speed: Option<u32>,
    /// Its IP addresses.
    pub addresses: Vec<IpAddr>,
    /// Active offloads that change captured packets.
    pub offloads: Vec<&'static str>,
    /// Its problems.
    pub problems: Vec<Problem>,
}

/// A problem of an interface.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How severe it is.
    pub severity: Severity,
    /// What is wrong.
    pub what: String,
    /// The command that remedies it, if there is one.
    #[serde(rename = "mend")]
    pub remedy: Option<String>,
}

/// How severe a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The interface cannot be watched.
    Error,
    /// Captured packets may differ from those on the wire.
    Warning,
}

#[derive(Serialize)]
struct Listing<'a> {
    schema: &'static str,
    interfaces: &'a [Interface],
}

/// Lists and checks every interface of this machine.
pub fn list() -> Result<Vec<Interface>, Error> {
    let may_listen = may_listen(&fs::read_to_string("/proc/self/status").unwrap_or_default());
    Ok(devices()?.into_iter().map(|device| check(device, may_listen)).collect())
}

/// Writes the list as one JSON object.
pub fn write_json(interfaces: &[Interface], out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Listing { schema: "lockkeeper/interfaces/1", interfaces })?;
    out.write_all(b"\n")
}

/// Writes the list for people, with colours. A writer of `anstream` removes them where they are not wanted.
pub fn write_text(interfaces: &[Interface], out: &mut dyn Write) -> io::Result<()> {
    for interface in interfaces {
        let Interface { name, up, carrier, mtu, speed, .. } = interface;
        let state = match (up, carrier) {
            (false, _) => "down",
            (true, false) => "no link",
            (true, true) => "up",
        };
        let mtu = mtu.map(|mtu| format!("MTU {mtu}")).unwrap_or_default();
        let speed = speed.map(|speed| format!("{speed} Mbit/s")).unwrap_or_default();
        let line = format!("{HEADING}{name:<16}{HEADING:#} {state:<8} {mtu:<10} {speed}");
        writeln!(out, "{}", line.trim_end())?;
        if interface.problems.is_empty() {
            writeln!(out, "  {GOOD}nothing is wrong with it{GOOD:#}")?;
        }
        for problem in &interface.problems {
            let colour = if problem.severity == Severity::Error { BAD } else { WARNING };
            writeln!(out, "  {colour}{}{colour:#}", problem.what)?;
            if let Some(remedy) = &problem.remedy {
                writeln!(out, "      {remedy}")?;
            }
        }
    }
    if interfaces.is_empty() {
        writeln!(out, "There is no network interface here.")?;
    }
    Ok(())
}

fn check(device: Device, may_listen: bool) -> Interface {
    let Device { name, addresses, loopback } = device;
    let system = |file: &str| {
        let text = fs::read_to_string(Path::new("/sys/class/net").join(&name).join(file));
        text.ok().map(|text| text.trim().to_owned())
    };
    let flags = system("flags").and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok());
    let mut interface = Interface {
        up: flags.is_some_and(|flags| flags & IFF_UP != 0),
        carrier: system("carrier").as_deref() == Some("1"),
        mtu: system("mtu").and_then(|text| text.parse().ok()),
        speed: system("speed").and_then(|text| text.parse().ok()),
        offloads: if loopback { Vec::new() } else { offload::active(&name) },
        problems: Vec::new(),
        watchable: true,
        addresses,
        name,
    };
    interface.problems = problems(&interface, may_listen, loopback);
    interface.watchable = interface.problems.iter().all(|problem| problem.severity != Severity::Error);
    interface
}

fn problems(interface: &Interface, may_listen: bool, loopback: bool) -> Vec<Problem> {
    let Interface { name, up, carrier, mtu, addresses, offloads, .. } = interface;
    let mut found = Vec::new();
    let mut problem = |severity, what: String, remedy: Option<String>| found.push(Problem { severity, what, remedy });
    if !may_listen {
        problem(
            Severity::Error,
            "this user may not listen to it".into(),
            Some("setcap cap_net_raw+ep \"$(command -v lockkeeper)\", or run it as root".into()),
        );
    }
    if !up {
        problem(Severity::Error, "it is switched off".into(), Some(format!("ip link set dev {name} up")));
    }
    if loopback {
        let what = "it only carries what this machine says to itself: no SPAN port ends here";
        problem(Severity::Warning, what.into(), None);
        return found;
    }
    if *up && !carrier {
        problem(Severity::Warning, "it has no link: look at the cable and at the SPAN port of the switch".into(), None);
    }
    if mtu.is_some_and(|mtu| mtu < MIN_MTU) {
        let what = format!("its MTU is below {MIN_MTU}: longer frames with VLAN tags or tunnels may be dropped");
        problem(Severity::Warning, what, Some(format!("ip link set dev {name} mtu 1600")));
    }
    for offload in offloads {
        let what = format!("{} is on: {}", offload::title(offload), offload::effect(offload));
        problem(Severity::Warning, what, Some(format!("ethtool -K {name} {offload} off")));
    }
    if !addresses.is_empty() {
        let list: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        let what = format!("this machine has addresses on it and may send: {}", list.join(", "));
        let remedy = format!("ip address flush dev {name} && sysctl -w net.ipv6.conf.{name}.disable_ipv6=1");
        problem(Severity::Warning, what, Some(remedy));
    }
    found
}

/// Whether this process may open packet sockets, according to `/proc/self/status`.
fn may_listen(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok());
    effective.is_some_and(|effective| effective & 1 << CAP_NET_RAW != 0)
}

/// `IFF_UP` of netdevice(7).
const IFF_UP: u32 = 1;
/// The number of the capability for packet sockets: capabilities(7).
const CAP_NET_RAW: u32 = 13;
/// The MTU of plain Ethernet.
const MIN_MTU: u32 = 1500;

const HEADING: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();

#[cfg(test)]
mod tests {
    use super::*;

    fn interface() -> Interface {
        Interface {
            name: "eth1".to_owned(),
            watchable: true,
            up: true,
            carrier: true,
            mtu: Some(1500),
            speed: None,
            addresses: Vec::new(),
            offloads: Vec::new(),
            problems: Vec::new(),
        }
    }

    #[test]
    fn nothing_is_wrong_with_an_interface_that_only_listens() {
        assert_eq!(problems(&interface(), true, false), []);
    }

    #[test]
    fn each_problem_comes_with_the_command_that_remedies_it() {
        let bad = Interface {
            up: false,
            mtu: Some(1400),
            addresses: vec!["192.0.2.1".parse().expect("an address")],
            offloads: vec!["gro"],
            ..interface()
        };
        let found = problems(&bad, false, false);
        let remedies: Vec<&str> = found.iter().filter_map(|problem| problem.remedy.as_deref()).collect();
        let expected = [
            "setcap cap_net_raw+ep \"$(command -v lockkeeper)\", or run it as root",
            "ip link set dev eth1 up",
            "ip link set dev eth1 mtu 1600",
            "ethtool -K eth1 gro off",
            "ip address flush dev eth1 && sysctl -w net.ipv6.conf.eth1.disable_ipv6=1",
        ];
        assert_eq!(remedies, expected);
        let errors = found.iter().filter(|problem| problem.severity == Severity::Error).count();
        assert_eq!(errors, 2, "no permission, switched off");
    }

    #[test]
    fn the_right_to_listen_is_read_from_the_effective_capabilities() {
        assert!(may_listen("Name:\tx\nCapEff:\t0000000000002000\n"));
        assert!(!may_listen("Name:\tx\nCapPrm:\t0000000000002000\nCapEff:\t0000000000000000\n"));
        assert!(!may_listen(""));
    }

    #[test]
    fn the_list_is_one_json_object() {
        let mut out = Vec::new();
        write_json(&[interface()], &mut out).expect("written");
        let json: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(json["schema"], "lockkeeper/interfaces/1");
        assert_eq!(json["interfaces"][0]["name"], "eth1");
    }
}
