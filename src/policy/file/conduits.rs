//! Conduits, their flows, and what each flow allows.

use super::super::model::{
    Allow, Conduit, Endpoint, Flow, FunctionRef, Location, OpcUaSession, Ports, Registers, S7Session, Spoken,
};
use super::super::section::{Section, Span, Word};
use super::super::words::{self, Classes};
use super::super::{Carrier, values};
use super::points::{function_help, place_word, speaks};
use super::{Walk, index, owned, span_of};

/// The conduit that is being walked.
struct Here<'a> {
    index: u16,
    /// The zones it connects; empty where one of them is unknown, so that no host is reported for that.
    zones: &'a [u16],
    name: &'a str,
}

impl<'t> Walk<'t> {
    pub(super) fn conduits(&mut self, root: &mut Section<'t>) {
        for (name, mut section) in self.named(root, "conduit") {
            section.missing("zones", "the zones it connects: zones = [\"Z-SCADA\", \"Z-LOCK\"]");
            let words = section.texts("zones");
            let zones: Vec<u16> = words.iter().filter_map(|word| self.zone_ref(word)).collect();
            let sound = zones.len() == words.len();
            let conduit = Conduit {
                name: name.text.to_owned(),
                zones: zones.clone(),
                sl_t: section.security_level(),
                notes: section.notes(&["owner", "purpose", "justification", "risk_ref"], &["controls"], &["reviewed_on"]),
            };
            let here = Here { index: index(self.declared.conduits.len()), zones: if sound { &zones } else { &[] }, name: name.text };
            self.declared.conduits.push(conduit);
            self.flows(&mut section, &here);
            section.finish();
        }
    }

    fn flows(&mut self, section: &mut Section<'t>, here: &Here<'_>) {
        let what = format!("a flow of {}", here.name);
        for (number, mut section) in (1..).zip(section.tables("flow", what)) {
            let id = section.text("id");
            if let Some(id) = &id {
                section.what = format!("flow {}", id.text);
                self.unique_flow(id);
            }
            let id = id.map_or_else(|| format!("{}/{number}", here.name), |id| id.text.to_owned());
            let flow = self.flow(id, &mut section, here);
            section.finish();
            self.declared.flows.push(flow);
        }
    }

    fn unique_flow(&self, id: &Word<'_>) {
        let first = self.declared.flows.iter().find(|flow| flow.id == id.text);
        let of = first.and_then(|flow| self.declared.conduits.get(usize::from(flow.conduit)));
        if let Some(of) = of {
            let message = format!("flow id `{}` is used twice: in conduit {} already", id.text, of.name);
            self.problems.error(span_of(id), message, "give each flow an id of its own");
        }
    }

    fn flow(&self, id: String, section: &mut Section<'t>, here: &Here<'_>) -> Flow {
        section.missing("from", "who may ask: from = [\"SCADA-1\"]");
        section.missing("to", "who may be asked: to = [\"PLC-BRIDGE\"]");
        section.missing("protocol", "what may be spoken: protocol = \"modbus\"");
        let (from, _) = self.endpoints(section, "from", here);
        let (to, sound) = self.endpoints(section, "to", here);
        let (protocol, ports) = self.spoken(section).unwrap_or((Spoken::Any, Ports::Any));
        let allow = self.allow(section, &protocol, if sound { &to } else { &[] }, here);
        Flow {
            id,
            conduit: here.index,
            from,
            to,
            protocol,
            ports,
            allow,
            expect_every: section.parsed("expect_every", values::duration),
            schedule: section.text("schedule").and_then(|word| self.schedule_ref(&word)),
            requires_grant: section.flag("requires_grant").unwrap_or(false),
            max_session: section.parsed("max_session", values::duration),
            s7: section.s7_session(),
            opcua: section.opcua_session(),
            tls_min_version: section.tls(),
        }
    }

    fn schedule_ref(&self, word: &Word<'_>) -> Option<u16> {
        self.refer(word, "schedule", self.declared.schedules.iter().map(|schedule| schedule.name.as_str()))
    }

    /// The hosts under a key, and whether every one of them is known.
    fn endpoints(&self, section: &mut Section<'t>, key: &'static str, here: &Here<'_>) -> (Vec<Endpoint>, bool) {
        let words = section.texts(key);
        let endpoints: Vec<Endpoint> = words.iter().filter_map(|word| self.endpoint(word, here)).collect();
        let sound = endpoints.len() == words.len();
        (endpoints, sound)
    }

    /// An asset, `zone:NAME`, an address or network, or `any`.
    fn endpoint(&self, word: &Word<'_>, here: &Here<'_>) -> Option<Endpoint> {
        if word.text == "any" {
            return Some(Endpoint::Any);
        }
        if let Some(name) = word.text.strip_prefix("zone:") {
            let zone = self.zone_ref(&Word { text: name, span: word.span.clone() })?;
            self.must_connect(word, zone, here);
            return Some(Endpoint::Zone(zone));
        }
        let is_asset = self.declared.assets.iter().any(|asset| asset.name == word.text);
        let numeric = word.text.contains([':', '/']) || word.text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if numeric && !is_asset {
            return self.literal(word, here);
        }
        let asset = self.endpoint_asset(word)?;
        let zone = self.declared.assets.get(usize::from(asset))?.zone;
        self.must_connect(word, zone, here);
        Some(Endpoint::Asset(asset))
    }

    /// An asset by name; where a zone has that name, the help says how a zone is written.
    fn endpoint_asset(&self, word: &Word<'_>) -> Option<u16> {
        if self.declared.zones.iter().any(|zone| zone.name == word.text)
            && !self.declared.assets.iter().any(|asset| asset.name == word.text)
        {
            let message = format!("`{}` is a zone, not an asset", word.text);
            self.problems.error(span_of(word), message, format!("write \"zone:{}\"", word.text));
            return None;
        }
        self.asset_ref(word)
    }

    fn must_connect(&self, word: &Word<'_>, zone: u16, here: &Here<'_>) {
        let known = usize::from(zone) < self.declared.zones.len();
        if here.zones.contains(&zone) || here.zones.is_empty() || !known {
            return;
        }
        let connected = words::list(here.zones.iter().map(|&zone| self.zone_name(zone)));
        let message = format!("`{}` is in zone {}, which conduit {} does not connect", word.text, self.zone_name(zone), here.name);
        let help = format!("the conduit connects {connected}: name a host there, or add {} to its zones", self.zone_name(zone));
        self.problems.error(span_of(word), message, help);
    }

    fn literal(&self, word: &Word<'_>, here: &Here<'_>) -> Option<Endpoint> {
        let parsed = values::network(word.text);
        let network = parsed.map_err(|(message, help)| self.problems.error(span_of(word), message, help)).ok()?;
        let zones = || here.zones.iter().filter_map(|&zone| self.declared.zones.get(usize::from(zone)));
        let inside = zones().any(|zone| zone.networks.is_empty() || zone.networks.iter().any(|of| of.contains(&network)));
        if !inside && !here.zones.is_empty() {
            let message = format!("`{}` lies in no zone of conduit {}", word.text, here.name);
            let connected = words::list(zones().map(|zone| zone.name.as_str()));
            self.problems.error(span_of(word), message, format!("the conduit connects {connected}: name a host in their networks"));
        }
        Some(Endpoint::Network(network))
    }

    /// `protocol` and `port`.
    fn spoken(&self, section: &mut Section<'t>) -> Option<(Spoken, Ports)> {
        let expected = "a port, a range such as \"5000-5010\", \"any\", or a list of ports";
        let written = section.tokens("port", expected);
        let (spoken, ports) = section.parsed("protocol", protocol)?;
        if matches!(&spoken, Spoken::Carried(text) if words::doors_of("modbus").iter().any(|&door| words::door_name(door) == *text)) {
            let message = format!("`{}` does not permit Modbus, which is decoded and must be named", spoken.name());
            self.problems.warning(section.span_of("protocol"), message, "write protocol = \"modbus\" if that is what is meant");
        }
        if written.is_empty() {
            return Some((spoken, ports));
        }
        let ports = self.ports(section, &spoken, ports, &written);
        Some((spoken, ports))
    }

    fn ports(&self, section: &Section<'t>, spoken: &Spoken, own: Ports, written: &[(String, Span)]) -> Ports {
        let carriers = carriers(&own);
        let numbered = |carrier: &&Carrier| matches!(carrier, Carrier::Tcp | Carrier::Udp);
        let says_port = matches!(spoken, Spoken::Carried(text) if text.contains('/'));
        if says_port || !carriers.iter().any(|carrier| numbered(&carrier)) {
            let message = format!("`{}` takes no `port`", spoken.name());
            let help = if says_port { "it is part of `protocol` already: remove `port`" } else { "remove `port`" };
            self.problems.error(section.span_of("port"), message, help);
            return own;
        }
        let mut doors = Vec::new();
        for (text, span) in written {
            let Some((first, last)) = section.parse(&Word { text, span: span.clone() }, port) else { continue };
            doors.extend(carriers.iter().filter(numbered).map(|&carrier| (carrier, first, last)));
        }
        Ports::Doors(doors)
    }

    fn allow(&self, section: &mut Section<'t>, protocol: &Spoken, to: &[Endpoint], here: &Here<'_>) -> Vec<Allow> {
        let judged = match protocol {
            Spoken::Named(name) => words::has_operations(name),
            Spoken::Any => section.has("protocol"),
            Spoken::Carried(_) => false,
        };
        if judged {
            section.missing("allow", "what may be done: allow = [{ op = \"read\" }]");
        }
        let what = format!("allow of {}", section.what);
        let span = section.span_of("allow");
        let entries = section.tables("allow", what);
        if judged && section.has("allow") && entries.is_empty() {
            let message = format!("{} allows nothing", section.what);
            self.problems.error(span, message, "write allow = [{ op = \"read\" }], or remove the flow");
        }
        entries.into_iter().map(|entry| self.allow_entry(entry, protocol, to, here)).collect()
    }

    fn allow_entry(&self, mut entry: Section<'t>, protocol: &Spoken, to: &[Endpoint], here: &Here<'_>) -> Allow {
        let classes = self.classes(&mut entry);
        let functions = self.functions(&mut entry, protocol, classes);
        if !entry.has("functions") {
            entry.missing("op", "what may be done: op = \"read\"");
        }
        let points = entry.texts("points");
        let points = points.iter().filter_map(|word| self.usable_point(word, protocol, to, here)).collect();
        let allow = Allow {
            classes: if classes.is_empty() && entry.has("functions") { Classes::all() } else { classes },
            functions,
            points,
            registers: self.inline(&mut entry, protocol),
            s7: entry.s7_bytes(),
            nodes: entry.nodes().unwrap_or_default(),
            rate: entry.parsed("rate", values::rate),
            blocks: owned(entry.texts("blocks")),
            actions: owned(entry.texts("actions")),
        };
        self.empty_list(&entry);
        self.foreign_places(&entry, protocol);
        entry.finish();
        allow
    }

    /// `points = []` would read as "no points" and act as "every address".
    fn empty_list(&self, entry: &Section<'t>) {
        for key in ["op", "points", "functions", "blocks", "actions"] {
            if entry.is_empty_list(key) {
                let message = format!("`{key}` of {} is an empty list", entry.what);
                self.problems.error(entry.span_of(key), message, format!("remove `{key}` to permit all of them, or name one"));
            }
        }
    }

    /// What restricts another protocol's operations restricts nothing here.
    fn foreign_places(&self, entry: &Section<'t>, protocol: &Spoken) {
        let Spoken::Named(name) = protocol else { return };
        let s7 = matches!(*name, "s7comm" | "s7commplus");
        for (key, fits) in [("s7", s7), ("blocks", s7), ("actions", s7), ("opcua", *name == "opcua")] {
            if entry.has(key) && !fits {
                let message = format!("`{key}` does not apply to protocol {name}");
                self.problems.error(entry.span_of(key), message, format!("remove `{key}`, or correct the protocol"));
            }
        }
    }

    fn classes(&self, entry: &mut Section<'t>) -> Classes {
        let mut classes = Classes::NONE;
        for word in entry.texts("op") {
            match Classes::from_word(word.text) {
                Some(more) => classes = classes.with(more),
                None => {
                    let help = values::suggestion(word.text, &words::operation_words());
                    self.problems.error(span_of(&word), format!("unknown operation `{}`", word.text), help);
                }
            }
        }
        classes
    }

    fn functions(&self, entry: &mut Section<'t>, protocol: &Spoken, classes: Classes) -> Vec<FunctionRef> {
        let tokens = entry.tokens("functions", "a function's name or number, or a list of them");
        tokens.iter().filter_map(|(text, span)| self.function(text, span, protocol, classes)).collect()
    }

    fn function(&self, text: &str, span: &Span, protocol: &Spoken, classes: Classes) -> Option<FunctionRef> {
        if let Ok(code) = text.parse::<u32>() {
            return Some(FunctionRef::Code(code));
        }
        let protocols = match protocol {
            Spoken::Named(name) => vec![*name],
            Spoken::Any => words::protocol_names(),
            Spoken::Carried(_) => Vec::new(),
        };
        let known = || protocols.iter().flat_map(|of| words::functions_of(of));
        match known().find(|function| function.name == text) {
            Some(function) if !classes.is_empty() && !classes.contains(function.class) => {
                let class = function.class.name();
                let message = format!("`{text}` is of class {class}, which `op` does not include");
                self.problems.error(span.clone(), message, format!("add \"{class}\" to `op`, or remove `op`"));
                None
            }
            None if known().next().is_some() => {
                let help = function_help(text, &protocols);
                self.problems.error(span.clone(), format!("unknown function `{text}`"), help);
                None
            }
            _ => Some(FunctionRef::Name(text.to_owned())),
        }
    }

    fn inline(&self, entry: &mut Section<'t>, protocol: &Spoken) -> Option<Registers> {
        let registers = entry.registers()?;
        self.place_fits(&Location::Modbus(registers.clone()), entry.span_of("modbus"), protocol);
        Some(registers)
    }

    /// A point that this flow may name: of an asset in `to`, in the protocol's own terms.
    fn usable_point(&self, word: &Word<'_>, protocol: &Spoken, to: &[Endpoint], here: &Here<'_>) -> Option<u16> {
        if self.failed_points.contains(&word.text) {
            return None;
        }
        let at = self.refer(word, "point", self.declared.points.iter().map(|point| point.name.as_str()))?;
        let point = self.declared.points.get(usize::from(at))?;
        let asset = self.declared.assets.get(usize::from(point.asset))?;
        let held = to.iter().any(|endpoint| match endpoint {
            Endpoint::Asset(asset) => *asset == point.asset,
            Endpoint::Zone(zone) => *zone == asset.zone,
            Endpoint::Network(network) => asset.ip.iter().any(|ip| network.contains(ip)),
            Endpoint::Any => here.zones.is_empty() || here.zones.contains(&asset.zone),
        });
        if !held && !to.is_empty() {
            let message = format!("point `{}` is of asset {}, which is not in `to`", word.text, self.asset_name(point.asset));
            let own = self.declared.points.iter().filter(|one| to.contains(&Endpoint::Asset(one.asset)));
            let help = match words::list(own.map(|one| one.name.as_str())) {
                none if none.is_empty() => "name a point of an asset in `to`".to_owned(),
                names => format!("points of the assets in `to` are: {names}"),
            };
            self.problems.error(span_of(word), message, help);
        }
        self.place_fits(&point.place, word.span.clone(), protocol);
        Some(at)
    }

    fn place_fits(&self, place: &Location, span: Span, protocol: &Spoken) {
        let fits = match protocol {
            Spoken::Named(name) => speaks(place, name),
            Spoken::Any => true,
            Spoken::Carried(_) => false,
        };
        if !fits {
            let message = format!("a place written as `{}` does not apply to protocol {}", place_word(place), protocol.name());
            self.problems.error(span, message, "name a place of this protocol, or correct the protocol");
        }
    }
}

/// Every carrier among the doors; of `any`, those that have ports.
fn carriers(ports: &Ports) -> Vec<Carrier> {
    let Ports::Doors(doors) = ports else { return vec![Carrier::Tcp, Carrier::Udp] };
    let mut carriers: Vec<Carrier> = Vec::new();
    for &(carrier, _, _) in doors {
        if !carriers.contains(&carrier) {
            carriers.push(carrier);
        }
    }
    carriers
}

/// `modbus`, `ntp`, `tcp`, `tcp/443`, `udp/5000-5010`, `ip/47`, `ethernet/0x8892`, `any`; with where it is reached.
fn protocol(text: &str) -> Result<(Spoken, Ports), (String, String)> {
    if text == "any" {
        return Ok((Spoken::Any, Ports::Any));
    }
    if let Some(name) = words::protocol_name(text) {
        let doors = words::doors_of(name).into_iter().map(|(carrier, port)| (carrier, port, port));
        return Ok((Spoken::Named(name), Ports::Doors(doors.collect())));
    }
    let carried = |door| Ok((Spoken::Carried(text.to_owned()), Ports::Doors(vec![door])));
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
    let known = words::protocol_names();
    match words::nearest(text, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? Protocols are written by name, {forms}"),
        None => format!("known names are: {}; {forms}", words::list(known)),
    }
}

/// `502`, `5000-5010`, `any`: first and last port.
fn port(text: &str) -> Result<(u16, u16), (String, String)> {
    if text == "any" {
        return Ok((1, u16::MAX));
    }
    match values::range(text) {
        Ok((first, last)) if first > 0 => Ok((first, last)),
        Ok(_) => Err((format!("port `{text}`: there is no port 0"), "write a port from 1 to 65535, or \"any\"".into())),
        Err(_) => Err((format!("`{text}` is not a port"), "write a port from 1 to 65535, \"5000-5010\", or \"any\"".into())),
    }
}

impl Section<'_> {
    fn word_of(&mut self, key: &'static str, what: &str, known: &[&'static str]) -> Option<&'static str> {
        self.parsed(key, |text| values::one_of(text, what, known))
    }

    fn s7_session(&mut self) -> Option<S7Session> {
        let what = format!("s7 of {}", self.what);
        let mut section = self.table("s7", what)?;
        let session = S7Session {
            connection: section.word_of("connection", "a connection type", &["PG", "OP", "BASIC"]),
            rack: section.small("rack", 0..=7),
            slot: section.small("slot", 0..=31),
            password: section.word_of("password", "a rule for passwords", &["required", "forbidden", "optional"]),
        };
        section.finish();
        Some(session)
    }

    fn opcua_session(&mut self) -> Option<OpcUaSession> {
        let what = format!("opcua of {}", self.what);
        let mut section = self.table("opcua", what)?;
        let kinds = ["anonymous", "username", "certificate", "issued-token"];
        let identity = section.texts("identity");
        let identity = identity.iter().filter_map(|word| {
            section.parse(word, |text| values::one_of(text, "a kind of identity", &kinds))
        });
        let identity = identity.collect();
        let mut session = OpcUaSession {
            min_mode: section.word_of("min_mode", "a message security mode", &["None", "Sign", "SignAndEncrypt"]),
            policies: owned(section.texts("policies")),
            identity,
            client_uris: owned(section.texts("client_uris")),
            min_rsa_bits: None,
            forbid_sha1: false,
            warn_before_expiry: None,
        };
        if let Some(mut cert) = section.table("cert", "cert of opcua") {
            session.min_rsa_bits = cert.small("min_rsa_bits", 1024..=16_384);
            session.forbid_sha1 = cert.flag("forbid_sha1").unwrap_or(false);
            session.warn_before_expiry = cert.parsed("warn_before_expiry", values::duration);
            cert.finish();
        }
        section.finish();
        Some(session)
    }

    fn tls(&mut self) -> Option<&'static str> {
        let what = format!("tls of {}", self.what);
        let mut section = self.table("tls", what)?;
        let version = section.word_of("min_version", "a version of TLS", &["1.0", "1.1", "1.2", "1.3"]);
        section.finish();
        version
    }
}
