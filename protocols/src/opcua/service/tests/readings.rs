//! Requests that servers read in different ways: every operation that some server executes is found.

use proptest::prelude::*;

use super::*;

/// A Write of the value 7 (Int32) to nodes, whose ids are given as bytes.
fn write(nodes: &[&str]) -> Vec<u8> {
    let items: Vec<u8> =
        nodes.iter().flat_map(|node| [hex(node), hex("0d000000 ffffffff 01 06 07000000")].concat()).collect();
    request(Service::Write, &[(nodes.len() as u32).to_le_bytes().to_vec(), items].concat())
}

#[test]
fn behind_a_node_id_with_flags_each_family_of_servers_reads_its_own_request() {
    // ns=2;i=1, then ns=2;i=2 with the flag of a server index and the index 0, as asyncua executes it, then ns=2;i=3
    let expanded = write(&["01 02 0100", "41 02 0200 00000000", "01 02 0300"]);
    let (lines, result) = found(&expanded);
    // Without the flag, 0 is the attribute, and the text behind it has 13 bytes.
    assert_eq!(lines, ["write ns=2;i=1 13 7 @0", "write ns=2;i=2 13 7 @1", "write ns=2;i=3 13 7 @2"]);
    assert_eq!(result, Err(Fault::invalid("node_id_encoding")));

    // The same without the index, as .NET, open62541, Milo and node-opcua execute it.
    let plain = write(&["01 02 0100", "41 02 0200", "81 02 0300"]);
    assert_eq!(found(&plain).0, ["write ns=2;i=1 13 7 @0", "write ns=2;i=2 13 7 @1", "write ns=2;i=3 13 7 @2"]);
}

#[test]
fn a_request_that_both_families_can_read_is_visited_in_both_readings() {
    let body = hex("
        01000000                            / one item
        41 02 0200                          / ns=2;i=2, with the flag of a server index
        0d000000                            / expanded: the index; plain: attribute 13
        0d000000                            / expanded: attribute 13; plain: the length of a text
        ffffffff 01 06 07000000             / expanded: no range, Int32 7
        000000 01 06 08000000               / plain: the text ends behind its third byte, Int32 8
    ");
    let (lines, _) = found(&request(Service::Write, &body));
    assert_eq!(
        lines,
        [
            "write ns=2;i=2 13 7 @0 ?",
            "write ns=2;i=2 13[\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{1}\u{6}\u{7}\0\0\0\0\0\0] 8 @0 ?"
        ]
    );
}

#[test]
fn flags_in_the_type_or_header_of_a_request_do_not_hide_it() {
    let sound = write(&["01 02 0100"]);
    let behind_type = &sound[7..];
    for (odd, readings) in [
        ("81 00 a102 ffffffff", 1), // a null namespace URI
        ("c1 00 a102 ffffffff 00000000", 1),
        ("41 00 a102", 1), // without a server index, as some servers read it
        ("31 00 a102", 1), // bits that only some servers evaluate
    ] {
        let (lines, result) = found(&[hex(odd), behind_type.to_vec()].concat());
        assert_eq!((lines.len(), lines[0].as_str()), (readings, "write ns=2;i=1 13 7 @0"), "{odd}");
        assert!(result.is_err());
    }
    // The token of the session, ns=1;i=777, with the flag of a server index.
    let token = [&sound[..7], &hex("41 01 0903 00000000")[..], &sound[9..]].concat();
    // Without the flag, everything behind it moves, up to a count of 0.
    assert_eq!(found(&token).0, ["write ns=2;i=1 13 7 @0 ?", "write - @0 ?"]);
}

#[test]
fn items_that_no_server_can_read_are_one_unread_item() {
    for node in ["06 02 0100", "ff ff ffff", "01 02"] {
        let (lines, result) = found(&write(&["01 02 0100", node, "01 02 0300"]));
        assert_eq!(lines.first().map(String::as_str), Some("write ns=2;i=1 13 7 @0"), "{node}");
        assert!(lines.last().is_some_and(|last| last.starts_with("write unread item @")), "{lines:?}");
        assert!(result.is_err());
    }
}

#[test]
fn items_that_only_a_server_may_be_able_to_read_are_one_unread_item() {
    // Values nested deeper than the limit: 101 variants.
    let deep = [hex("01 02 0100 0d000000 ffffffff 01"), std::vec![24; 101], hex("01 01")].concat();
    let behind = hex("01 02 0200 0d000000 ffffffff 01 06 07000000");
    let body = [hex("02000000"), deep, behind].concat();
    let (lines, result) = found(&request(Service::Write, &body));
    assert_eq!(lines, ["write unread item @0"]);
    assert_eq!(result, Err(Fault::Limit("value_depth")));
}

#[test]
fn a_valid_structure_that_servers_read_differently_is_visited_in_both_readings() {
    let body = hex("
        02000000
        01 02 0100 0d000000 ffffffff 01 16  / ns=2;i=1: an ExtensionObject
        01 00 2901 02                       / Argument in XML
        12000000                            / 18 bytes of it; or else the next node: two-byte encoding is none of 12
        3c612f3e 000000000000000000000000 0000
        01 02 0200 0d000000 ffffffff 01 06 07000000
    ");
    let (lines, result) = found(&request(Service::Write, &body));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].starts_with("write ns=2;i=2 13 7 @1"), "{lines:?}");
    assert_eq!(result, Err(Fault::Ambiguous("extension_encoding")));
    // With 514 bytes of XML: where no body is read, a node follows.
    let hidden = hex("
        02000000
        01 02 0100 0d000000 ffffffff 01 16 01 00 2901 02
        02020000                            / 514 bytes of XML; or else a node with a number: ns=2 ...
        030000                              / ... i=768
        0d000000 ffffffff 01 06 07000000    / its value
    ");
    let padding = std::vec![0; 514 - 17];
    let end = hex("01 02 0200 0d000000 ffffffff 01 06 07000000");
    let (lines, _) = found(&request(Service::Write, &[hidden, padding, end].concat()));
    assert!(lines.iter().any(|line| line == "write ns=2;i=768 13 7 @1 ?"), "{lines:?}");
    assert!(lines.iter().any(|line| line == "write ns=2;i=2 13 7 @1 ?"), "{lines:?}");
}

#[test]
fn nodes_of_a_sessionless_invoke_with_its_own_namespace_table_are_unread() {
    let head = |uris: &str| [hex("01 00 1f3e 00000000"), hex(uris), hex("ffffffff ffffffff 9f020000")].concat();
    let inner = write(&["01 02 0100", "01 00 0f00"])[7..].to_vec();
    let (lines, result) = found(&[head("ffffffff"), inner.clone()].concat());
    assert_eq!((lines, result), (["write ns=2;i=1 13 7 @0", "write i=15 13 7 @1"].map(String::from).to_vec(), Ok(())));
    let (lines, _) = found(&[head("01000000 03000000 75726e"), inner].concat());
    assert_eq!(lines, ["write unread namespace_uri 7 @0", "write i=15 13 7 @1"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The reference is a model of the decoders of servers: one simple reader for each family.
    #[test]
    fn a_fault_anywhere_in_a_write_never_hides_an_operation_that_a_server_executes(
        nodes in 1_usize..6, place in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let names: Vec<String> = (1..=nodes).map(|node| format!("01 02 {node:02x}00")).collect();
        let mut bytes = write(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let (lines, _) = found(&bytes);
        let is_unread = lines.iter().any(|line| line.starts_with("write unread"));
        for executed in [model::execute(&bytes, true), model::execute(&bytes, false)].into_iter().flatten() {
            for node in executed {
                let is_found = lines.iter().any(|line| line.contains(&format!(" {node} ")));
                prop_assert!(is_found || is_unread, "{} of {:?} at byte {}", node, lines, place);
            }
        }
        prop_assert!(!lines.is_empty());
    }
}

/// Models of servers, as far as they read a Write of numbers.
mod model {
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    struct Server<'a> {
        rest: &'a [u8],
        is_expanded: bool,
    }

    /// The nodes that a server writes to; `None` if it refuses the request.
    pub(super) fn execute(bytes: &[u8], is_expanded: bool) -> Option<Vec<String>> {
        let server = &mut Server { rest: bytes, is_expanded };
        (server.node()? == "i=673").then_some(())?;
        server.node()?;
        server.take(16)?; // time, handle, diagnostics
        server.text()?;
        server.take(4)?;
        server.structure()?;
        let count = server.number()?;
        (0..count.max(0)).map(|_| server.item()).collect()
    }

    impl<'a> Server<'a> {
        fn take(&mut self, count: usize) -> Option<&'a [u8]> {
            let (head, rest) = self.rest.split_at_checked(count)?;
            self.rest = rest;
            Some(head)
        }

        fn byte(&mut self) -> Option<u8> {
            self.take(1).map(|bytes| bytes[0])
        }

        fn number(&mut self) -> Option<i32> {
            self.take(4).map(|bytes| i32::from_le_bytes(bytes.try_into().unwrap()))
        }

        fn text(&mut self) -> Option<()> {
            match self.number()? {
                -1 => Some(()),
                // asyncua moves backwards: not modelled
                length if length < 0 => (!self.is_expanded).then_some(()),
                length => self.take(length as usize).map(|_| ()),
            }
        }

        fn node(&mut self) -> Option<String> {
            let first = self.byte()?;
            let kind = if self.is_expanded { first & 0x3F } else { first & 0x0F };
            let node = match kind {
                0 => format!("i={}", self.byte()?),
                1 => {
                    let bytes = self.take(3)?;
                    named(bytes[0].into(), u16::from_le_bytes([bytes[1], bytes[2]]).into())
                }
                2 => {
                    let bytes = self.take(6)?;
                    let id = u32::from_le_bytes(bytes[2..].try_into().unwrap());
                    named(u16::from_le_bytes([bytes[0], bytes[1]]), id)
                }
                3 | 5 => {
                    self.take(2)?;
                    self.text()?;
                    "a text".into()
                }
                4 => {
                    self.take(18)?;
                    "a GUID".into()
                }
                _ => return None,
            };
            if self.is_expanded && first & 0x80 != 0 {
                self.text()?;
            }
            if self.is_expanded && first & 0x40 != 0 {
                self.take(4)?;
            }
            Some(node)
        }

        fn structure(&mut self) -> Option<()> {
            self.node()?;
            match self.byte()? {
                0 => Some(()),
                form if self.is_expanded => {
                    if form & 1 != 0 {
                        let length = self.number()?;
                        (length >= 0).then_some(())?;
                        self.take(length as usize)?;
                    }
                    Some(())
                }
                1 | 2 => self.text(),
                _ => None,
            }
        }

        fn item(&mut self) -> Option<String> {
            let node = self.node()?;
            self.number()?;
            self.text()?;
            let present = self.byte()?;
            if present & 1 != 0 {
                self.value()?;
            }
            let sizes = [(2, 4), (4, 8), (8, 8), (16, 2), (32, 2)];
            let size = sizes.iter().filter(|(bit, _)| present & bit != 0).map(|(_, size)| size).sum();
            self.take(size)?;
            Some(node)
        }

        /// Scalars of the types that a changed byte can make of an Int32, except those that nest.
        fn value(&mut self) -> Option<()> {
            let sizes = [0, 1, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 0, 8, 16];
            match self.byte()? {
                kind @ (0..=11 | 13 | 14) => self.take(sizes[usize::from(kind)]).map(|_| ()),
                12 | 15 | 16 => self.text(),
                17 => self.node().map(|_| ()),
                19 => self.take(4).map(|_| ()),
                22 => self.structure(),
                32..64 if self.is_expanded => self.text(),
                _ => None,
            }
        }
    }

    fn named(namespace: u16, id: u32) -> String {
        if namespace == 0 { format!("i={id}") } else { format!("ns={namespace};i={id}") }
    }
}
