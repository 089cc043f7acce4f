//! A permit for one node covers no other node, however the request encodes it, and also if the request was not captured.

mod support;

#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the decoders; this file uses a part")]
#[path = "../protocols/tests/opcua/wire.rs"]
mod wire;

use lockkeeper_protocols::Side;
use serde_json::Value;
use support::conversation::Conversation;
use support::{is_loud, policy};
use wire::{Channel, NONE, NULL, acknowledge, array, hello, request, response, results};

/// Permits class `observe`, and writes to one node.
const FLOW: &str = r#"
protocol = "opcua"
port = 4840
allow = [{ op = "observe" }, { op = "write", opcua = { nodes = ["ns=2;i=1"] } }]"#;

/// A connection with an open secure channel.
struct Recording {
    conversation: Conversation,
    channel: Channel,
}

impl Recording {
    fn new() -> Self {
        let mut conversation = Conversation::new(4840);
        let mut channel = Channel::new(0);
        conversation.send(Side::Client, &hello("opc.tcp://plc:4840"));
        conversation.send(Side::Server, &acknowledge());
        for (side, opening) in channel.open(NONE, 1) {
            conversation.send(side, &opening);
        }
        Self { conversation, channel }
    }

    fn say(&mut self, from: Side, number: u32, body: &[u8]) {
        for chunk in self.channel.message(from, number, body, &[60_000; 40]) {
            self.conversation.send(from, &chunk);
        }
    }

    /// The last revision of every alert that is not of kind `asset`.
    fn alerts(&self) -> Vec<Value> {
        self.conversation.alerts(&policy(&[FLOW]))
    }

    /// Rule, target and status of the denied writes; panics if one is below severity high.
    fn denied(&self) -> Vec<String> {
        let alerts = self.alerts();
        let writes = alerts.iter().filter(|alert| alert["operation"]["class"] == "write");
        let text = |alert: &Value| {
            assert!(is_loud(alert), "{alert}");
            let target = &alert["operation"]["target"];
            let target = target["node"].as_str().or(target["unread"].as_str()).expect("a target");
            format!(
                "{} {target} {}",
                alert["rule"].as_str().expect("a rule"),
                alert["outcome"]["status"].as_str().unwrap_or("-")
            )
        };
        writes.map(text).collect()
    }
}

fn number(namespace: u8, id: u16) -> Vec<u8> {
    [&[1, namespace][..], &id.to_le_bytes()].concat()
}

/// A Write of the value 7 (Int32) to encoded nodes.
fn write(nodes: &[Vec<u8>]) -> Vec<u8> {
    let item = |node: &Vec<u8>| [&node[..], &13_u32.to_le_bytes(), &NULL, &[1, 6, 7, 0, 0, 0]].concat();
    request(673, 1, &array(&nodes.iter().map(item).collect::<Vec<_>>()))
}

#[test]
fn a_permitted_request_of_any_length_raises_no_alert() {
    let mut recording = Recording::new();
    recording.say(Side::Client, 2, &write(&[number(2, 1)]));
    recording.say(Side::Server, 2, &results(676, &[0]));
    recording.say(Side::Client, 3, &write(&vec![number(2, 1); 65_600]));
    recording.say(Side::Server, 3, &results(676, &vec![0; 65_600]));
    assert_eq!(recording.alerts(), Vec::<Value>::new());
}

#[test]
fn the_65541st_item_of_a_request_is_judged() {
    let mut recording = Recording::new();
    let mut nodes = vec![number(2, 1); 65_541];
    nodes[65_540] = number(2, 2);
    recording.say(Side::Client, 2, &write(&nodes));
    recording.say(Side::Server, 2, &results(676, &vec![0; 65_541]));
    let denied = recording.denied();
    assert!(denied.len() == 1 && denied[0].starts_with("address.undeclared ns=2;i=2 "), "{denied:?}");
}

#[test]
fn a_node_behind_an_odd_byte_is_judged() {
    let mut recording = Recording::new();
    // The second node has a server index and its flag; asyncua 2.1.0 writes all three nodes.
    let odd = vec![0x41, 2, 1, 0, 0, 0, 0, 0];
    recording.say(Side::Client, 2, &write(&[number(2, 1), odd, number(2, 3)]));
    recording.say(Side::Server, 2, &results(676, &[0, 0, 0]));
    assert_eq!(recording.denied(), ["address.undeclared ns=2;i=3 accepted"]);
}

#[test]
fn an_unreadable_node_is_covered_by_no_permit() {
    let mut recording = Recording::new();
    let deep = [&number(2, 1)[..], &13_u32.to_le_bytes(), &NULL, &[1], &[24; 150], &[1, 1]].concat();
    recording.say(Side::Client, 2, &request(673, 1, &array(&[deep])));
    recording.say(Side::Server, 2, &results(676, &[0]));
    assert_eq!(recording.denied(), ["operation.undeclared item accepted"]);
}

#[test]
fn a_node_in_another_encoding_is_judged_by_its_identity() {
    let mut recording = Recording::new();
    recording.say(Side::Client, 2, &request(560, 1, &array(&[number(3, 2)])));
    recording.say(Side::Server, 2, &response(563, 0, &array(&[number(2, 1)])));
    recording.say(Side::Client, 3, &write(&[number(2, 1)]));
    recording.say(Side::Server, 3, &results(676, &[0]));
    assert_eq!(recording.denied(), ["address.undeclared ns=3;i=2 accepted"]);
}

#[test]
fn an_accepted_write_whose_request_was_not_captured_is_an_alert_of_its_own() {
    let mut recording = Recording::new();
    recording.conversation.capture_only(Side::Server);
    recording.say(Side::Client, 2, &write(&[number(2, 1)]));
    recording.say(Side::Server, 2, &results(676, &[0]));
    assert_eq!(recording.denied(), ["operation.request-unseen target accepted"]);
}
