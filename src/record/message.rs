//! The sentence of an alert: what was done, from where, and what is permitted instead.

use std::borrow::Cow;
use std::fmt::Write as _;

use lockkeeper_protocols::{Area, Class, MethodTarget, Mode, NodeTarget, Side, Target, Typed, attribute_name};

use super::key::{ProtocolLabel, end_of};
use super::{Doubt, Endpoint, Finding, FindingKind, Mismatch, OwnedOperation, OwnedValues, json};
use crate::policy::{Place, Policy};

/// The sentence of a finding, with its full stop. Names in it come from the traffic, so characters that a terminal would obey
/// are written out.
pub(super) fn message(policy: &Policy, finding: &Finding) -> String {
    let names = Names { policy, finding };
    let (what, detail) = match &finding.what {
        FindingKind::Denied(denial) => (names.action(), policy.detail(&finding.flow_verdict, denial)),
        FindingKind::RequestUnseen(denial) => {
            let permitted = policy.detail(&finding.flow_verdict, denial);
            (names.action(), format!("the answer says that it was carried out, the request was not seen; {permitted}"))
        }
        FindingKind::Certificate { denial, of, certificate } => {
            let what = format!("Certificate of {} ({})", names.name_of(*of), certificate.subject);
            (what, policy.detail(&finding.flow_verdict, denial))
        }
        FindingKind::Malformed { name, value } => (names.action(), anomaly_text(name, *value)),
        FindingKind::Doubtful(doubt) => (names.action(), doubt_text(*doubt).into_owned()),
        FindingKind::UnknownAsset(side) => {
            let zone = policy.zone_name(end_of(finding, *side).1.zone);
            (format!("{} is not a declared asset of zone {zone}", names.host_text(*side)), names.sighting(*side))
        }
        FindingKind::Mismatch(mismatch) => names.mismatch(*mismatch),
        FindingKind::NewHost(side) => {
            let zone = policy.zone_name(end_of(finding, *side).1.zone);
            (format!("New host {} in zone {zone}", names.host_text(*side)), names.sighting(*side))
        }
        FindingKind::Identity { of, unit, field, value } => {
            let unit = unit.map(|unit| format!(" (unit {unit})")).unwrap_or_default();
            (format!("{}{unit} identifies itself", names.name_of(*of)), format!("{} {value}", spaced(field)))
        }
    };
    visible(if detail.is_empty() { format!("{what}.") } else { format!("{what}: {detail}.") })
}

/// Replaces control characters, and those that change the direction of writing, by escapes such as `\u{1b}`.
fn visible(text: String) -> String {
    let is_control = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_control) {
        return text;
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_control(letter) { shown.extend(letter.escape_unicode()) } else { shown.push(letter) }
    }
    shown
}

struct Names<'a> {
    policy: &'a Policy,
    finding: &'a Finding,
}

impl Names<'_> {
    /// The first half of a violation: `Write Single Register 40 = 900 on PLC-BRIDGE (unit 1) from JUMP-1`.
    fn action(&self) -> String {
        let (client, server) = (self.name_of(Side::Client), self.name_of(Side::Server));
        match &self.finding.operation {
            Some(operation) => {
                let mut text = title_case(operation.function);
                add_target_and_values(&mut text, operation);
                let unit = operation.target.lend(unit_of).map(|unit| format!(" (unit {unit})")).unwrap_or_default();
                format!("{text} on {server}{unit} from {client}")
            }
            None => format!("{} from {client} to {server}", self.label().title()),
        }
    }

    /// What was seen of the client, and what the policy declares.
    fn mismatch(&self, mismatch: Mismatch) -> (String, String) {
        let (policy, host) = (self.policy, self.finding.client.host);
        let mac = host.mac.map(|mac| json::Mac(mac).to_string()).unwrap_or_default();
        let ip = host.ip.map(|ip| ip.to_string()).unwrap_or_default();
        match mismatch {
            Mismatch::Hardware { asset, own_hardware_seen, forwards } => {
                let own: Vec<String> =
                    policy.hardware_of(asset).iter().map(|mac| json::Mac(*mac).to_string()).collect();
                let also = if own_hardware_seen { ", which was seen here too" } else { "" };
                let router = if forwards { "; it sends for several zones, as a router does" } else { "" };
                let what = format!("Hardware {mac} uses {ip}, the address of {}", policy.asset_name(asset));
                (what, format!("declared is {}{also}{router}", own.join(", ")))
            }
            Mismatch::Address { asset } => {
                let what = format!("{} ({mac}) uses {ip}", policy.asset_name(asset));
                (what, "the policy does not declare this address".to_owned())
            }
            Mismatch::Router => {
                let what = format!("Hardware {mac} sends for hosts of several zones, {ip} among them");
                (what, "no router with it is declared".to_owned())
            }
            Mismatch::Vlan { of, used_on_zone_vlan } => self.vlan_mismatch(of, used_on_zone_vlan),
        }
    }

    fn vlan_mismatch(&self, of: Option<u16>, used_on_zone_vlan: bool) -> (String, String) {
        let (vlan, zone) = (self.finding.client.host.vlan.unwrap_or_default(), self.finding.flow_verdict.client.zone);
        let whose = match of {
            Some(other) => format!("that of zone {}", self.policy.zone_name(Some(other))),
            None => "that of no zone".to_owned(),
        };
        let own: Vec<String> = self.policy.vlans_of(zone).iter().map(u16::to_string).collect();
        let home = if used_on_zone_vlan { ", where other hardware uses the address" } else { "" };
        let what = format!(
            "{} of zone {} is on VLAN {vlan}, {whose}",
            self.host_text(Side::Client),
            self.policy.zone_name(zone)
        );
        (what, format!("the zone declares VLAN {}{home}", own.join(", ")))
    }

    fn label(&self) -> ProtocolLabel {
        ProtocolLabel::of(self.finding.protocol, self.finding.carrier, self.finding.server.port)
    }

    fn sighting(&self, side: Side) -> String {
        let (role, other) = match side {
            Side::Client => ("client", self.name_of(Side::Server)),
            Side::Server => ("server", self.name_of(Side::Client)),
        };
        format!("seen as {role} of {other} with {}", self.label())
    }

    /// The asset's name, else its address.
    fn name_of(&self, side: Side) -> String {
        let (end, place) = end_of(self.finding, side);
        endpoint_name(self.policy, end, place)
    }

    /// Both addresses: a host without a name is found by its hardware address.
    fn host_text(&self, side: Side) -> String {
        let host = end_of(self.finding, side).0.host;
        match (host.ip, host.mac) {
            (Some(ip), Some(mac)) => format!("{ip} ({})", json::Mac(mac)),
            _ => self.name_of(side),
        }
    }
}

fn endpoint_name(policy: &Policy, end: &Endpoint, place: Place) -> String {
    match (place.asset, end.host.ip, end.host.mac) {
        (Some(asset), _, _) => policy.asset_name(asset).to_owned(),
        (None, Some(ip), _) => ip.to_string(),
        (None, None, Some(mac)) => json::Mac(mac).to_string(),
        (None, None, None) => "a host without an address".to_owned(),
    }
}

/// Appends ` 40-43 = 1, 2, 3, 4 and 6 more`.
fn add_target_and_values(text: &mut String, operation: &OwnedOperation) {
    let written = operation.target.lend(|target| add_target(text, target));
    debug_assert!(written.is_ok(), "a String takes whatever is written to it");
    if operation.class != Class::Security {
        add_values(text, &operation.values);
    }
}

fn add_target(text: &mut String, target: &Target<'_>) -> std::fmt::Result {
    match *target {
        Target::Table { address, count, .. } => add_range(text, address.into(), count.into()),
        Target::File { file, record, count, .. } => {
            write!(text, " file {file} record").and_then(|()| add_range(text, record.into(), count.into()))
        }
        Target::Memory { area, db, first, count } => add_memory(text, (area, db), first, count),
        Target::Block { kind, number: Some(number) } => write!(text, " {kind} {number}"),
        Target::Block { kind, number: None } => write!(text, " {kind}"),
        Target::Connection { kind, rack, slot } => write!(text, " as {kind} to rack {rack} slot {slot}"),
        Target::Object { object, .. } => write!(text, " object {object:#x}"),
        Target::Item { kind, number, .. } => write!(text, " {kind} {number:#x}"),
        Target::Node(target) => add_node(text, target),
        Target::Method(MethodTarget { object, method }) => write!(text, " {method} of {object}"),
        Target::Endpoint { url } => write!(text, " {}", String::from_utf8_lossy(url)),
        Target::Channel { mode, policy } => write!(text, " with mode {} and policy {policy}", mode_name(mode)),
        Target::User { kind, name: [] } => write!(text, " as {}", kind.name()),
        Target::User { kind, name } => write!(text, " as {} {}", kind.name(), String::from_utf8_lossy(name)),
        Target::Unread { part } => write!(text, " of something unread ({})", spaced(part)),
        Target::None | Target::Unit { .. } | Target::Sub { .. } => Ok(()),
    }
}

/// Appends a node. The attribute is left out if it is the value.
fn add_node(text: &mut String, target: &NodeTarget<'_>) -> std::fmt::Result {
    write!(text, " {}", target.node)?;
    if !target.range.is_empty() {
        write!(text, "[{}]", String::from_utf8_lossy(target.range))?;
    }
    match target.attribute {
        None | Some(VALUE) => Ok(()),
        Some(number) => match attribute_name(number) {
            Some(name) => write!(text, " {}", spaced(name)),
            None => write!(text, " attribute {number}"),
        },
    }
}

fn mode_name(mode: Option<Mode>) -> &'static str {
    mode.map_or("unknown", Mode::name)
}

fn add_range(text: &mut String, first: u32, count: u32) -> std::fmt::Result {
    match count {
        0 | 1 => write!(text, " {first}"),
        // A range that runs beyond the last address is written as it was requested.
        more => write!(text, " {first}-{}", u64::from(first) + u64::from(more) - 1),
    }
}

/// Appends a place in memory as engineers write it: ` DB20 byte 16-19`, ` M byte 3 bit 2`, ` T 5`.
fn add_memory(text: &mut String, (area, db): (Area, u16), first: u32, count: u32) -> std::fmt::Result {
    write!(text, " {}", area.name())?;
    if area.is_numbered() {
        return add_range(text, first, count);
    }
    if matches!(area, Area::DataBlock | Area::InstanceData) {
        write!(text, "{db}")?;
    }
    let byte = first / 8;
    if !(first.is_multiple_of(8) && count.is_multiple_of(8)) {
        write!(text, " byte {byte} bit")?;
        return add_range(text, first % 8, count);
    }
    write!(text, " byte")?;
    add_range(text, byte, count / 8)
}

fn add_values(text: &mut String, values: &OwnedValues) {
    let (shown, total): (Vec<String>, usize) = match values {
        OwnedValues::None => return,
        OwnedValues::Numbers(numbers) => (numbers.iter().take(SHOWN).map(u16::to_string).collect(), numbers.len()),
        OwnedValues::Bytes { count, bytes } => {
            (bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect(), *count)
        }
        OwnedValues::Typed { kind, count, bytes } => {
            let typed = Typed { kind: *kind, count: *count, bytes };
            (typed.iter().take(SHOWN).map(|value| value.to_string()).collect(), *count as usize)
        }
    };
    if !shown.is_empty() {
        text.push_str(" = ");
        text.push_str(&shown.join(", "));
    }
    if total > shown.len() {
        text.push_str(&format!(" and {} more", total - shown.len()));
    }
}

const fn unit_of(target: &Target<'_>) -> Option<u8> {
    match *target {
        Target::None
        | Target::Unread { .. }
        | Target::Memory { .. }
        | Target::Block { .. }
        | Target::Connection { .. }
        | Target::Object { .. }
        | Target::Item { .. }
        | Target::Node(_)
        | Target::Method(_)
        | Target::Endpoint { .. }
        | Target::Channel { .. }
        | Target::User { .. } => None,
        Target::Unit { unit } | Target::Table { unit, .. } | Target::File { unit, .. } | Target::Sub { unit, .. } => {
            Some(unit)
        }
    }
}

fn anomaly_text(name: &str, value: Option<u32>) -> String {
    let name = spaced(name);
    value.map(|value| format!("{name} ({value})")).unwrap_or(name)
}

fn doubt_text(doubt: Doubt) -> Cow<'static, str> {
    Cow::Borrowed(match doubt {
        Doubt::DifferingRepeat(_) => {
            "bytes of the stream were sent again, and differ: which of them the receiver took cannot be known"
        }
        Doubt::DataAfterEnd => "bytes were sent behind what looked like the end of the stream",
        Doubt::OverlappingFragments => {
            "fragments of a datagram overlap, and differ: what the receiver made of them cannot be known"
        }
        Doubt::GivenUp => "so much is out of order that some of it had to be given up",
        Doubt::Limit(name) => return format!("a part could not be kept or read: {}", spaced(name)).into(),
    })
}

fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

/// `write_single_register` as `Write Single Register`; abbreviations stay capital.
fn title_case(name: &str) -> String {
    name.split('_').map(title_word).collect::<Vec<_>>().join(" ")
}

fn title_word(word: &str) -> String {
    if ABBREVIATIONS.contains(&word) {
        return word.to_uppercase();
    }
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The number of the attribute Value of a node.
const VALUE: u32 = 13;
/// Most values that a message shows; the record has all of them.
const SHOWN: usize = 4;
const ABBREVIATIONS: [&str; 15] =
    ["ascii", "cotp", "cpu", "fifo", "id", "io", "led", "mei", "nak", "nc", "pi", "plc", "ssl", "szl", "umas"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Carrier;
    use crate::record::{OwnedTarget, testing};

    fn sentence(finding: &Finding) -> String {
        message(&Policy::default(), finding)
    }

    #[test]
    fn a_write_names_address_value_unit_and_both_hosts() {
        let expected = "Write Single Register 40 = 900 on 10.20.1.10 (unit 1) from 10.20.9.9";
        assert!(sentence(&testing::finding(0)).starts_with(expected));
    }

    #[test]
    fn long_ranges_are_abbreviated_and_never_wrap() {
        let mut operation = testing::write_register(65_530, 0);
        let table = lockkeeper_protocols::Table::HoldingRegister;
        operation.target = OwnedTarget::Plain(Target::Table { unit: 1, table, address: 65_530, count: 10 });
        operation.values = OwnedValues::Numbers((1..=10).collect());
        let finding = Finding { operation: Some(operation), ..testing::finding(0) };
        assert!(sentence(&finding).starts_with("Write Single Register 65530-65539 = 1, 2, 3, 4 and 6 more on "));
    }

    #[test]
    fn a_protocol_that_is_not_decoded_is_named_by_its_port() {
        let finding = Finding { operation: None, protocol: None, carrier: Carrier::Tcp, ..testing::finding(0) };
        assert!(sentence(&finding).starts_with("TCP port 502 from 10.20.9.9 to 10.20.1.10"));
    }

    #[test]
    fn a_malformed_pdu_is_shown_with_the_number_at_fault() {
        let what = FindingKind::Malformed { name: "quantity_out_of_range", value: Some(300) };
        let finding = Finding { what, operation: None, ..testing::finding(0) };
        assert_eq!(sentence(&finding), "Modbus from 10.20.9.9 to 10.20.1.10: quantity out of range (300).");
    }

    #[test]
    fn values_of_class_security_are_never_shown() {
        let operation = OwnedOperation {
            class: Class::Security,
            values: OwnedValues::Bytes { count: 6, bytes: b"secret".to_vec() },
            ..testing::write_register(0, 0)
        };
        let finding = Finding { operation: Some(operation), ..testing::finding(0) };
        assert!(!sentence(&finding).contains('='));
    }

    #[test]
    fn a_name_cannot_command_the_terminal_that_shows_it() {
        let hidden = "Pump\u{1b}[2K\r\n\u{202E}ok é".to_owned();
        let what = FindingKind::Identity { of: Side::Server, unit: None, field: "vendor", value: hidden };
        let identity = Finding { what, ..testing::finding(0) };
        let shown = r"10.20.1.10 identifies itself: vendor Pump\u{1b}[2K\u{d}\u{a}\u{202e}ok é.";
        assert_eq!(sentence(&identity), shown);
    }

    #[test]
    fn discoveries_name_the_host_and_its_zone() {
        let new = Finding { what: FindingKind::NewHost(Side::Client), ..testing::finding(0) };
        assert_eq!(
            sentence(&new),
            "New host 10.20.9.9 (00:0c:29:aa:bb:cc) in zone unknown: seen as client of 10.20.1.10 with modbus."
        );
        let value = "Schneider Electric".to_owned();
        let what = FindingKind::Identity { of: Side::Server, unit: Some(3), field: "vendor", value };
        let identity = Finding { what, ..testing::finding(0) };
        assert_eq!(sentence(&identity), "10.20.1.10 (unit 3) identifies itself: vendor Schneider Electric.");
    }
}
