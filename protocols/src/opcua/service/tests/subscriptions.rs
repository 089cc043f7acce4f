//! Monitored items, subscriptions and notifications.

use super::*;

#[test]
fn a_monitored_item_has_a_client_handle_and_an_id_of_the_server() {
    let tail = "0d000000 ffffffff 0000 ffffffff 02000000";
    let queue = "0000000000005940 01 00 d402 01 10000000 01000000 00000000 0000000000000000 0a000000 01";
    let body = format!(
        "4d000000 00000000 02000000                                / subscription 77
         03 0200 0c000000 426f696c65722e4c6576656c {tail} c9000000 {queue}
         03 0200 04000000 4e6f7065 {tail} ca000000 {queue}"
    );
    let expected = ["subscribe ns=2;s=Boiler.Level 13 #201", "subscribe ns=2;s=Nope 13 #202"];
    assert_eq!(asked(Service::CreateMonitoredItems, &body), expected);
    let results = "
        02000000
        00000000 1f000000 0000000000005940 0a000000 00 00 00       / number 31
        00003480 00000000 0000000000000000 00000000 00 00 00
        00000000";
    assert_eq!(answered(Service::CreateMonitoredItems, results), ["good #31", "bad_node_id_unknown"]);
}

#[test]
fn a_monitored_item_is_modified_and_deleted_by_the_id_of_the_server() {
    let body = "4d000000 00000000 01000000 1f000000 d1000000 0000000000000000 00 00 00 00000000 01";
    assert_eq!(asked(Service::ModifyMonitoredItems, body), ["subscribe item 31 of 77 #209"]);
    let results = "01000000 00000000 0000000000000000 00000000 00 00 00 00000000";
    assert_eq!(answered(Service::ModifyMonitoredItems, results), ["good"]);
    assert_eq!(asked(Service::DeleteMonitoredItems, "4d000000 01000000 1f000000"), ["subscribe item 31 of 77"]);
}

#[test]
fn a_monitoring_or_publishing_mode_is_the_value_of_each_item() {
    let body = "4d000000 00000000 02000000 1f000000 20000000";
    assert_eq!(asked(Service::SetMonitoringMode, body), ["subscribe item 31 of 77 0", "subscribe item 32 of 77 0"]);
    let body = "00 01000000 4d000000";
    assert_eq!(asked(Service::SetPublishingMode, body), ["subscribe subscription 77 Bool(false)"]);
}

#[test]
fn triggering_links_are_added_and_removed_with_two_arrays_of_results() {
    let body = "4d000000 1f000000 01000000 20000000 02000000 21000000 22000000";
    let expected = ["subscribe item 32 of 77", "subscribe item 33 of 77", "subscribe item 34 of 77"];
    assert_eq!(asked(Service::SetTriggering, body), expected);
    let results = "01000000 00000000 00000000 02000000 00000000 00004280 00000000";
    assert_eq!(answered(Service::SetTriggering, results), ["good", "good", "bad_monitored_item_id_invalid"]);
}

#[test]
fn subscriptions_are_created_modified_transferred_and_deleted() {
    let parameters = "0000000000000000 00000000 00000000 00000000";
    assert_eq!(asked(Service::CreateSubscription, &format!("{parameters} 01 00")), ["subscribe -"]);
    assert_eq!(answered(Service::CreateSubscription, &format!("4d000000 {parameters}")), ["good #77"]);
    assert_eq!(asked(Service::ModifySubscription, &format!("4d000000 {parameters} 00")), ["subscribe subscription 77"]);
    let body = "02000000 4d000000 4e000000 01";
    assert_eq!(asked(Service::TransferSubscriptions, body), ["security subscription 77", "security subscription 78"]);
    let results = "02000000 00000000 01000000 04000000 00002880 00000000 00000000";
    assert_eq!(answered(Service::TransferSubscriptions, results), ["good", "bad_subscription_id_invalid"]);
    assert_eq!(asked(Service::DeleteSubscriptions, "01000000 4d000000"), ["subscribe subscription 77"]);
    assert_eq!(asked(Service::Republish, "4d000000 04000000"), ["report subscription 77"]);
    assert_eq!(asked(Service::Publish, "01000000 4d000000 03000000"), ["report -"]);
}

/// The notifications in a response, as text.
fn reported(service: Service, body: &str) -> (Vec<String>, Published) {
    let body = hex(body);
    let mut found = Vec::new();
    let published = visit_notifications(service, Reader::new(&body), |_, one| {
        found.push(match one {
            Notification::Data { handle, status, values } => {
                format!("#{handle} {}{}", status.name(), super::values(*values))
            }
            Notification::Event { handle, values } => format!("#{handle}{}", super::values(*values)),
            Notification::Status(status) => status.name().into(),
        });
    });
    (found, published.unwrap())
}

/// Sequence number 4 and three kinds of notifications.
const MESSAGE: &str = "
    04000000 00a0883a1bb4da01 03000000
    01 00 2b03 01 1a000000 01000000 c9000000 03 0b 0000000000c04540 00000000 00000000 / data: item 201 is 43.5
    01 00 9403 01 1e000000 01000000 cd000000                       / event of item 205
      02000000 0c 0a000000 48696768206c6576656c 05 bc02            / 'High level', 700
    01 00 3403 01 05000000 00000a80 00                             / the subscription has timed out
    00000000 00000000";

#[test]
fn a_publish_reports_data_events_and_the_end_of_its_subscription() {
    let (found, published) = reported(Service::Publish, &format!("4d000000 01000000 04000000 01 {MESSAGE}"));
    assert_eq!(found, ["#201 good 43.5", "#205 \"High level\" 700", "bad_timeout"]);
    assert_eq!(published, Published { subscription: Some(77), sequence: 4, more: true });
}

#[test]
fn a_republish_reports_the_same_without_naming_its_subscription() {
    let (found, published) = reported(Service::Republish, MESSAGE);
    assert_eq!(found.len(), 3);
    assert_eq!(published, Published { subscription: None, sequence: 4, more: false });
}

#[test]
fn a_keep_alive_reports_nothing() {
    let (found, published) = reported(Service::Publish, "4d000000 ffffffff 00 05000000 00a0883a1bb4da01 ffffffff");
    assert!(found.is_empty());
    assert_eq!(published.sequence, 5);
}
