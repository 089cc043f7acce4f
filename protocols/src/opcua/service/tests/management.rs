//! NodeManagement services.

use super::*;

#[test]
fn adding_a_node_names_it_or_else_its_parent() {
    let tail = "0200 03000000 4e6577 01000000 01 00 6201 01 0f000000 e00014000000000000000000000000 00 3a";
    let body = format!(
        "02000000
         00 55 02 0000 23000000 03 0200 03000000 4e6577 {tail}     / below i=85, as ns=2;s=New
         00 55 02 0000 23000000 00 00 {tail}                       / below i=85, under an id of the server's choice"
    );
    assert_eq!(asked(Service::AddNodes, &body), ["program ns=2;s=New", "program i=85"]);
    let results = "02000000 00000000 03 0200 03000000 4e6577 00001f80 00 00 00000000";
    assert_eq!(answered(Service::AddNodes, results), ["good ns=2;s=New", "bad_user_access_denied i=0"]);
}

#[test]
fn a_reference_is_named_by_its_source_node() {
    let body = "01000000 03 0200 03000000 4e6577 02 0000 23000000 01 ffffffff 00 55 00000000";
    assert_eq!(asked(Service::AddReferences, body), ["program ns=2;s=New"]);
    let body = "01000000 03 0200 03000000 4e6577 02 0000 23000000 01 00 55 01";
    assert_eq!(asked(Service::DeleteReferences, body), ["program ns=2;s=New"]);
    assert_eq!(answered(Service::AddReferences, "01000000 00001f80 00000000"), ["bad_user_access_denied"]);
}

#[test]
fn deleting_a_node_names_it() {
    assert_eq!(asked(Service::DeleteNodes, "01000000 03 0200 03000000 4e6577 01"), ["program ns=2;s=New"]);
    assert_eq!(answered(Service::DeleteNodes, "01000000 00000000 00000000"), ["good"]);
}
