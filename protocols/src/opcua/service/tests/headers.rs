//! Types and headers of messages.

use super::*;

#[test]
fn a_request_header_has_token_handle_timeout_and_time() {
    let bytes = hex("
        01 00 7702                                                 / i=631, Read
        05 0100 04000000 11223344                                  / token of the session
        00a0883a1bb4da01 07000000 00000000 ffffffff a00f0000 00 00 00 / time, number 7, no audit id, 4000 ms
        ee");
    let mut message = Message::read(&bytes).unwrap();
    assert_eq!((message.service, message.direction), (Service::Read, Some(Direction::Request)));
    let header = RequestHeader::read(&mut message.content).unwrap();
    assert_eq!((header.handle, header.timeout, header.time), (7, 4000, 1_717_243_200_000_000_000));
    assert!(!header.token.is_null() && message.content.rest() == [0xEE]);
}

#[test]
fn a_response_header_has_the_result_of_its_request_behind_all_diagnostics() {
    let bytes = hex("
        01 00 7a02 00a0883a1bb4da01 07000000 00001f80              / Read, number 7, refused
        7f 01000000 02000000 03000000 04000000 02000000 6869 00000180 00 / all diagnostics
        01000000 03000000 616263 00 00 00                          / a table of one text
        ee");
    let mut message = Message::read(&bytes).unwrap();
    assert_eq!((message.service, message.direction), (Service::Read, Some(Direction::Response)));
    let header = ResponseHeader::read(&mut message.content).unwrap();
    assert_eq!((header.handle, header.result.name()), (7, "bad_user_access_denied"));
    assert_eq!(message.content.rest(), [0xEE]);
}

#[test]
fn an_encoding_number_is_read_in_any_form_but_only_in_the_standard_namespace() {
    let service = |bytes: &str| Message::read(&hex(bytes)).map(|message| message.service);
    assert_eq!(service("01 00 a102"), Ok(Service::Write));
    assert_eq!(service("02 0000 a1020000"), Ok(Service::Write));
    assert_eq!(service("01 02 a102"), Ok(Service::Vendor), "namespace 2");
    assert_eq!(service("03 0000 01000000 41"), Ok(Service::Vendor), "a text");
    assert_eq!(service("07 00 a102"), Err(Fault::invalid("node_id_encoding")));
}

#[test]
fn a_sessionless_invoke_is_its_inner_service() {
    let envelope = "
        01 00 1f3e                                                 / i=15903, SessionlessInvokeRequest
        01000000 01000000 05000000 75726e3a61 00000000 00000000    / version of the tables, one namespace
        9f020000                                                   / type i=671, WriteRequest
        00 00 00a0883a1bb4da01 07000000 00000000 ffffffff 00000000 00 00 00
        01000000 01 02 0100 0d000000 ffffffff 01 01 01             / ns=2;i=1 := true";
    let bytes = hex(envelope);
    let mut message = Message::read(&bytes).unwrap();
    assert_eq!((message.service, message.is_sessionless), (Service::Write, true));
    let header = RequestHeader::read(&mut message.content).unwrap();
    assert!(header.token.is_null());
    assert_eq!(walked(message.service, message.content.rest()).0, ["write ns=2;i=1 13 Bool(true)"]);
    let by_encoding = hex(&envelope.replace("9f020000", "a1020000"));
    assert_eq!(Message::read(&by_encoding).unwrap().service, Service::Write, "i=673");
    let unknown = hex(&envelope.replace("9f020000", "01000000"));
    assert_eq!(Message::read(&unknown).unwrap().service, Service::SessionlessInvoke);
}
