use super::*;

/// Six sound lines, then what a test adds.
const BASE: &str = r#"schema = "lockkeeper-policy/1"
[zone.A]
networks = ["10.1.0.0/16"]
[zone.B]
networks = ["10.2.0.0/16"]
[asset.PLC]
zone = "B"
ip = "10.2.0.1"
[asset.PUMP]
zone = "B"
ip = "10.2.0.2"
[point.speed]
asset = "PUMP"
modbus = { table = "holding_register", addr = "40" }
"#;

/// Line, message and help of each complaint.
fn complaints(text: &str) -> Vec<(usize, String)> {
    let wrong = Policy::parse("bad.toml", text).expect_err("mistakes");
    let text = |message: String, help: Option<String>| format!("{message} ({})", help.unwrap_or_default());
    wrong.list.into_iter().map(|one| (one.line, text(one.message, one.help))).collect()
}

/// The one complaint about the text after [`BASE`].
fn complaint(added: &str) -> String {
    let found = complaints(&format!("{BASE}{added}"));
    assert_eq!(found.len(), 1, "{added}: {found:#?}");
    found[0].1.clone()
}

/// The one complaint about a conduit with one flow, given what differs from a sound one.
fn flow_complaint(replace: &str, with: &str) -> String {
    let sound = "[conduit.C]\nzones = [\"A\", \"B\"]\n[[conduit.C.flow]]\nid = \"F\"\nfrom = \"zone:A\"\nto = \"PLC\"\n\
                 protocol = \"modbus\"\nallow = [{ op = \"read\" }]\n";
    assert!(Policy::parse("sound.toml", &format!("{BASE}{sound}")).is_ok());
    assert!(sound.contains(replace), "{replace}");
    complaint(&sound.replace(replace, with))
}

const FIVE_MISTAKES: &str = r#"schema = "lockkeeper-policy/1"
[zone.scada]
netwroks = ["10.20.20.0/24"]
vlans = [120]
[zone.lock]
networks = ["10.20.10.0/33"]
[conduit.operate]
zones = ["scada", "lokc"]
[[conduit.operate.flow]]
from = ["zone:scada"]
to = ["zone:lock"]
protocol = "modbsu"
allow = [{ op = "raed" }]
"#;

#[test]
fn five_mistakes_are_five_errors_with_their_places_and_what_to_write_instead() {
    let wrong = Policy::parse("five.toml", FIVE_MISTAKES).expect_err("mistakes");
    let expected = "\
five.toml:3:1: error: unknown key `netwroks` in zone scada (help: did you mean `networks`?)
five.toml:6:13: error: `10.20.10.0/33` is not a network (help: the prefix length is at most 32 for IPv4 and 128 for IPv6)
five.toml:8:19: error: unknown zone `lokc` (help: did you mean `lock`? Known are: scada, lock)
five.toml:12:12: error: unknown protocol `modbsu` (help: did you mean `modbus`? Protocols are written by name, or by carrier: \"tcp/443\", \"udp/123\", \"ip/47\", \"any\")
five.toml:13:17: error: unknown operation `raed` (help: did you mean `read`?)
";
    assert_eq!(wrong.to_string(), expected);
}

#[test]
fn a_mistake_is_shown_underlined() {
    let wrong =
        Policy::parse("bad.toml", &format!("{BASE}[zone.C]\nnetworks = [\"10.3.0.9/16\"]\n")).expect_err("mistakes");
    let expected = "\
error: `10.3.0.9/16` has address bits beyond its prefix length
  --> bad.toml:16:13
   |
16 | networks = [\"10.3.0.9/16\"]
   |             ^^^^^^^^^^^^^
   |
   = help: write \"10.3.0.0/16\"

";
    assert_eq!(wrong.render(false), expected);
    assert!(wrong.render(true).contains("\u{1b}["));
}

#[test]
fn syntax_errors_are_reported_with_the_other_mistakes_but_nothing_is_reported_missing() {
    let text =
        format!("{BASE}[zone.C]\nvlans = [7]\nname = two words\n[asset.X]\nip = \"10.2.0.9\"\n[zone.D]\nvlans = [0]\n");
    let found = complaints(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].0 == 17 && found[0].1.starts_with("not TOML: "), "{found:#?}");
    assert!(found.iter().any(|(_, text)| text.contains("`vlans` of zone D cannot be 0")), "{found:#?}");
    assert!(found.iter().all(|(_, text)| !text.contains("has no")), "{found:#?}");
}

#[test]
fn the_schema_is_required_and_must_be_known() {
    let found = complaints("[zone.A]\nvlans = [1]\n");
    assert!(found[0].1.contains("has no `schema`"), "{found:?}");
    let found = complaints(&BASE.replace("policy/1", "policy/9"));
    assert!(found[0].1.contains("`lockkeeper-policy/9` is not a schema that this version reads"), "{found:?}");
}

#[test]
fn hosts_that_contradict_each_other_are_errors() {
    for (added, expected) in [
        ("[zone.C]\nnetworks = [\"10.1.0.0/16\"]\n", "network `10.1.0.0/16` of zone C is declared twice: A"),
        ("[zone.C]\nmacs = [\"00:1b:1b\"]\n", "`00:1b:1b` is not a hardware address"),
        ("[zone.C]\nvlans = [4095]\n", "`vlans` of zone C cannot be 4095"),
        ("[zone.C]\nvlans = \"110\"\n", "`vlans` of zone C must be a list of numbers, not a string"),
        ("[zone.unknown]\nvlans = [1]\n", "`unknown` is the zone of hosts in no zone"),
        ("[asset.X]\nzone = \"A\"\nip = \"10.2.0.9\"\n", "`10.2.0.9` lies in zone B, not in A"),
        ("[asset.X]\nzone = \"A\"\nip = \"10.9.0.9\"\n", "`10.9.0.9` lies outside the networks of zone A"),
        ("[asset.X]\nzone = \"B\"\nip = \"10.2.0.1\"\n", "`10.2.0.1` is declared twice: it belongs to `PLC` already"),
        ("[asset.X]\nip = \"10.2.0.9\"\n", "asset X has no `zone`"),
        ("[sensor.S]\nmirror_vlans = [4095]\n", "`mirror_vlans` of sensor S cannot be 4095"),
        ("[asset.X]\nzone = \"B\"\nip = \"10.2.0.9\"\nrouter = \"yes\"\n", "`router` of asset X must be"),
        (
            "[asset.X]\nzone = \"B\"\nmac = \"00:1b:1b:10:20:11\"\nservices = [\"modbsu/502\"]\n",
            "unknown protocol `modbsu`",
        ),
    ] {
        let found = complaint(added);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn a_router_without_hardware_is_warned_about_because_it_cannot_be_recognised() {
    let warned = |added: &str| {
        let conduit = "[conduit.C]\nzones = [\"A\", \"B\"]\n";
        let policy = policy(&format!("{BASE}{conduit}[asset.FW]\nzone = \"B\"\nip = \"10.2.0.9\"\n{added}"));
        policy.warnings().list.iter().map(|one| one.message.clone()).collect::<Vec<_>>()
    };
    let message = "router `FW` cannot be recognised: what it forwards bears its hardware address";
    assert_eq!(warned("router = true\n"), [message]);
    assert_eq!(warned("router = true\nmac = \"00:1b:1b:10:20:11\"\n"), [""; 0]);
    assert_eq!(warned("router = false\n"), [""; 0]);
}

#[test]
fn points_that_cannot_be_meant_are_errors() {
    for (point, expected) in [
        ("modbus = { table = \"holding\", addr = 1 }", "`holding` is not a Modbus table"),
        ("modbus = { table = \"coil\", addr = \"9-1\" }", "the range `9-1` ends before it begins (write \"1-9\")"),
        ("modbus = { table = \"coil\", addr = 70000 }", "70000 is above the last address, 65535"),
        ("modbus = { table = \"coil\", addr = 1 }\ntype = \"u16\"", "values of table coil are bits"),
        (
            "modbus = { table = \"coil\", addr = 1, uint = 1 }",
            "unknown key `uint` in modbus of point X (did you mean `unit`?)",
        ),
        (
            "modbus = { table = \"holding_register\", addr = \"0-2\" }\ntype = \"f32\"",
            "0-2 is no whole number of values",
        ),
        (
            "modbus = { table = \"holding_register\", addr = 0 }\nmin = 5\nmax = 2",
            "min 5 of point X is above its max 2",
        ),
        (
            "modbus = { table = \"holding_register\", addr = 0 }\nmax = 70000",
            "max of point X is beyond what its type can hold",
        ),
        ("modbus = { table = \"holding_register\", addr = 0 }\ntype = \"float\"", "unknown type `float`"),
        (
            "modbus = { table = \"holding_register\", addr = \"0-1\" }\nmax_step = 3",
            "max_step of point X needs a single value",
        ),
        ("opcua = { nodes = [\"Pump\"] }", "`Pump` is not a node id (write \"ns=3;s=Pump.Start\""),
        ("opcua = { nodes = [] }", "`nodes` of opcua of point X is an empty list"),
        ("opcua = { nodes = [\"i=1\"], methods = [\"i=2\"] }", "unknown key `methods`"),
        ("opcua = { nodes = [\"i=1\"] }\ntype = \"s5time\"", "values of nodes are not of this type"),
        ("opcua = { nodes = [\"i=1\"] }\ntype = \"f32le\"", "values of nodes travel in one order only"),
        ("opcua = { nodes = [\"ns=1;s=a.*\"] }\nmax_step = 1", "max_step of point X needs a single node"),
        ("opcua = { nodes = [\"i=1\"] }\ntype = \"u8\"\nmax = 300", "max of point X is beyond what its type can hold"),
        ("min = 1", "point X has no place"),
    ] {
        let found = complaint(&format!("[point.X]\nasset = \"PLC\"\n{point}\n"));
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn s7_places_that_cannot_be_meant_are_errors() {
    for (point, expected) in [
        ("s7 = { area = \"D\", db = 1 }", "`D` is not an S7 area"),
        ("s7 = { area = \"DB\", bytes = 1 }", "s7 of point X has no `db` (add the number of the data block: db = 10)"),
        ("s7 = { area = \"M\", db = 1 }", "`db` does not apply to area M (remove `db`, or write area = \"DB\")"),
        ("s7 = { area = \"T\", bytes = 1 }", "`bytes` does not apply to area T (timers and counters have numbers"),
        ("s7 = { area = \"M\", numbers = 1 }", "`numbers` does not apply to area M"),
        ("s7 = { area = \"M\", bits = 1 }", "`bits` of s7 of point X needs a single byte (write bytes = 3, bits = 2"),
        ("s7 = { area = \"M\", bytes = \"1-2\", bits = 1 }", "`bits` of s7 of point X needs a single byte"),
        ("s7 = { area = \"M\", bytes = 1, bits = \"7-8\" }", "`bits` of s7 of point X go beyond a byte"),
        ("s7 = { area = \"M\", byte = 1 }", "unknown key `byte` in s7 of point X (did you mean `bytes`?)"),
        ("s7 = { area = \"M\", bytes = \"9-1\" }", "the range `9-1` ends before it begins (write \"1-9\")"),
        ("s7 = { area = \"M\", bytes = \"0-2\" }\ntype = \"f32\"", "0-2 is no whole number of values of 4 bytes each"),
        ("s7 = { area = \"M\", bytes = 0, bits = 1 }\ntype = \"u8\"", "bits are not of this type"),
        ("s7 = { area = \"T\", numbers = 1 }\ntype = \"f32\"", "values of area T take 16 bits"),
        ("s7 = { area = \"M\", bytes = 1 }\nmax = 300", "max of point X is beyond what its type can hold (0 to 255)"),
        (
            "s7 = { area = \"M\", bytes = \"1-2\" }\nmax_step = 3",
            "max_step of point X needs a single value, but it covers 2",
        ),
        ("s7 = { object = 0x8A0E0001 }\nmax = 3", "limits of point X cannot be judged: an object has no address"),
        ("s7 = { object = 1, path = [1, 2, 3, 4, 5] }", "`path` of s7 of point X has more than 4 ids"),
        ("s7 = { object = 1, area = \"DB\" }", "unknown key `area` in s7 of point X (known keys are: object, path)"),
        ("modbus = { table = \"coil\", addr = 0 }\ntype = \"s5time\"", "values of registers are not of this type"),
        ("s7 = { area = \"M\", bytes = 1 }\ntype = \"u8le\"", "unknown type `u8le`"),
    ] {
        let found = complaint(&format!("[point.X]\nasset = \"PLC\"\n{point}\n"));
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn s7_flows_that_cannot_be_meant_are_errors() {
    let s7 = "protocol = \"s7comm\"\nallow = [{ op = \"read\" }]";
    let modbus = "protocol = \"modbus\"\nallow = [{ op = \"read\" }]";
    for (with, expected) in [
        (
            s7.replace("op = \"read\"", "op = \"program\", blocks = [\"OB\"]"),
            "`OB` names no block (write \"OB1\", \"OB10-20\"",
        ),
        (s7.replace("op = \"read\"", "op = \"program\", blocks = [\"XB1\"]"), "`XB1` names no block (write a kind and"),
        (
            s7.replace("op = \"read\"", "op = \"control\", actions = [\"stopp\"]"),
            "`stopp` is not a control action (did you mean `stop`?",
        ),
        (
            s7.replace("op = \"read\"", "op = \"engineer\", actions = [\"stop\"]"),
            "`actions` of allow of flow F need op = \"control\"",
        ),
        (
            s7.replace("allow", "s7 = { connection = \"PC\" }\nallow"),
            "`PC` is not a connection type (known are: PG, OP, BASIC, other)",
        ),
        (
            s7.replace("allow", "s7 = { slot = 32 }\nallow"),
            "`slot` of s7 of flow F cannot be 32 (write a number from 0 to 31)",
        ),
        (s7.replace("allow", "s7 = { password = \"yes\" }\nallow"), "`yes` is not a rule for passwords"),
        (modbus.replace("allow", "s7 = { rack = 0 }\nallow"), "`s7` does not apply to protocol modbus (remove `s7`"),
        (
            modbus.replace("op = \"read\"", "op = \"read\", s7 = { area = \"M\" }"),
            "`s7` does not apply to protocol modbus (remove `s7`, or correct the protocol)",
        ),
    ] {
        let found = flow_complaint("protocol = \"modbus\"\nallow = [{ op = \"read\" }]", &with);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn flows_that_cannot_be_meant_are_errors() {
    for (replace, with, expected) in [
        ("\"zone:A\"", "\"A\"", "`A` is a zone, not an asset (write \"zone:A\")"),
        ("\"zone:A\"", "\"10.9.0.0/16\"", "`10.9.0.0/16` lies in no zone of conduit C"),
        ("\"PLC\"", "\"PCL\"", "unknown asset `PCL` (did you mean `PLC`?"),
        ("zones = [\"A\", \"B\"]", "zones = [\"A\"]", "`PLC` is in zone B, which conduit C does not connect"),
        ("protocol = \"modbus\"\n", "", "flow F has no `protocol`"),
        ("\"modbus\"", "\"modbus\"\nport = 0", "port `0`: there is no port 0"),
        ("\"modbus\"", "\"icmp\"\nport = 8", "`icmp` takes no `port`"),
        ("\"modbus\"", "\"tcp/80\"\nport = 80", "`tcp/80` takes no `port`"),
        ("\"modbus\"", "\"tcp/99999\"", "`99999` is not a port"),
        ("allow = [{ op = \"read\" }]", "", "flow F has no `allow` (add what it permits"),
        ("[{ op = \"read\" }]", "[]", "flow F allows nothing"),
        ("{ op = \"read\" }", "{ rate = \"2/s\" }", "allow of flow F has no `op`"),
        ("{ op = \"read\" }", "{ op = \"read\", points = [] }", "`points` of allow of flow F is an empty list"),
        (
            "{ op = \"read\" }",
            "{ op = \"read\", points = [\"speed\"] }",
            "point `speed` is of asset PUMP, which is not in `to`",
        ),
        ("{ op = \"read\" }", "{ op = \"read\", blocks = [\"OB1\"] }", "`blocks` does not apply to protocol modbus"),
        ("{ op = \"read\" }", "{ op = \"read\", rate = \"often\" }", "`often` is not a rate"),
        ("protocol =", "schedule = \"night\"\nprotocol =", "unknown schedule `night` (none is declared in this file)"),
    ] {
        let found = flow_complaint(replace, with);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn a_flow_id_is_used_once_and_records_refer_to_what_exists() {
    let flow = "[[conduit.C.flow]]\nid = \"F\"\nfrom = \"zone:A\"\nto = \"PLC\"\nprotocol = \"ntp\"\n";
    let conduit = format!("[conduit.C]\nzones = [\"A\", \"B\"]\n{flow}");
    let twice = complaint(&format!("{conduit}{flow}"));
    assert!(twice.starts_with("flow id `F` is used twice: in conduit C already"), "{twice}");
    let grant = |flow: &str, end: &str| {
        complaint(&format!(
            "{conduit}[[grant]]\nid = \"G\"\nflow = \"{flow}\"\nstart = 2026-11-24T09:00:00Z\nend = {end}\n"
        ))
    };
    assert!(grant("X", "2026-11-25T09:00:00Z").starts_with("unknown flow `X`"));
    assert!(grant("F", "2026-11-23T09:00:00Z").starts_with("grant G ends before it begins"));
    assert!(
        grant("F", "\"tomorrow\"").contains("`end` of grant G must be a date and time with its offset, not a string")
    );
    let exception = complaint("[[exception]]\nid = \"E\"\nrule = \"x\"\n");
    assert!(exception.starts_with("exception E has no `expires_on`"), "{exception}");
}

#[test]
fn a_mistake_in_one_place_is_not_reported_again_where_it_is_used() {
    let added = "[point.bad]\nasset = \"PCL\"\nmodbus = { table = \"coil\", addr = 1 }\n[conduit.C]\nzones = [\"A\", \"B\"]\n\
                 [[conduit.C.flow]]\nfrom = \"zone:A\"\nto = \"PLC\"\nprotocol = \"modbus\"\n\
                 allow = [{ op = \"read\", points = [\"bad\"] }]\n";
    assert!(complaint(added).starts_with("unknown asset `PCL`"));
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let text = format!("{BASE}[zone.C]\nname = \"empty\"\n");
    let policy = policy(&text);
    let warnings = policy.warnings().to_string();
    assert!(warnings.contains("warning: nothing can be in zone `C`"), "{warnings}");
    assert!(!policy.warnings().has_errors());
}

#[test]
fn functions_are_those_that_the_decoder_names() {
    let unknown = flow_complaint("{ op = \"read\" }", "{ functions = [\"read_holding_registres\"] }");
    let expected = "unknown function `read_holding_registres` (did you mean `read_holding_registers`?";
    assert!(unknown.starts_with(expected), "{unknown}");
}

#[test]
fn opcua_flows_that_cannot_be_meant_are_errors() {
    let session = |written: &str| {
        flow_complaint("protocol = \"modbus\"", &format!("protocol = \"opcua\"\nopcua = {{ {written} }}"))
    };
    for (written, expected) in [
        ("min_mode = \"Encrypt\"", "`Encrypt` is not a message security mode"),
        ("identity = [\"nobody\"]", "`nobody` is not a kind of identity"),
        ("cert = { min_rsa_bits = 512 }", "`min_rsa_bits` of cert of opcua cannot be 512"),
        ("cert = { forbid_md5 = true }", "unknown key `forbid_md5`"),
    ] {
        let found = session(written);
        assert!(found.starts_with(expected), "{found}");
    }
    let other = flow_complaint("protocol = \"modbus\"", "protocol = \"modbus\"\nopcua = { min_mode = \"Sign\" }");
    assert!(other.starts_with("`opcua` does not apply to protocol modbus"), "{other}");
}

#[test]
fn an_unknown_security_policy_is_a_warning_with_its_place() {
    let text = format!(
        "{BASE}[conduit.C]\nzones = [\"A\", \"B\"]\n[[conduit.C.flow]]\nfrom = \"zone:A\"\nto = \"PLC\"\n\
         protocol = \"opcua\"\nopcua = {{ policies = [\"Basic256Sha265\"] }}\nallow = [{{ op = \"read\" }}]\n"
    );
    let policy = policy(&text);
    let warning = &policy.warnings().list[0];
    assert_eq!(warning.message, "`Basic256Sha265` is no security policy of the standard");
    assert_eq!(warning.help.as_deref(), Some("did you mean `Basic256Sha256`?"));
    // The line after twelve of BASE and six of the flow.
    assert_eq!((warning.line, warning.column), (BASE.lines().count() + 7, 23));
}
