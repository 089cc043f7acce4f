//! What an operation has the shape of, in MITRE ATT&CK for ICS, version 19 ids.
//!
//! An id says what the traffic looks like, not that it is malicious. Techniques that act on a host, that are wireless,
//! or that are consequences (all Impact techniques) cannot be observed on a mirror port and are never claimed.

use std::net::IpAddr;

use lockkeeper_protocols::{Area, Class, Target};

use super::{Finding, OwnedNode, OwnedNodeId, OwnedOperation, OwnedTarget, What, mapping};

/// The techniques of a finding: those of the operation first, then those of the rule.
pub(super) fn techniques(finding: &Finding) -> Vec<&'static str> {
    let mut ids: Vec<&'static str> = Vec::new();
    let mut add = |more: &[&'static str]| {
        for id in more {
            if !ids.contains(id) {
                ids.push(id);
            }
        }
    };
    let holds = |circumstance| mapping::holds(circumstance, finding);
    match &finding.what {
        What::Denied(denial) | What::Certificate { denial, .. } => {
            add(of_operation(finding));
            add(denial.rule.row().techniques(holds));
            add(of_public_client(finding));
        }
        What::RequestUnseen(denial) => {
            add(of_operation(finding));
            add(denial.rule.row().techniques(holds));
        }
        other => add(mapping::row(other).techniques(holds)),
    }
    ids
}

/// T0883, Internet Accessible Device: the client has an address that is routed on the Internet.
fn of_public_client(finding: &Finding) -> &'static [&'static str] {
    if finding.client.host.ip.is_some_and(is_public) { &["T0883"] } else { &[] }
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let reserved = a == 0 || a >= 224;
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_documentation() || shared || reserved)
        }
        // Global unicast is 2000::/3 (RFC 4291), of which 2001:db8::/32 is for documentation (RFC 3849).
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            first >> 13 == 1 && (first, second) != (0x2001, 0x0DB8)
        }
    }
}

fn of_operation(finding: &Finding) -> &'static [&'static str] {
    let Some(operation) = &finding.operation else { return &[] };
    let known = match finding.protocol {
        Some("modbus") => of_modbus(operation),
        Some("s7comm" | "s7commplus") => of_s7(operation),
        Some("opcua") => of_opcua(operation),
        _ => None,
    };
    known.unwrap_or_else(|| of_class(operation.class))
}

/// Where nothing more exact is known than the class.
const fn of_class(class: Class) -> &'static [&'static str] {
    match class {
        Class::Discover => &["T0846"],
        Class::Identify => &["T0888"],
        Class::Browse => &["T0861"],
        Class::Read | Class::Subscribe => &["T0801"],
        Class::Diagnostic => &["T0868"],
        Class::Write => &["T1692.001", "T0836"],
        Class::Alarm => &["T1692.001", "T0838"],
        Class::Time => &["T1692.001"],
        Class::Control => &["T1692.001", "T0858"],
        Class::ProgramUpload => &["T0845"],
        Class::Program => &["T0843", "T0889"],
        Class::Firmware => &["T1693.001", "T0800"],
        Class::Session
        | Class::Report
        | Class::DiagnosticClear
        | Class::Security
        | Class::Vendor
        | Class::Opaque
        | Class::Unknown => &[],
    }
}

/// By function code (Modbus Application Protocol V1.1b3, section 6; 9 to 14, 18, 19, 40, 125 and 126 are older ones of
/// Modicon). None: the class says it.
fn of_modbus(operation: &OwnedOperation) -> Option<&'static [&'static str]> {
    Some(match (operation.code, sub_function(plain(operation))) {
        (0x01 | 0x02 | 0x04, _) => &["T0801", "T0877"],
        (0x05, _) => &["T1692.001"],
        (0x0F, _) => &["T1692.001", "T0806"],
        (0x07, _) => &["T0868", "T0888"],
        (0x08, Some(0x01)) => &["T0816", "T0814"],
        (0x08, Some(0x03)) => &["T0836", "T0814"],
        (0x08, Some(0x04)) => &["T0814", "T1691.001", "T1691.002"],
        (0x08, _) => &[],
        (0x0A | 0x0E, _) => &["T0843"],
        (0x0B | 0x0C, _) => &["T0888"],
        (0x11, _) => &["T0888", "T0868"],
        (0x13, _) => &["T0814", "T0816"],
        (0x15, _) => &["T0836", "T1692.001"],
        (0x17, _) => &["T1692.001", "T0836", "T0801"],
        (0x29, _) => &["T1692.001"],
        (0x2B, Some(0x0D)) => &["T0836"],
        (0x5A, Some(umas)) => return of_umas(umas),
        (0x7D, _) => &["T1693.001", "T1693.002", "T0800"],
        _ => return None,
    })
}

/// By UMAS function, the codes of Schneider Electric's protocol inside function code 90 (reverse-engineered).
fn of_umas(function: u16) -> Option<&'static [&'static str]> {
    Some(match function {
        0x10 => &["T1692.001"],
        0x23 => &["T0836", "T1692.001"],
        0x40 => &["T0858"],
        0x41 => &["T0858", "T0816"],
        0x71 => &["T0835"],
        _ => return None,
    })
}

/// By what an S7 operation does and on what: codes are unlike in the two protocols, classes and targets are not. None:
/// the class says it.
fn of_s7(operation: &OwnedOperation) -> Option<&'static [&'static str]> {
    let area = match plain(operation) {
        Target::Memory { area, .. } => Some(area),
        _ => None,
    };
    Some(match (operation.class, area) {
        (Class::Session, _) => match plain(operation) {
            // A connection as a programming device is that of an engineering station.
            Target::Connection { kind: "PG", .. } => &["T0886"],
            _ => &[],
        },
        (Class::Read | Class::Subscribe, Some(Area::Input | Area::Output | Area::Periphery)) => &["T0801", "T0877"],
        (Class::Write, Some(Area::Input | Area::Output | Area::Periphery)) => &["T1692.001", "T0836", "T0835"],
        (Class::Browse, _) => &["T0861", "T0888"],
        (Class::Alarm, _) => &["T0878"],
        (Class::Time, _) => &["T1692.001", "T0836"],
        (Class::Control, _) => return of_s7_control(operation.function),
        (Class::Program, _) => of_s7_program(operation),
        (Class::Security, _) if operation.function == "pi_n_newpwd" => &["T0892"],
        _ => return None,
    })
}

fn of_s7_control(function: &str) -> Option<&'static [&'static str]> {
    Some(match function {
        "plc_stop" => &["T1692.001", "T0858", "T0816", "T0814"],
        "plc_warm_start" | "plc_cold_start" | "pi_p_program" => &["T1692.001", "T0858", "T0816"],
        "memory_reset" => &["T1692.001", "T0816"],
        "force" | "force_selection" => &["T1692.001", "T0835"],
        _ => return None,
    })
}

/// An organisation block decides when the others run; what is deleted, activated or linked is not downloaded.
fn of_s7_program(operation: &OwnedOperation) -> &'static [&'static str] {
    match (operation.function, plain(operation)) {
        (_, Target::Block { kind: "OB", .. }) => &["T0843", "T0889", "T0821"],
        ("pi_dele" | "pi_modu" | "delete_object" | "add_link" | "remove_link", _) => &["T0889"],
        ("pi_garb", _) => &["T0814"],
        _ => &["T0843", "T0889"],
    }
}

/// By what a service of OPC UA does, and of calls which method (ids of OPC 10000-5, annex: those of type declarations;
/// objects may have their own). None: the class says it.
fn of_opcua(operation: &OwnedOperation) -> Option<&'static [&'static str]> {
    Some(match (operation.class, operation.function) {
        (Class::Security, "register_server" | "register_server2") => &["T0848", "T0830"],
        (Class::Security, "transfer_subscriptions") => &["T0830"],
        (Class::Security, "open_secure_channel" | "activate_session") => &[],
        (Class::Security, _) => &["T0892"],
        (Class::Discover, "get_endpoints") => &["T0846", "T0888"],
        (Class::Alarm, _) => &["T0878", "T0838"],
        (Class::Program, "write") => &["T0836"],
        (Class::Program, "add_nodes" | "delete_nodes" | "add_references" | "delete_references") => &["T0889"],
        (Class::Control, _) => match method(operation) {
            // RequestServerStateChange, ResetToServerDefaults.
            Some(12_886 | 25_709) => &["T1692.001", "T0816"],
            // Start, Suspend, Resume, Halt and Reset of a program.
            Some(2426..=2430) => &["T1692.001", "T0858"],
            _ => &["T1692.001"],
        },
        _ => return None,
    })
}

/// The number of a method of the standard's own namespace.
fn method(operation: &OwnedOperation) -> Option<u32> {
    match &operation.target {
        OwnedTarget::Method(parts) => match parts.1 {
            OwnedNode { namespace: 0, id: OwnedNodeId::Numeric(number) } => Some(number),
            _ => None,
        },
        _ => None,
    }
}

/// The target, where it is one of Modbus or S7.
const fn plain(operation: &OwnedOperation) -> Target<'static> {
    match operation.target {
        OwnedTarget::Plain(target) => target,
        _ => Target::None,
    }
}

const fn sub_function(target: Target<'_>) -> Option<u16> {
    match target {
        Target::Sub { number, .. } => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Denial, Reason, Rule};
    use crate::record::testing;
    use lockkeeper_protocols::{MethodTarget, Node};

    /// What network traffic can show: standards, section 4.2.
    const VISIBLE: [&str; 40] = [
        "T1692.001",
        "T1692.002",
        "T0836",
        "T0806",
        "T0835",
        "T0877",
        "T0858",
        "T0816",
        "T0843",
        "T0845",
        "T0889",
        "T0821",
        "T1693.001",
        "T1693.002",
        "T0800",
        "T0838",
        "T0878",
        "T0801",
        "T0861",
        "T0868",
        "T0888",
        "T0846",
        "T0802",
        "T0848",
        "T0830",
        "T0864",
        "T0883",
        "T0822",
        "T0886",
        "T0866",
        "T0819",
        "T0867",
        "T1694.001",
        "T1694.002",
        "T0892",
        "T0814",
        "T1691.001",
        "T1691.002",
        "T0869",
        "T0885",
    ];

    fn every_operation() -> Vec<OwnedOperation> {
        let mut all = Vec::new();
        for class in Class::ALL {
            for code in 0..=0xFF {
                all.push(OwnedOperation { class, code, ..testing::write_register(40, 900) });
            }
            for (code, kind) in [(0x08, "subfunction"), (0x2B, "mei"), (0x5A, "umas")] {
                for number in 0..=0xFF {
                    let target = Target::Sub { unit: 1, kind, number };
                    all.push(OwnedOperation {
                        class,
                        code,
                        target: OwnedTarget::Plain(target),
                        ..testing::write_register(40, 900)
                    });
                }
            }
            let block = Target::Block { kind: "OB", number: Some(1) };
            let input = Target::Memory { area: Area::Input, db: 0, first: 0, count: 1 };
            let connection = Target::Connection { kind: "PG", rack: 0, slot: 2 };
            for function in ["plc_stop", "plc_cold_start", "memory_reset", "force", "pi_dele", "pi_garb", "pi_n_newpwd"]
            {
                for target in [Target::None, block, input, connection] {
                    all.push(OwnedOperation {
                        class,
                        function,
                        target: OwnedTarget::Plain(target),
                        ..testing::write_register(40, 900)
                    });
                }
            }
        }
        all
    }

    #[test]
    fn nothing_revoked_and_nothing_that_traffic_cannot_show_is_ever_claimed() {
        for rule in Rule::ALL {
            for operation in every_operation() {
                for protocol in [Some("modbus"), Some("s7comm"), Some("s7commplus"), Some("opcua"), Some("other"), None]
                {
                    let what = What::Denied(Denial { rule, flow: None, reason: Reason::Plain });
                    let operation = Some(operation.clone());
                    let finding = Finding { what, protocol, operation, ..testing::finding(0) };
                    let ids = techniques(&finding);
                    assert!(ids.iter().all(|id| VISIBLE.contains(id)), "{rule:?} {:?}: {ids:?}", finding.operation);
                }
            }
        }
    }

    #[test]
    fn a_register_write_has_the_techniques_of_the_design() {
        assert_eq!(techniques(&testing::finding(0)), ["T1692.001", "T0836"]);
    }

    #[test]
    fn force_listen_only_blocks_commands_and_reports() {
        let target = OwnedTarget::Plain(Target::Sub { unit: 1, kind: "subfunction", number: 4 });
        let operation = OwnedOperation { class: Class::Control, code: 8, target, ..testing::write_register(0, 0) };
        let finding = Finding { operation: Some(operation), ..testing::finding(0) };
        assert_eq!(techniques(&finding), ["T0814", "T1691.001", "T1691.002"]);
    }

    #[test]
    fn s7_operations_have_the_techniques_of_what_they_act_on() {
        let of = |class, function, target| {
            let operation =
                OwnedOperation { class, function, target: OwnedTarget::Plain(target), ..testing::write_register(0, 0) };
            techniques(&Finding { operation: Some(operation), protocol: Some("s7comm"), ..testing::finding(0) })
        };
        let output = Target::Memory { area: Area::Output, db: 0, first: 0, count: 8 };
        assert_eq!(of(Class::Read, "read_var", output), ["T0801", "T0877"]);
        assert_eq!(of(Class::Write, "write_var", output), ["T1692.001", "T0836", "T0835"]);
        assert_eq!(of(Class::Control, "plc_stop", Target::None), ["T1692.001", "T0858", "T0816", "T0814"]);
        let block = |kind| Target::Block { kind, number: Some(1) };
        assert_eq!(of(Class::Program, "request_download", block("OB")), ["T0843", "T0889", "T0821"]);
        assert_eq!(of(Class::Program, "request_download", block("FC")), ["T0843", "T0889"]);
        assert_eq!(of(Class::Program, "pi_dele", block("FC")), ["T0889"]);
        assert_eq!(of(Class::ProgramUpload, "start_upload", block("FC")), ["T0845"]);
    }

    #[test]
    fn opcua_calls_have_the_techniques_of_their_methods() {
        let of = |class, function, method| {
            let target = MethodTarget { object: Node::standard(2253), method: Node::standard(method) };
            let target = OwnedTarget::of(&Target::Method(&target));
            let operation = OwnedOperation { class, function, target, ..testing::write_register(0, 0) };
            techniques(&Finding { operation: Some(operation), protocol: Some("opcua"), ..testing::finding(0) })
        };
        assert_eq!(of(Class::Control, "call", 12_886), ["T1692.001", "T0816"]);
        assert_eq!(of(Class::Control, "call", 2429), ["T1692.001", "T0858"]);
        assert_eq!(of(Class::Control, "call", 1), ["T1692.001"]);
        assert_eq!(of(Class::Security, "call", 13_737), ["T0892"]);
        assert_eq!(of(Class::Alarm, "call", 9028), ["T0878", "T0838"]);
        assert_eq!(of(Class::Security, "transfer_subscriptions", 0), ["T0830"]);
    }

    #[test]
    fn only_addresses_routed_on_the_internet_are_public() {
        for inside in ["10.20.9.9", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "fe80::1", "fd00::1"] {
            assert!(!is_public(inside.parse().expect(inside)), "{inside}");
        }
        for outside in ["8.8.8.8", "2a00:1450::1"] {
            assert!(is_public(outside.parse().expect(outside)), "{outside}");
        }
    }
}
