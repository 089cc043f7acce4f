//! Discovery services.

use super::*;

/// Application urn:client of product urn:product, `Panel 3`, a client, with two discovery URLs.
pub(super) const APPLICATION: &str = "
    0a000000 75726e3a636c69656e74 0b000000 75726e3a70726f64756374 02 07000000 50616e656c2033 01000000 ffffffff ffffffff
    02000000 10000000 6f70632e7463703a2f2f613a34383430 10000000 6f70632e7463703a2f2f623a34383430";

/// The URL `opc.tcp://plc:4840`.
pub(super) const URL: &str = "12000000 6f70632e7463703a2f2f706c633a34383430";

/// An endpoint of the application, without security, for anonymous users and user names.
pub(super) fn endpoint() -> String {
    format!(
        "{URL} {APPLICATION} 04000000 43455254 01000000
         2f000000 687474703a2f2f6f7063666f756e646174696f6e2e6f72672f55412f5365637572697479506f6c696379234e6f6e65
         02000000 04000000 616e6f6e 00000000 ffffffff ffffffff ffffffff
                  04000000 75736572 01000000 ffffffff ffffffff ffffffff
         ffffffff 00"
    )
}

#[test]
fn a_discovery_request_names_the_url_that_the_client_uses() {
    let body = format!("{URL} 00000000 00000000");
    assert_eq!(asked(Service::FindServers, &body), ["discover opc.tcp://plc:4840"]);
    assert_eq!(asked(Service::GetEndpoints, &body), ["discover opc.tcp://plc:4840"]);
    assert_eq!(asked(Service::FindServersOnNetwork, "00000000 00000000 00000000"), ["discover -"]);
}

#[test]
fn endpoints_have_a_security_mode_a_policy_and_user_tokens() {
    let body = hex(&format!("01000000 {}", endpoint()));
    let found: Vec<_> = read_endpoints(Reader::new(&body)).unwrap().map(Result::unwrap).collect();
    assert_eq!(found.len(), 1);
    assert_eq!((text(found[0].url.or_empty()), found[0].mode, found[0].users), ("opc.tcp://plc:4840".into(), 1, 0b11));
    assert!(found[0].policy.or_empty().ends_with(b"#None"));
    assert_eq!(found[0].certificate.or_empty(), b"CERT");
    assert_eq!(found[0].server.uri.or_empty(), b"urn:client");
}

#[test]
fn servers_have_a_name_a_type_and_a_discovery_url() {
    let body = hex(&format!("01000000 {APPLICATION}"));
    let found: Vec<_> = read_servers(Reader::new(&body)).unwrap().map(Result::unwrap).collect();
    assert_eq!(found[0].name.text.or_empty(), b"Panel 3");
    assert_eq!((found[0].kind, text(found[0].discovery_url.or_empty())), (1, "opc.tcp://a:4840".into()));
}

#[test]
fn a_server_registers_its_discovery_url() {
    let body = "
        09000000 75726e3a726f677565 ffffffff 01000000 02 01000000 78 00000000 ffffffff
        01000000 13000000 6f70632e7463703a2f2f6576696c3a34383430 ffffffff 01";
    assert_eq!(asked(Service::RegisterServer, body), ["security opc.tcp://evil:4840"]);
    assert_eq!(asked(Service::RegisterServer2, &format!("{body} 00000000")), ["security opc.tcp://evil:4840"]);
}
