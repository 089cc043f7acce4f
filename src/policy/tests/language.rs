use super::super::model::{DataType, Extent, Note};
use lockkeeper_protocols::Mode;

use super::*;

#[test]
fn the_full_example_loads_without_errors_or_warnings() {
    let policy = policy(FULL);
    assert_eq!(policy.warnings().list, []);
    assert_eq!((policy.id.as_str(), policy.version.as_str()), ("LOCK-EAST-ZCP", "2026.11.2"));
    assert_eq!(policy.sha256.len(), 64);
}

#[test]
fn every_section_of_the_full_example_is_kept() {
    let policy = policy(FULL);
    let declared = policy.declared();
    let counts = [
        declared.sensors.len(),
        declared.zones.len(),
        declared.assets.len(),
        declared.suppliers.len(),
        declared.schedules.len(),
        declared.points.len(),
        declared.conduits.len(),
        declared.flows.len(),
        declared.grants.len(),
        declared.exceptions.len(),
    ];
    assert_eq!(counts, [2, 7, 10, 3, 1, 12, 8, 11, 2, 4]);
    let routers = declared.assets.iter().filter(|asset| asset.is_router).map(|asset| asset.name.as_str());
    assert_eq!(routers.collect::<Vec<_>>(), ["FW-OT"]);
    assert_eq!(
        declared.sensors.iter().map(|sensor| sensor.mirror_vlans.as_slice()).collect::<Vec<_>>(),
        [&[999][..], &[]]
    );
    assert_eq!(declared.catalog.text("attack_ics"), Some("19.2"));
    assert_eq!(declared.header.text("status"), Some("approved"));
    assert!(matches!(declared.header.get("regulatory"), Some(Note::List(list)) if list.len() == 2));
}

#[test]
fn what_is_judged_later_is_kept_in_its_own_types() {
    let policy = policy(FULL);
    let declared = policy.declared();
    let flow = |id: &str| declared.flows.iter().find(|flow| flow.id == id);
    let opcua = flow("F-103").and_then(|flow| flow.session.opcua.clone());
    assert!(opcua.is_some_and(|opcua| opcua.min_mode == Some(Mode::SignAndEncrypt) && opcua.identity.len() == 2));
    assert!(flow("F-201").is_some_and(|flow| flow.schedule == Some(0) && flow.allow[2].places.len() == 1));
    assert!(flow("F-601").is_some_and(|flow| flow.requires_grant && flow.max_session.is_some()));
    assert!(flow("F-501").is_some_and(|flow| flow.tls_min_version == Some("1.2") && flow.allow[0].rate.is_some()));
    let level = declared.points.iter().find(|point| point.name == "gate-level-setpoint");
    assert!(level.is_some_and(
        |point| point.encoding.data_type == DataType::F32 && matches!(point.place.extent, Extent::Addresses(_))
    ));
    assert_eq!(declared.schedules[0].days, [1, 3]);
    assert!(declared.grants[0].start < declared.grants[0].end);
    assert_eq!(declared.zones[0].sl_t, Some([2, 2, 2, 1, 3, 2, 2]));
}

const DOZEN_LINES: &str = r#"schema = "lockkeeper-policy/1"
[zone.scada]
networks = ["10.20.20.0/24"]
[zone.lock]
networks = ["10.20.10.0/24"]
[conduit.operate]
zones = ["scada", "lock"]
[[conduit.operate.flow]]
from = ["zone:scada"]
to = ["zone:lock"]
protocol = "modbus"
allow = [{ op = "read" }]
"#;

#[test]
fn a_dozen_lines_are_a_useful_policy() {
    let policy = policy(DOZEN_LINES);
    assert_eq!(policy.id, "test");
    let tuple = tcp("10.20.20.10", "10.20.10.12", 502);
    assert_eq!(judged(&policy, &tuple, &operation(READ, 0, 10, Values::None)), "permit operate/1");
    let write = operation(WRITE_ONE, 40, 1, Values::Registers(&[0, 1]));
    assert_eq!(judged(&policy, &tuple, &write), "operation.undeclared: conduit operate permits only read");
}

#[test]
fn the_summary_lists_what_flows_permit_and_what_is_not_judged_yet() {
    let summary = policy(FULL).summary();
    assert!(
        summary.starts_with("LOCK-EAST-ZCP 2026.11.2\n  7 zones, 10 assets, 12 points, 8 conduits, 11 flows"),
        "{summary}"
    );
    assert!(summary.contains("F-101: SCADA-1 -> PLC-BRIDGE, modbus on tcp/502, udp/502"), "{summary}");
    assert!(summary.contains("      write on bridge-command within limits\n"), "{summary}");
    assert!(summary.contains("      write on gate-open-timer within limits\n"), "{summary}");
    assert!(summary.contains("      program on OB1, FC*, FB*, DB*\n"), "{summary}");
    assert!(summary.contains("      control stop, warm-restart\n"), "{summary}");
    assert!(summary.contains("      write on object 0x8a0e0007.2550.9\n"), "{summary}");
    assert!(
        summary
            .contains("F-102: SCADA-1 -> PLC-GATE, s7comm on tcp/102, connection OP rack 0 slot 2, password forbidden"),
        "{summary}"
    );
    assert!(
        summary.contains("F-103: SCADA-1 -> PLC-PUMP, opcua on tcp/4840, at least SignAndEncrypt, policies"),
        "{summary}"
    );
    let certificates = "certificates RSA from 2048 bits, no SHA-1, warned 60 days before the end";
    assert!(summary.contains(certificates) && !summary.contains("opcua)"), "{summary}");
}

#[test]
fn a_check_writes_what_is_permitted_to_its_report_and_mistakes_to_its_diagnostics() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (good, bad) = (folder.path().join("good.toml"), folder.path().join("bad.toml"));
    std::fs::write(&good, DOZEN_LINES).expect("written");
    std::fs::write(&bad, DOZEN_LINES.replace("zone:lock", "zone:lok")).expect("written");
    let run = |paths: &[std::path::PathBuf]| {
        let (mut report, mut diagnostics) = (Vec::new(), Vec::new());
        let outcome = crate::policy::check(paths, false, &mut report, &mut diagnostics).expect("writing to memory");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (outcome, text(report), text(diagnostics))
    };
    let (outcome, report, diagnostics) = run(std::slice::from_ref(&good));
    assert_eq!(outcome, crate::policy::CheckOutcome::Sound, "{diagnostics}");
    assert!(report.contains("good.toml: sound: good") && diagnostics.is_empty(), "{report}{diagnostics}");
    let (outcome, both, diagnostics) = run(&[good, bad]);
    assert_eq!(outcome, crate::policy::CheckOutcome::Unsound);
    assert_eq!(both, report, "a policy with mistakes permits nothing that could be reported");
    let expected = ["did you mean `lock`?", "bad.toml: 1 error:"];
    assert!(expected.iter().all(|text| diagnostics.contains(text)), "{diagnostics}");
}

#[test]
fn a_missing_file_and_a_picture_are_one_clear_error_each() {
    let missing =
        Policy::load(std::path::Path::new("no/such/policy.toml")).map(|_| ()).map_err(|wrong| wrong.to_string());
    assert!(missing.is_err_and(|text| text.starts_with("no/such/policy.toml:0:0: error: cannot be read: ")));
    let folder = tempfile::tempdir().expect("a folder for the test");
    let picture = folder.path().join("photo.jpg");
    std::fs::write(&picture, [0xFF, 0xD8, 0xFF, 0xE0]).expect("written");
    let wrong = Policy::load(&picture).map(|_| ()).map_err(|wrong| wrong.list.len());
    assert_eq!(wrong, Err(1));
}

#[test]
fn every_policy_that_ships_is_sound() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
    let files = std::fs::read_dir(rules).expect("the folder of rules").flatten().map(|entry| entry.path());
    for file in files.filter(|path| path.extension().is_some_and(|ending| ending == "toml")) {
        let policy = Policy::load(&file).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(policy.warnings().list, [], "{}", file.display());
    }
}
