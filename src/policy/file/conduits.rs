//! Conduits and their flows.

use super::super::Conditions;
use super::super::dialect::{DIALECTS, SessionOptions};
use super::super::model::{Conduit, DeclaredProtocol, Endpoint, Flow, Ports};
use super::super::section::{Section, Span, Word};
use super::super::{services, values};
use super::{Walk, index, span_of};
use crate::document::suggest::list;

/// The conduit that is being read.
pub(super) struct ConduitScope<'a> {
    index: u16,
    /// The zones that it connects; empty if one of them is unknown, so that this causes no errors about hosts.
    pub(super) zones: &'a [u16],
    name: &'a str,
}

impl<'t> Walk<'t> {
    pub(super) fn conduits(&mut self, root: &mut Section<'t>) {
        for (name, mut section) in self.named(root, "conduit") {
            section.missing("zones", "the zones it connects: zones = [\"Z-SCADA\", \"Z-LOCK\"]");
            let before = self.problems.errors();
            let words = section.texts("zones");
            let zones: Vec<u16> = words.iter().filter_map(|word| self.zone_ref(word)).collect();
            let sound = self.problems.errors() == before && zones.len() == words.len();
            let conduit = Conduit {
                name: name.text.to_owned(),
                zones: zones.clone(),
                sl_t: section.security_level(),
                notes: section.notes(
                    &["owner", "purpose", "justification", "risk_ref"],
                    &["controls"],
                    &["reviewed_on"],
                ),
            };
            let scope = ConduitScope {
                index: index(self.declared.conduits.len()),
                zones: if sound { &zones } else { &[] },
                name: name.text,
            };
            self.declared.conduits.push(conduit);
            self.flows(&mut section, &scope);
            section.finish();
        }
    }

    /// Reports `[[flow]]`, a flow that names no conduit. Its contents are skipped, and references to flows are not reported.
    pub(super) fn flows_without_conduit(&self, root: &mut Section<'t>) {
        if !root.has("flow") {
            return;
        }
        let span = root.span_of("flow");
        root.ignore("flow");
        self.problems.fail("flow", None);
        let before = root.named_before("conduit", span.start);
        let path = format!("conduit.{}.flow", before.as_deref().unwrap_or("NAME"));
        let message = "a flow belongs to a conduit, but this one does not name it";
        self.problems.error(span, message, format!("write [[{path}]], with two brackets on each side"));
    }

    fn flows(&mut self, section: &mut Section<'t>, scope: &ConduitScope<'_>) {
        let what = format!("a flow of {}", scope.name);
        let first = self.declared.flows.len();
        let mut everything = Vec::new();
        for (number, mut section) in (1..).zip(section.tables("flow", what)) {
            let id = section.text("id");
            if let Some(id) = &id {
                section.what = format!("flow {}", id.text);
                self.unique_flow(id);
            }
            let id = id.map_or_else(|| format!("{}/{number}", scope.name), |id| id.text.to_owned());
            let (flow, any) = self.flow(id, &mut section, scope);
            section.finish();
            everything.extend(any.map(|span| (self.declared.flows.len(), span)));
            self.declared.flows.push(flow);
        }
        self.pointless_flows(first, &everything);
    }

    fn unique_flow(&self, id: &Word<'_>) {
        let first = self.declared.flows.iter().find(|flow| flow.id == id.text);
        let of = first.and_then(|flow| self.declared.conduits.get(usize::from(flow.conduit)));
        if let Some(of) = of {
            let message = format!("flow id `{}` is used twice: in conduit {} already", id.text, of.name);
            self.problems.error(span_of(id), message, "give each flow an id of its own");
        }
    }

    /// Reads a flow. Also returns the span of an entry that permits every operation.
    fn flow(&self, id: String, section: &mut Section<'t>, scope: &ConduitScope<'_>) -> (Flow, Option<Span>) {
        section.missing("from", "the clients: from = [\"SCADA-1\"]");
        section.missing("to", "the servers: to = [\"PLC-BRIDGE\"]");
        section.missing("protocol", "the protocol that it permits: protocol = \"modbus\"");
        let (from, _) = self.endpoints(section, "from", scope);
        let (to, sound) = self.endpoints(section, "to", scope);
        let declared = self.protocol_and_ports(section);
        let is_known = declared.is_some();
        let (protocol, ports) = declared.unwrap_or((DeclaredProtocol::Any, Ports::Any));
        let session = self.session_options(section, &protocol);
        let needs_allow = is_known && protocol_has_operations(&protocol);
        let (allow, any) = self.allow(section, (&protocol, needs_allow), if sound { &to } else { &[] }, scope);
        let flow = Flow {
            id,
            conduit: scope.index,
            from,
            to,
            protocol,
            ports,
            allow,
            conditions: Conditions::read(section, &self.declared),
            expect_every: section.parsed("expect_every", values::duration),
            schedule: section.text("schedule").and_then(|word| self.schedule_ref(&word)),
            requires_grant: section.flag("requires_grant").unwrap_or(false),
            max_session: section.parsed("max_session", values::duration),
            session,
            tls_min_version: section.tls(),
        };
        (flow, any)
    }

    /// Reads the session options of each dialect, under its own key.
    fn session_options(&self, section: &mut Section<'t>, protocol: &DeclaredProtocol) -> SessionOptions {
        let mut options = SessionOptions::default();
        for dialect in DIALECTS {
            if dialect.read_session(section, &mut options) && !protocol.is_of(*dialect) {
                let (key, names) = (dialect.key(), dialect.protocols());
                let message = format!("`{key}` does not apply to protocol {}", protocol.name());
                let help =
                    format!("remove `{key}`, or write protocol = \"{}\"", names.first().copied().unwrap_or_default());
                self.problems.error(section.span_of(key), message, help);
            }
        }
        options
    }

    fn schedule_ref(&self, word: &Word<'_>) -> Option<u16> {
        self.refer(word, "schedule", self.declared.schedules.iter().map(|schedule| schedule.name.as_str()))
    }

    /// Reads the hosts under a key. Also returns whether all of them are known.
    fn endpoints(
        &self,
        section: &mut Section<'t>,
        key: &'static str,
        scope: &ConduitScope<'_>,
    ) -> (Vec<Endpoint>, bool) {
        let words = section.texts(key);
        let endpoints: Vec<Endpoint> = words.iter().filter_map(|word| self.endpoint(word, scope)).collect();
        let sound = endpoints.len() == words.len();
        (endpoints, sound)
    }

    /// Resolves an asset, `zone:NAME`, an address or network, or `any`.
    fn endpoint(&self, word: &Word<'_>, scope: &ConduitScope<'_>) -> Option<Endpoint> {
        if word.text == "any" {
            return Some(Endpoint::Any);
        }
        if let Some(name) = word.text.strip_prefix("zone:") {
            let zone = self.zone_ref(&Word { text: name, span: word.span.clone() })?;
            self.require_connected(word, zone, scope);
            return Some(Endpoint::Zone(zone));
        }
        let is_asset = self.declared.assets.iter().any(|asset| asset.name == word.text);
        let numeric = word.text.contains([':', '/']) || word.text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if numeric && !is_asset {
            return self.parse_network_endpoint(word, scope);
        }
        let asset = self.endpoint_asset(word)?;
        let zone = self.declared.assets.get(usize::from(asset))?.zone;
        self.require_connected(word, zone, scope);
        Some(Endpoint::Asset(asset))
    }

    /// Resolves an asset. If a zone has the name, the help shows how to write a zone.
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

    /// Reports a host or zone that the conduit does not connect.
    fn require_connected(&self, word: &Word<'_>, zone: u16, scope: &ConduitScope<'_>) {
        let known = usize::from(zone) < self.declared.zones.len();
        if scope.zones.contains(&zone) || scope.zones.is_empty() || !known {
            return;
        }
        let connected = list(scope.zones.iter().map(|&zone| self.zone_name(zone)));
        let message = format!(
            "`{}` is in zone {}, which conduit {} does not connect",
            word.text,
            self.zone_name(zone),
            scope.name
        );
        let help = format!(
            "the conduit connects {connected}: name a host there, or add {} to its zones",
            self.zone_name(zone)
        );
        self.problems.error(span_of(word), message, help);
    }

    /// Reads an address or network, and reports one outside the zones of the conduit. Networks of a zone with errors are not
    /// checked.
    fn parse_network_endpoint(&self, word: &Word<'_>, scope: &ConduitScope<'_>) -> Option<Endpoint> {
        let parsed = values::network(word.text);
        let network = parsed.map_err(|(message, help)| self.problems.error(span_of(word), message, help)).ok()?;
        let zones = || scope.zones.iter().filter_map(|&zone| self.declared.zones.get(usize::from(zone)));
        if scope.zones.iter().any(|zone| self.invalid_zones.contains(zone)) {
            return Some(Endpoint::Network(network));
        }
        let inside =
            zones().any(|zone| zone.networks.is_empty() || zone.networks.iter().any(|of| of.contains(&network)));
        if !inside && !scope.zones.is_empty() {
            let message = format!("`{}` lies in no zone of conduit {}", word.text, scope.name);
            let connected = list(zones().map(|zone| zone.name.as_str()));
            self.problems.error(
                span_of(word),
                message,
                format!("the conduit connects {connected}: name a host in their networks"),
            );
        }
        Some(Endpoint::Network(network))
    }
}

/// Whether a flow of this protocol has operations for `allow` to decide about.
fn protocol_has_operations(protocol: &DeclaredProtocol) -> bool {
    match protocol {
        DeclaredProtocol::Named(name) => services::is_decoded(name),
        DeclaredProtocol::Any => true,
        DeclaredProtocol::Carried(_) => false,
    }
}
