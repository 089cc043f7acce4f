//! The protocol and the ports of a flow: `protocol`, `port`, `tls`.

use super::super::model::{DeclaredProtocol, Ports};
use super::super::section::{Section, Span, Word};
use super::super::{Carrier, services, values};
use super::Walk;
use crate::document::suggest::{list, nearest};

impl<'t> Walk<'t> {
    /// Reads `protocol` and `port`.
    pub(super) fn protocol_and_ports(&self, section: &mut Section<'t>) -> Option<(DeclaredProtocol, Ports)> {
        let expected = "a port, a range such as \"5000-5010\", \"tcp/502\", \"any\", or a list of ports";
        let written = section.tokens("port", expected);
        let (protocol, ports) = section.parsed("protocol", declared_protocol)?;
        self.names_no_decoded_protocol(section, &protocol, &ports);
        if written.is_empty() {
            return Some((protocol, ports));
        }
        let ports = self.ports(section, &protocol, ports, &written);
        Some((protocol, ports))
    }

    /// Warns of a numbered port that is registered for a decoded protocol, which it does not permit.
    fn names_no_decoded_protocol(&self, section: &Section<'t>, protocol: &DeclaredProtocol, ports: &Ports) {
        let (DeclaredProtocol::Carried(text), Ports::Ranges(ranges)) = (protocol, ports) else { return };
        let [(carrier, port, last)] = **ranges else { return };
        let decoded: Vec<&str> = if port == last { services::decoded_at((carrier, port)) } else { Vec::new() };
        if let Some(first) = decoded.first() {
            let message =
                format!("`{text}` does not permit {}, which must be named to be permitted", decoded.join(" or "));
            let help = format!("write protocol = \"{first}\" and port = \"{text}\" if that is what is meant");
            self.problems.warning(section.span_of("protocol"), message, help);
        }
    }

    fn ports(
        &self,
        section: &Section<'t>,
        protocol: &DeclaredProtocol,
        own: Ports,
        written: &[(String, Span)],
    ) -> Ports {
        let carriers = carriers(&own);
        let numbered = |carrier: &&Carrier| matches!(carrier, Carrier::Tcp | Carrier::Udp);
        let says_port = matches!(protocol, DeclaredProtocol::Carried(text) if text.contains('/'));
        if says_port || !carriers.iter().any(|carrier| numbered(&carrier)) {
            let message = format!("`{}` takes no `port`", protocol.name());
            let help = if says_port { "it is part of `protocol` already: remove `port`" } else { "remove `port`" };
            self.problems.error(section.span_of("port"), message, help);
            return own;
        }
        let mut ranges = Vec::new();
        for (text, span) in written {
            let word = Word { text, span: span.clone() };
            let Some((carried, first, last)) = section.parse(&word, |text| carried_port(text, protocol, &carriers))
            else {
                continue;
            };
            let meant = |carrier: &&Carrier| numbered(carrier) && carried.is_none_or(|only| only == **carrier);
            ranges.extend(carriers.iter().filter(meant).map(|&carrier| (carrier, first, last)));
        }
        Ports::Ranges(ranges)
    }
}

/// The carriers of ports; of `any`, those with ports.
fn carriers(ports: &Ports) -> Vec<Carrier> {
    let Ports::Ranges(ranges) = ports else { return vec![Carrier::Tcp, Carrier::Udp] };
    let mut carriers: Vec<Carrier> = Vec::new();
    for &(carrier, _, _) in ranges {
        if !carriers.contains(&carrier) {
            carriers.push(carrier);
        }
    }
    carriers
}

/// Parses a protocol, with its ports: `modbus`, `ntp`, `tcp`, `tcp/443`, `udp/5000-5010`, `ip/47`, `ethernet/0x8892`, `any`.
fn declared_protocol(text: &str) -> Result<(DeclaredProtocol, Ports), (String, String)> {
    if text == "any" {
        return Ok((DeclaredProtocol::Any, Ports::Any));
    }
    if let Some(name) = services::protocol_name(text) {
        let ranges = services::ports_of(name).into_iter().map(|(carrier, port)| (carrier, port, port));
        return Ok((DeclaredProtocol::Named(name), Ports::Ranges(ranges.collect())));
    }
    let carried = |range| Ok((DeclaredProtocol::Carried(text.to_owned()), Ports::Ranges(vec![range])));
    match text.split_once('/').unwrap_or((text, "any")) {
        ("tcp", ports) => port(ports).and_then(|(first, last)| carried((Carrier::Tcp, first, last))),
        ("udp", ports) => port(ports).and_then(|(first, last)| carried((Carrier::Udp, first, last))),
        ("ip", number) => match number.parse() {
            Ok(number) => carried((Carrier::Ip(number), 0, 0)),
            Err(_) => Err((format!("`{text}` names no IP protocol"), "write \"ip/47\", a number up to 255".into())),
        },
        ("ethernet", number) => match number.strip_prefix("0x").map(|digits| u16::from_str_radix(digits, 16)) {
            Some(Ok(number)) => carried((Carrier::Ethernet(number), 0, 0)),
            _ => Err((format!("`{text}` names no EtherType"), "write \"ethernet/0x8892\"".into())),
        },
        _ => Err((format!("unknown protocol `{text}`"), protocol_help(text))),
    }
}

fn protocol_help(text: &str) -> String {
    let forms = "or by carrier: \"tcp/443\", \"udp/123\", \"ip/47\", \"any\"";
    let known = services::protocol_names();
    match nearest(text, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? Protocols are written by name, {forms}"),
        None => format!("known names are: {}; {forms}", list(known)),
    }
}

/// Parses a port or a range, for every carrier of the protocol or for one of them: `502`, `tcp/502`, `udp/5000-5010`,
/// `tcp/any`.
fn carried_port(
    text: &str,
    protocol: &DeclaredProtocol,
    own: &[Carrier],
) -> Result<(Option<Carrier>, u16, u16), (String, String)> {
    let (carrier, ports) = match text.split_once('/') {
        Some(("tcp", ports)) => (Some(Carrier::Tcp), ports),
        Some(("udp", ports)) => (Some(Carrier::Udp), ports),
        _ => (None, text),
    };
    let (first, last) = port(ports)?;
    match carrier {
        Some(carrier) if !own.contains(&carrier) => {
            let message =
                format!("`{}` is not carried by {}", protocol.name(), text.split('/').next().unwrap_or_default());
            Err((message, format!("write \"{ports}\" without a carrier, or correct the protocol")))
        }
        _ => Ok((carrier, first, last)),
    }
}

/// Parses `502`, `5000-5010` or `any` to the first and the last port.
fn port(text: &str) -> Result<(u16, u16), (String, String)> {
    if text == "any" {
        return Ok((1, u16::MAX));
    }
    match values::range(text) {
        Ok((first, last)) if first > 0 => Ok((first, last)),
        Ok(_) => Err((format!("port `{text}`: there is no port 0"), "write a port from 1 to 65535, or \"any\"".into())),
        Err(_) => {
            Err((format!("`{text}` is not a port"), "write a port from 1 to 65535, \"5000-5010\", or \"any\"".into()))
        }
    }
}

impl Section<'_> {
    pub(super) fn tls(&mut self) -> Option<&'static str> {
        let what = format!("tls of {}", self.what);
        let mut section = self.table("tls", what)?;
        let version = section.one_of("min_version", "a version of TLS", &["1.0", "1.1", "1.2", "1.3"]);
        section.finish();
        version
    }
}
