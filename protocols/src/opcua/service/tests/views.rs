//! View and Query services.

use super::*;

/// Two results: one with a reference to the Server object, one that failed.
const RESULTS: &str = "
    02000000
    00000000 ffffffff 01000000                                     / good, no continuation point, one reference
      02 0000 23000000 01                                          / Organizes, forward
      01 00 cd08 0000 06000000 536572766572 02 06000000 536572766572 / i=2253, Server, Server
      01000000 01 00 d407                                          / an object of type i=2004
    00003480 ffffffff 00000000
    00000000";

#[test]
fn a_browse_names_each_starting_node() {
    let body = "
        0000 ac0a71d5c07bdd01 00000000                             / no view
        00000000 02000000                                          / any number of references, two nodes
        02 0000 55000000 00000000 02 0000 21000000 01 00000000 3f000000 / i=85
        03 0200 06000000 426f696c6572 00000000 02 0000 21000000 01 00000000 3f000000";
    assert_eq!(asked(Service::Browse, body), ["browse i=85", "browse ns=2;s=Boiler"]);
    assert_eq!(answered(Service::Browse, RESULTS), ["good", "bad_node_id_unknown"]);
}

#[test]
fn a_continuation_point_has_no_name() {
    let body = "00 02000000 02000000 0102 01000000 03";
    assert_eq!(asked(Service::BrowseNext, body), ["browse -", "browse -"]);
    assert_eq!(answered(Service::BrowseNext, RESULTS), ["good", "bad_node_id_unknown"]);
}

#[test]
fn a_path_is_named_by_its_starting_node() {
    let body = "01000000 00 55 01000000 02 0000 21000000 01 01 0200 06000000 426f696c6572";
    assert_eq!(asked(Service::TranslateBrowsePaths, body), ["browse i=85"]);
    let results = "01000000 00000000 01000000 03 0200 06000000 426f696c6572 ffffffff 00000000";
    assert_eq!(answered(Service::TranslateBrowsePaths, results), ["good"]);
}

#[test]
fn registered_nodes_get_aliases() {
    let body = "02000000 03 0200 01000000 41 03 0200 01000000 42";
    assert_eq!(asked(Service::RegisterNodes, body), ["browse ns=2;s=A", "browse ns=2;s=B"]);
    assert_eq!(asked(Service::UnregisterNodes, body), ["browse ns=2;s=A", "browse ns=2;s=B"]);
    let results = "02000000 02 0100 01000000 02 0100 02000000";
    assert_eq!(answered(Service::RegisterNodes, results), ["good ns=1;i=1", "good ns=1;i=2"]);
    let answers = ItemResults::read(Service::UnregisterNodes, Reader::new(&[])).unwrap();
    assert_eq!(answers.left(), 0, "the header alone has the result");
    assert!(answers.take(2).eq([Ok(ItemResult::default()); 2]), "for both of them");
}

#[test]
fn a_query_names_the_types_that_it_searches() {
    let body = "
        0000 2a5076d5c07bdd01 00000000                             / no view
        01000000 01 00 d407 01                                     / i=2004 and its subtypes
          01000000 00000000 00000000 ffffffff                      / one column: no path, no attribute, no range
        00000000 00000000 00000000                                 / no filter, no limits";
    assert_eq!(asked(Service::QueryFirst, body), ["browse i=2004"]);
    assert_eq!(asked(Service::QueryNext, "00 02000000 0102"), ["browse -"]);
}
