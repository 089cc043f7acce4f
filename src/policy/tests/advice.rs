//! What a policy probably does not mean, and that one mistake is reported once.

use super::*;

/// Two zones with a controller in one of them, and a flow from line 11 on.
const SOUND: &str = r#"schema = "lockkeeper-policy/1"
[zone.scada]
networks = ["10.1.0.0/16"]
[zone.lock]
networks = ["10.2.0.0/16"]
[asset.PLC]
zone = "lock"
ip = "10.2.0.1"
[conduit.operate]
zones = ["scada", "lock"]
[[conduit.operate.flow]]
id = "F-1"
from = "zone:scada"
to = "PLC"
protocol = "modbus"
allow = [{ op = "read" }]
"#;

/// The warnings about a text that has no errors, as a person sees them.
fn warnings(text: &str) -> String {
    let policy = policy(text);
    assert!(!policy.warnings().has_errors());
    policy.warnings().render(false)
}

/// The errors in a text, a line each.
fn errors(text: &str) -> String {
    Policy::parse("bad.toml", text).expect_err("a mistake").to_string()
}

#[test]
fn a_policy_without_a_doubt_has_no_warning() {
    assert_eq!(warnings(SOUND), "");
}

#[test]
fn an_address_in_the_notation_of_manuals_is_warned_about_with_the_one_on_the_wire() {
    let point = |place: &str| format!("{SOUND}[point.speed]\nasset = \"PLC\"\nmodbus = {{ {place} }}\n");
    let expected = "\
warning: 40041 looks like the notation of manuals, but addresses are those on the wire, from 0
  --> test.toml:19:47
   |
19 | modbus = { table = \"holding_register\", addr = 40041 }
   |                                               ^^^^^
   |
   = help: write addr = 40 if the manual calls this holding_register 40041

";
    assert_eq!(warnings(&point("table = \"holding_register\", addr = 40041")), expected);
    for (place, help) in [
        ("table = \"input_register\", addr = \"30001-30010\"", "write addr = \"0-9\" if"),
        (
            "table = \"discrete_input\", addr = [3, \"10005\"]",
            "write addr = 4 if the manual calls this discrete_input 10005",
        ),
    ] {
        let shown = warnings(&point(place));
        assert!(shown.contains(help) && shown.matches("warning").count() == 1, "{place}: {shown}");
    }
    for place in [
        "table = \"holding_register\", addr = 40",
        "table = \"holding_register\", addr = 40000",
        "table = \"holding_register\", addr = \"0-65535\"",
        "table = \"holding_register\", addr = 30041",
        "table = \"coil\", addr = 10001",
    ] {
        assert_eq!(warnings(&point(place)), "", "{place}");
    }
    let inline =
        SOUND.replace("op = \"read\"", "op = \"read\", modbus = { table = \"holding_register\", addr = 40001 }");
    assert!(warnings(&inline).contains("write addr = 0 if"), "places in `allow` too");
}

#[test]
fn any_beside_a_narrow_entry_is_warned_about() {
    let beside = SOUND.replace("[{ op = \"read\" }]", "[{ op = \"any\" }, { op = \"read\" }]");
    let expected = "\
warning: `any` makes another entry of allow of flow F-1 pointless: it permits the same and more
  --> test.toml:16:12
   |
16 | allow = [{ op = \"any\" }, { op = \"read\" }]
   |            ^^
   |
   = help: remove op = \"any\", or the narrower entries beside it

";
    assert_eq!(warnings(&beside), expected);
    for allow in [
        "[{ op = \"any\" }]",
        "[{ op = \"any\" }, { op = \"unknown\" }]",
        "[{ op = \"any\", modbus = { table = \"coil\" } }, { op = \"read\" }]",
        "[{ op = \"engineer\" }, { op = \"read\" }]",
    ] {
        assert_eq!(warnings(&SOUND.replace("[{ op = \"read\" }]", allow)), "", "{allow}");
    }
}

#[test]
fn any_in_a_flow_beside_a_narrower_flow_is_warned_about() {
    let wide = |ends: &str, more: &str| {
        format!("{SOUND}[[conduit.operate.flow]]\nid = \"F-2\"\n{ends}\n{more}\nallow = [{{ op = \"any\" }}]\n")
    };
    let expected = "\
warning: `any` of flow F-2 makes F-1 pointless: it permits the same and more
  --> test.toml:22:12
   |
22 | allow = [{ op = \"any\" }]
   |            ^^
   |
   = help: name the operations that are meant, or remove what is pointless

";
    assert_eq!(warnings(&wide("from = \"any\"\nto = \"zone:lock\"", "protocol = \"modbus\"")), expected);
    assert!(warnings(&wide("from = \"any\"\nto = \"any\"", "protocol = \"any\"")).contains("makes F-1 pointless"));
    for (ends, more) in [
        ("from = \"10.1.0.7\"\nto = \"PLC\"", "protocol = \"modbus\""),
        ("from = \"zone:lock\"\nto = \"zone:scada\"", "protocol = \"modbus\""),
        ("from = \"any\"\nto = \"any\"", "protocol = \"s7comm\""),
        ("from = \"any\"\nto = \"any\"", "protocol = \"modbus\"\nport = \"tcp/502\""),
        ("from = \"any\"\nto = \"any\"", "protocol = \"modbus\"\nrequires_grant = true"),
    ] {
        assert_eq!(warnings(&wide(ends, more)), "", "{ends} {more}");
    }
}

#[test]
fn a_zone_that_nothing_uses_is_warned_about() {
    let expected = "\
warning: zone `office` is not used: no conduit connects it, and no asset is in it
  --> test.toml:17:7
   |
17 | [zone.office]
   |       ^^^^^^
   |
   = help: name it in `zones` of a conduit, or remove it: as it is, all traffic between it and other zones is a violation

";
    let office = format!("{SOUND}[zone.office]\nnetworks = [\"10.9.0.0/16\"]\n");
    assert_eq!(warnings(&office), expected);
    assert_eq!(warnings(&format!("{office}[asset.PRINTER]\nzone = \"office\"\nip = \"10.9.0.1\"\n")), "");
    assert!(
        !errors(&office.replace("\"lock\"]", "\"lokc\"]")).contains("warning"),
        "a mistake may be why it is not used"
    );
}

#[test]
fn the_error_about_a_flow_written_as_one_table_shows_its_brackets() {
    let single = SOUND.replace("[[conduit.operate.flow]]", "[conduit.operate.flow]");
    let expected = "\
error: `flow` of conduit operate must be a list of tables, not a table
  --> bad.toml:11:18
   |
11 | [conduit.operate.flow]
   |                  ^^^^
   |
   = help: write [[conduit.operate.flow]], with two brackets on each side, or flow = [{ ... }]

";
    let wrong = Policy::parse("bad.toml", &single).expect_err("a mistake");
    assert_eq!(wrong.render(false), expected);
    // The flow is declared nevertheless.
    let granted = format!(
        "{single}[[grant]]\nid = \"G\"\nflow = \"F-1\"\nstart = 2026-11-24T09:00:00Z\nend = 2026-11-25T09:00:00Z\n"
    );
    assert_eq!(errors(&granted).lines().count(), 1);
    let named = SOUND.replace("[[conduit.operate.flow]]", "[conduit.operate.flow.F-1]");
    assert_eq!(errors(&named).lines().count(), 1, "{}", errors(&named));
    let twice = format!("{single}[conduit.operate.flow]\nid = \"F-2\"\n");
    assert!(errors(&twice).contains("write [[conduit.operate.flow]], with two brackets"), "{}", errors(&twice));
}

#[test]
fn the_error_about_a_flow_without_conduit_names_the_nearest_one() {
    let expected = "bad.toml:11:3: error: a flow belongs to a conduit, but this one does not name it (help: write \
                    [[conduit.operate.flow]], with two brackets on each side)\n";
    for header in ["[[flow]]", "[[flow]] # the first"] {
        assert_eq!(errors(&SOUND.replace("[[conduit.operate.flow]]", header)), expected);
    }
    assert_eq!(errors(&SOUND.replace("[[conduit.operate.flow]]", "[flow]")), expected.replace("11:3", "11:2"));
}

#[test]
fn a_zone_written_as_a_list_is_one_mistake() {
    let listed = errors(&SOUND.replace("[zone.lock]", "[[zone.lock]]"));
    let expected = "bad.toml:4:8: error: zone lock must be a table, not an array (help: write [zone.lock], with one bracket \
                    on each side)\n";
    assert_eq!(listed, expected);
    let unnamed = SOUND.replace("[zone.scada]", "[[zone]]").replace("[zone.lock]", "[[zone]]");
    assert_eq!(errors(&unnamed).lines().count(), 1, "{}", errors(&unnamed));
    assert!(errors(&unnamed).contains("(help: write [zone.NAME])"), "{}", errors(&unnamed));
}

#[test]
fn an_unknown_name_is_reported_once_however_often_it_is_used() {
    let used = "[asset.A1]\nzone = \"lokc\"\nip = \"10.2.0.8\"\n[asset.A2]\nzone = \"lokc\"\nip = \"10.2.0.9\"\n\
                [conduit.more]\nzones = [\"scada\", \"lokc\"]\n[[conduit.more.flow]]\nfrom = \"zone:lokc\"\nto = [\"A1\", \"10.2.0.9\"]\n\
                protocol = \"modbus\"\nallow = [{ op = \"read\" }]\n";
    let expected = "bad.toml:18:8: error: unknown zone `lokc` (help: did you mean `lock`? Known are: scada, lock (it stands in \
                    4 places))\n";
    assert_eq!(errors(&format!("{SOUND}{used}")), expected);
}

#[test]
fn one_mistake_is_one_error() {
    for (replace, with, expected) in [
        ("networks = [\"10.2.0.0/16\"]", "networks = [\"10.2.0.0/99\"]", "5:13: error: `10.2.0.0/99` is not a network"),
        (
            "networks = [\"10.2.0.0/16\"]",
            "networks = [\"10.3.0.0/16\", \"10.2.0.0\\\\16\"]",
            "5:28: error: `10.2.0.0\\16`",
        ),
        ("networks = [\"10.2.0.0/16\"]", "netwroks = [\"10.2.0.0/16\"]", "5:1: error: unknown key `netwroks`"),
        (
            "networks = [\"10.2.0.0/16\"]",
            "networks = [\"10.1.0.0/16\"]",
            "5:13: error: network `10.1.0.0/16` of zone lock is",
        ),
        ("[zone.lock]", "[zoen.lock]", "4:2: error: unknown key `zoen` in the policy (help: did you mean `zone`?)"),
        ("[asset.PLC]", "[aset.PLC]", "6:2: error: unknown key `aset` in the policy"),
        ("[asset.PLC]", "[asset.PCL]", "14:6: error: unknown asset `PLC`"),
        ("zones = [\"scada\", \"lock\"]", "zones = [\"scada\", 7]", "10:19: error: `zones` of conduit operate must be"),
        ("zones = [\"scada\", \"lock\"]", "zoens = [\"scada\", \"lock\"]", "10:1: error: unknown key `zoens`"),
        ("zones = [\"scada\", \"lock\"]", "", "9:10: error: conduit operate has no `zones`"),
        ("from = ", "form = ", "13:1: error: unknown key `form` in flow F-1 (help: did you mean `from`?)"),
        ("to = \"PLC\"", "to = \"10.7.0.1\"", "14:6: error: `10.7.0.1` lies in no zone of conduit operate"),
        (
            "protocol = \"modbus\"\nallow = [{ op = \"read\" }]",
            "protocol = \"modbsu\"",
            "15:12: error: unknown protocol",
        ),
        (
            "allow = [{ op = \"read\" }]",
            "allow = \"read\"",
            "16:9: error: `allow` of flow F-1 must be a list of tables",
        ),
        ("op = \"read\"", "op = \"contorl\", functions = [6]", "16:17: error: unknown operation `contorl`"),
        (
            "protocol = \"modbus\"\nallow = [{ op = \"read\" }]",
            "protocol = \"s7comm\"\nallow = [{ op = \"contorl\", actions = [\"stop\"] }]",
            "16:17: error: unknown operation",
        ),
    ] {
        assert!(SOUND.contains(replace), "{replace}");
        let found = errors(&SOUND.replacen(replace, with, 1));
        assert!(found.starts_with(&format!("bad.toml:{expected}")) && found.lines().count() == 1, "{with}: {found}");
    }
}

#[test]
fn a_point_with_a_mistake_in_one_place_is_one_error() {
    for point in [
        "modbus = { table = \"holding_register\", addr = \"0-2\" }\ntype = \"flaot\"\nmin = -0.5\nmax = 4.2\nmax_step = 1",
        "modbus = { table = \"holding\", addr = 0 }\nmin = -5",
        "modbsu = { table = \"holding_register\", addr = 0 }\nmin = -5",
        "modbus = { tabel = \"holding_register\", addr = 0 }\nmin = -5",
    ] {
        let found = errors(&format!("{SOUND}[point.X]\nasset = \"PLC\"\n{point}\n"));
        assert_eq!(found.lines().count(), 1, "{point}: {found}");
    }
}

#[test]
fn a_port_may_name_its_carrier() {
    let with_port = |port: &str| SOUND.replace("\"modbus\"", &format!("\"modbus\"\nport = {port}"));
    let operation = operation(READ, 0, 1, Values::None);
    let flow = |port: &str, carrier, at| {
        flow_judged(&policy(&with_port(port)), &tuple("10.1.0.5", "10.2.0.1", carrier, at), Some("modbus"))
    };
    let judge = |port: &str, carrier, at| {
        judged(&policy(&with_port(port)), &tuple("10.1.0.5", "10.2.0.1", carrier, at), &operation)
    };
    assert_eq!(judge("\"tcp/502\"", Carrier::Tcp, 502), "permit F-1");
    assert!(flow("\"tcp/502\"", Carrier::Udp, 502).starts_with("flow.undeclared-protocol"));
    assert_eq!(judge("502", Carrier::Udp, 502), "permit F-1", "without a carrier, both");
    assert_eq!(judge("[\"tcp/502\", \"udp/5000-5010\"]", Carrier::Udp, 5005), "permit F-1");
    assert!(flow("[\"tcp/502\", \"udp/5000-5010\"]", Carrier::Tcp, 5005).starts_with("flow.undeclared-protocol"));
    assert!(policy(&with_port("\"tcp/502\"")).summary().contains("F-1: zone:scada -> PLC, modbus on tcp/502\n"));
    let wrong = errors(&SOUND.replace("\"modbus\"", "\"opcua\"\nport = \"udp/4840\""));
    let expected = "bad.toml:16:8: error: `opcua` is not carried by udp (help: write \"4840\" without a carrier, or correct the \
                    protocol)\n";
    assert_eq!(wrong, expected);
    assert!(errors(&with_port("\"sctp/502\"")).contains("`sctp/502` is not a port"));
}

#[test]
fn the_port_of_a_decoded_protocol_is_not_taken_for_the_protocol() {
    let carried = SOUND.replace("protocol = \"modbus\"\nallow = [{ op = \"read\" }]", "protocol = \"tcp/502\"");
    let expected = "\
warning: `tcp/502` does not permit modbus, which must be named to be permitted
  --> test.toml:15:1
   |
15 | protocol = \"tcp/502\"
   | ^^^^^^^^
   |
   = help: write protocol = \"modbus\" and port = \"tcp/502\" if that is what is meant

";
    assert_eq!(warnings(&carried), expected);
    assert!(
        warnings(&carried.replace("502", "102")).contains("does not permit s7comm or s7commplus or iso-on-tcp, which")
    );
    assert_eq!(warnings(&carried.replace("502", "443")), "");
}
