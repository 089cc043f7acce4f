//! Channels, sessions and users.

use super::discovery::{APPLICATION, URL, endpoint};
use super::*;
use crate::security::UserKind;

#[test]
fn a_channel_is_renewed_with_a_mode_and_a_lifetime() {
    let nonce = "cc".repeat(32);
    let body = hex(&format!("00000000 01000000 02000000 20000000 {nonce} 80ee3600"));
    let request = OpenRequest { kind: TokenRequest::Renew, mode: 2, lifetime: 3_600_000 };
    assert_eq!(OpenRequest::read(&mut Reader::new(&body)), Ok(request));
    let body = hex(&format!("00000000 05000000 0e000000 00a0883a1bb4da01 80ee3600 20000000 {nonce}"));
    let response = OpenResponse { channel: 5, token: 14, created: 1_717_243_200_000_000_000, lifetime: 3_600_000 };
    assert_eq!(OpenResponse::read(&mut Reader::new(&body)), Ok(response));
}

#[test]
fn a_session_is_created_with_names_and_certificates() {
    let body = format!(
        "{APPLICATION} ffffffff {URL} 03000000 484d49              / 'HMI'
         04000000 aaaaaaaa 0a000000 434c49454e5443455254           / nonce, 'CLIENTCERT'
         00000000004ced40 00000000                                 / 60000 ms"
    );
    assert_eq!(asked(Service::CreateSession, &body), ["session opc.tcp://plc:4840"]);
    let bytes = hex(&body);
    let request = CreateRequest::read(&mut Reader::new(&bytes)).unwrap();
    assert_eq!((request.name.or_empty(), request.certificate.or_empty()), (&b"HMI"[..], &b"CLIENTCERT"[..]));
    assert_eq!((request.client.uri.or_empty(), request.timeout), (&b"urn:client"[..], 60_000.0));
}

#[test]
fn the_token_of_a_new_session_is_never_printed() {
    let body = format!(
        "02 0100 09000000 05 0100 04000000 11223344                / ns=1;i=9, token
         00000000004ced40 04000000 bbbbbbbb 04000000 43455254      / 60000 ms, nonce, certificate
         01000000 {} 00000000 ffffffff ffffffff 00000000",
        endpoint()
    );
    let bytes = hex(&body);
    let response = CreateResponse::read(&mut Reader::new(&bytes)).unwrap();
    assert_eq!((format!("{}", response.session), format!("{:?}", response.token)), ("ns=1;i=9".into(), "Token".into()));
    assert_eq!(response.endpoints.map(|one| one.unwrap().mode).collect::<Vec<_>>(), [1]);
    let same = hex("05 0100 04000000 11223344");
    let other = hex("05 0100 04000000 11223345");
    let key = |bytes: &[u8]| Token::read(&mut Reader::new(bytes)).unwrap().key();
    assert_eq!(key(&same), response.token.key());
    assert_ne!(key(&other), response.token.key());
}

/// The item and the cleartext flag of an ActivateSession with this user identity token.
fn user(token: &str) -> (String, bool) {
    let body = format!("ffffffff ffffffff 00000000 01000000 02000000 656e {token} ffffffff ffffffff");
    let bytes = hex(&body);
    let identity = ActivateRequest::read(&mut Reader::new(&bytes)).unwrap().identity;
    assert!(!format!("{identity:?}").contains("104, 117, 110, 116, 101, 114"), "the password is printed");
    (asked(Service::ActivateSession, &body).concat(), identity.is_secret_clear)
}

#[test]
fn a_user_is_reported_by_name_without_the_password() {
    let name = "04000000 75736572 08000000 6f70657261746f72"; // policy 'user', 'operator'
    let clear = user(&format!("01 00 4401 01 23000000 {name} 07000000 68756e74657232 ffffffff"));
    assert_eq!(clear, ("security username operator".into(), true));
    let encrypted = user(&format!("01 00 4401 01 2b000000 {name} 07000000 01010101010101 08000000 7273612d6f616570"));
    assert_eq!(encrypted, ("security username operator".into(), false));
    let without = user(&format!("01 00 4401 01 1c000000 {name} ffffffff ffffffff"));
    assert_eq!(without, ("security username operator".into(), false), "no password, no cleartext secret");
}

#[test]
fn users_without_a_user_name_token_have_no_name() {
    assert_eq!(user("01 00 4101 01 08000000 04000000 616e6f6e"), ("security anonymous ".into(), false));
    assert_eq!(user("00 00 00"), ("security anonymous ".into(), false), "no token at all");
    let certificate = user("01 00 4701 01 14000000 04000000 63657274 08000000 5553455243455254");
    assert_eq!(certificate, ("security certificate ".into(), false));
    let token = "01 00 ac03 01 12000000 03000000 6a7774 03000000 4a5754 ffffffff";
    assert_eq!(user(token), ("security issued-token ".into(), true));
    assert_eq!(
        user("01 03 0100 01 01000000 00"),
        ("security issued-token ".into(), false),
        "a kind that the standard does not define"
    );
}

#[test]
fn the_certificate_of_a_user_is_kept() {
    let body = hex("ffffffff ffffffff 00000000 00000000
        01 00 4701 01 14000000 04000000 63657274 08000000 5553455243455254 ffffffff ffffffff");
    let identity = ActivateRequest::read(&mut Reader::new(&body)).unwrap().identity;
    assert_eq!((identity.kind, identity.certificate), (UserKind::Certificate, &b"USERCERT"[..]));
}

#[test]
fn closing_a_session_and_cancelling_name_no_target() {
    assert_eq!(asked(Service::CloseSession, "01"), ["session -"]);
    assert_eq!(asked(Service::Cancel, "07000000"), ["session -"]);
}
