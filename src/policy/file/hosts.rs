//! Zones, assets, suppliers, schedules and sensors.

use std::net::IpAddr;

use super::super::model::{Asset, Schedule, Sensor, Supplier, Zone};
use super::super::section::{Section, Word};
use super::super::values;
use super::{CRITICALITY, Walk, claim, index, owned, span_of};

impl<'t> Walk<'t> {
    pub(super) fn zones(&mut self, root: &mut Section<'t>) {
        root.missing("zone", "a zone: [zone.Z-LOCK] with networks = [\"10.20.10.0/24\"]");
        for (name, mut section) in self.named(root, "zone") {
            let before = self.problems.errors();
            let zone = self.zone(&name, &mut section);
            section.finish();
            if self.problems.errors() > before {
                self.invalid_zones.push(index(self.declared.zones.len()));
            }
            self.declared.zones.push(zone);
        }
    }

    fn zone(&mut self, name: &Word<'t>, section: &mut Section<'t>) -> Zone {
        if name.text == "unknown" {
            self.problems.error(span_of(name), "`unknown` is the zone of hosts in no zone", "choose another name");
        }
        let mut notes = section.notes(
            &["name", "function", "accountable", "boundary_physical", "safety"],
            &["access_physical", "policies", "assumptions"],
            &[],
        );
        notes.0.extend(section.chosen("criticality", "a criticality", &CRITICALITY));
        let zone = Zone {
            name: name.text.to_owned(),
            networks: self.zone_networks(section),
            vlans: self.zone_vlans(section),
            macs: self.zone_hardware(section),
            external: section.flag("external").unwrap_or(false),
            sl_t: section.security_level(),
            notes,
        };
        if !["networks", "vlans", "macs"].into_iter().any(|key| section.has(key) && !section.is_empty_list(key)) {
            let message =
                format!("nothing can be in zone `{}`: it has no networks, VLANs or hardware addresses", name.text);
            self.problems.advise(span_of(name), message, "add networks = [\"10.20.10.0/24\"]");
        }
        zone
    }

    fn zone_networks(&mut self, section: &mut Section<'t>) -> Vec<ipnet::IpNet> {
        let here = index(self.declared.zones.len());
        let mut networks = Vec::new();
        for word in section.texts("networks") {
            let Some(network) = section.parse(&word, values::network) else { continue };
            networks.push(network);
            if let Some(first) = claim(&mut self.networks, network, here) {
                self.taken(&word, &section.what, "network", first, here);
            }
        }
        networks
    }

    fn zone_vlans(&mut self, section: &mut Section<'t>) -> Vec<u16> {
        let here = index(self.declared.zones.len());
        let mut vlans = Vec::new();
        for (number, span) in section.integers("vlans", &(1..=4094)) {
            let vlan = u16::try_from(number).unwrap_or_default();
            vlans.push(vlan);
            let text = number.to_string();
            let word = Word { text: &text, span };
            if let Some(first) = claim(&mut self.vlans, vlan, here) {
                self.taken(&word, &section.what, "VLAN", first, here);
            }
        }
        vlans
    }

    fn zone_hardware(&mut self, section: &mut Section<'t>) -> Vec<[u8; 6]> {
        let here = index(self.declared.zones.len());
        let mut macs = Vec::new();
        for word in section.texts("macs") {
            let Some(mac) = section.parse(&word, values::mac) else { continue };
            macs.push(mac);
            if let Some(first) = claim(&mut self.zone_macs, mac, here) {
                self.taken(&word, &section.what, "hardware address", first, here);
            }
        }
        macs
    }

    /// Reports what two zones declare: membership would depend on their order.
    fn taken(&self, word: &Word<'_>, what: &str, kind: &str, first: u16, here: u16) {
        let other = if first == here { "here already" } else { self.zone_name(first) };
        let message = format!("{kind} `{}` of {what} is declared twice: {other}", word.text);
        self.problems.error(span_of(word), message, "a host can be in one zone only: remove one of the two");
    }

    /// Warns of a zone without conduits and assets: it has no effect, or was left out of a conduit by mistake.
    pub(super) fn unused_zones(&self, root: &Section<'t>) {
        let is_used = |zone: u16| {
            let of_conduits = self.declared.conduits.iter().flat_map(|conduit| &conduit.zones);
            of_conduits.chain(self.declared.assets.iter().map(|asset| &asset.zone)).any(|&used| used == zone)
        };
        let names = (0..).zip(&self.declared.zones).filter(|(zone, _)| !is_used(*zone));
        for (_, zone) in names {
            let message = format!("zone `{}` is not used: no conduit connects it, and no asset is in it", zone.name);
            let help = "name it in `zones` of a conduit, or remove it: as it is, all traffic between it and other zones \
                        is a violation";
            self.problems.advise(root.span_below("zone", &zone.name), message, help);
        }
    }

    pub(super) fn assets(&mut self, root: &mut Section<'t>) {
        for (name, mut section) in self.named(root, "asset") {
            let before = self.problems.errors();
            let asset = self.asset(&name, &mut section);
            section.finish();
            if self.problems.errors() > before || asset.zone == u16::MAX {
                self.invalid_assets.push(index(self.declared.assets.len()));
            }
            self.declared.assets.push(asset);
        }
    }

    fn asset(&mut self, name: &Word<'t>, section: &mut Section<'t>) -> Asset {
        section.missing("zone", "the zone it is in: zone = \"Z-LOCK\"");
        let zone = section.text("zone").and_then(|word| self.zone_ref(&word));
        let mut notes = section.notes(
            &["role", "vendor", "product", "firmware_expected", "owner", "opcua_application_uri"],
            &[],
            &[],
        );
        notes.0.extend(section.chosen("criticality", "a criticality", &CRITICALITY));
        let forwards = notes.text("role").is_some_and(|role| FORWARDING_ROLES.contains(&role));
        let asset = Asset {
            name: name.text.to_owned(),
            zone: zone.unwrap_or(u16::MAX),
            ip: self.asset_addresses(section, zone),
            mac: self.asset_hardware(section),
            is_router: section.flag("router").unwrap_or(forwards),
            supplier: section.text("supplier").and_then(|word| self.supplier_ref(&word)),
            silent_after: section.parsed("silent_after", values::duration),
            services: self.services(section),
            notes,
        };
        if !section.has("ip") && !section.has("mac") {
            let message = format!("asset `{}` cannot be recognised: it has no addresses", name.text);
            self.problems.advise(span_of(name), message, "add ip = [\"10.20.10.11\"] or mac = [\"00:1b:1b:10:20:11\"]");
        }
        if asset.is_router && asset.mac.is_empty() && section.has("router") {
            self.problems.advise(
                section.span_of("router"),
                format!("router `{}` cannot be recognised: what it forwards bears its hardware address", name.text),
                "add mac = [\"00:1b:1b:10:20:11\"], one for each interface that the sensor sees",
            );
        }
        asset
    }

    fn asset_addresses(&mut self, section: &mut Section<'t>, zone: Option<u16>) -> Vec<IpAddr> {
        let here = index(self.declared.assets.len());
        let mut addresses = Vec::new();
        for word in section.texts("ip") {
            let Some(address) = section.parse(&word, values::address) else { continue };
            addresses.push(address);
            self.within_zone(&word, address, zone);
            if let Some(first) = claim(&mut self.addresses, address, here) {
                self.taken_address(&word, first);
            }
        }
        addresses
    }

    fn asset_hardware(&mut self, section: &mut Section<'t>) -> Vec<[u8; 6]> {
        let here = index(self.declared.assets.len());
        let mut macs = Vec::new();
        for word in section.texts("mac") {
            let Some(mac) = section.parse(&word, values::mac) else { continue };
            macs.push(mac);
            if let Some(first) = claim(&mut self.asset_macs, mac, here) {
                self.taken_address(&word, first);
            }
        }
        macs
    }

    fn taken_address(&self, word: &Word<'_>, first: u16) {
        let owner = self.declared.assets.get(usize::from(first)).map_or("this asset", |asset| &asset.name);
        let message = format!("`{}` is declared twice: it belongs to `{owner}` already", word.text);
        self.problems.error(span_of(word), message, "an address can belong to one asset only: remove one of the two");
    }

    /// Reports an address outside the networks of its asset's zone, or in a narrower network of another zone.
    fn within_zone(&self, word: &Word<'_>, address: IpAddr, zone: Option<u16>) {
        let Some(zone) = zone.filter(|zone| !self.invalid_zones.contains(zone)) else { return };
        let holding = self.networks.iter().filter(|(network, _)| network.contains(&address));
        let found = holding.max_by_key(|(network, _)| network.prefix_len()).map(|&(_, zone)| zone);
        let has_networks = self.networks.iter().any(|&(_, of)| of == zone);
        let (message, help) = match found {
            Some(found) if found != zone => (
                format!("`{}` lies in zone {}, not in {}", word.text, self.zone_name(found), self.zone_name(zone)),
                format!("write zone = \"{}\", or correct the address", self.zone_name(found)),
            ),
            None if has_networks => (
                format!("`{}` lies outside the networks of zone {}", word.text, self.zone_name(zone)),
                format!("correct the address, or add its network to [zone.{}]", self.zone_name(zone)),
            ),
            _ => return,
        };
        self.problems.error(span_of(word), message, help);
    }

    /// Reads `services`, a list of `protocol/port`.
    fn services(&self, section: &mut Section<'t>) -> Vec<String> {
        let words = section.texts("services");
        for word in &words {
            section.parse(word, values::service);
        }
        owned(words)
    }

    pub(super) fn suppliers(&mut self, root: &mut Section<'t>) {
        for (name, mut section) in self.named(root, "supplier") {
            let notes = section.notes(&["name", "contract", "contact"], &[], &[]);
            section.finish();
            self.declared.suppliers.push(Supplier { name: name.text.to_owned(), notes });
        }
    }

    pub(super) fn schedules(&mut self, root: &mut Section<'t>) {
        for (name, mut section) in self.named(root, "schedule") {
            for key in ["days", "from", "to"] {
                section.missing(key, "days = [\"Tue\"], from = \"22:00\" and to = \"04:00\"");
            }
            let days = section.texts("days");
            let schedule = Schedule {
                name: name.text.to_owned(),
                days: days.iter().filter_map(|word| section.parse(word, values::weekday)).collect(),
                from: section.parsed("from", values::time_of_day).unwrap_or_default(),
                to: section.parsed("to", values::time_of_day).unwrap_or_default(),
                needs_ticket: section.flag("needs_ticket").unwrap_or(false),
            };
            section.finish();
            self.declared.schedules.push(schedule);
        }
    }

    pub(super) fn sensors(&mut self, root: &mut Section<'t>) {
        for (name, mut section) in self.named(root, "sensor") {
            let sensor = Sensor {
                name: name.text.to_owned(),
                notes: section.notes(&["tap"], &[], &[]),
                mirror_vlans: mirror_vlans(&mut section),
                sees_zones: section.texts("sees_zones").iter().filter_map(|word| self.zone_ref(word)).collect(),
                sees_conduits: section
                    .texts("sees_conduits")
                    .iter()
                    .filter_map(|word| self.conduit_ref(word))
                    .collect(),
                max_capture_loss: self.share(&mut section),
                max_clock_offset_ms: section.integer_in("max_clock_offset_ms", 0..=3_600_000),
            };
            section.finish();
            self.declared.sensors.push(sensor);
        }
    }

    pub(super) fn conduit_ref(&self, word: &Word<'_>) -> Option<u16> {
        self.refer(word, "conduit", self.declared.conduits.iter().map(|conduit| conduit.name.as_str()))
    }

    fn share(&self, section: &mut Section<'t>) -> Option<f64> {
        let share = section.number("max_capture_loss")?;
        if (0.0..=1.0).contains(&share) {
            return Some(share);
        }
        let message = format!("a loss of {share} is not between 0 and 1");
        self.problems.error(section.span_of("max_capture_loss"), message, "write a number from 0 to 1, such as 0.001");
        None
    }
}

fn mirror_vlans(section: &mut Section<'_>) -> Vec<u16> {
    let vlans = section.integers("mirror_vlans", &(1..=4094));
    vlans.into_iter().filter_map(|(vlan, _)| u16::try_from(vlan).ok()).collect()
}

/// The values of `role` that imply `router = true`.
const FORWARDING_ROLES: [&str; 2] = ["router", "firewall"];
