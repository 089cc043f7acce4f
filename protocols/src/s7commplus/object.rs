//! Trees of objects: tags for start and end of an object, for attributes, relations and descriptions of tags.

use super::value::Value;
use super::vlq;
use crate::fault::Fault;
use crate::reader::Reader;

/// A part of a tree, in wire order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element<'a> {
    /// An object begins.
    Start {
        /// Its own id, or 211 if the controller is to assign one.
        relation: u32,
        /// Id of its class.
        class: u32,
    },
    /// An attribute of the latest object that has not ended.
    Attribute {
        /// Id of the attribute.
        id: u32,
        /// Its value.
        value: Value<'a>,
    },
}

/// Visits every object and attribute of the trees at the current position, with their depth: 1 for the outermost
/// objects and their attributes. Ends where no further tree begins.
pub(super) fn walk<'a>(reader: &mut Reader<'a>, mut visit: impl FnMut(u8, Element<'a>)) -> Result<(), Fault> {
    let mut depth: u8 = 0;
    while depth > 0 || reader.rest().first() == Some(&START_OBJECT) {
        match reader.u8("element")? {
            START_OBJECT if depth >= MAX_DEPTH => return Err(Fault::Limit("object_depth")),
            START_OBJECT => {
                depth += 1;
                visit(depth, read_start(reader)?);
            }
            END_OBJECT => depth = depth.saturating_sub(1),
            ATTRIBUTE => {
                let id = vlq::read_u32(reader, "attribute")?;
                visit(depth, Element::Attribute { id, value: Value::read(reader)? });
            }
            RELATION => {
                vlq::read_u32(reader, "relation")?;
                reader.bytes(4, "relation")?;
            }
            START_TAG => skip_tag(reader)?,
            END_TAG => {}
            VARIABLE_TYPES => skip_blocks(reader, 4)?,
            VARIABLE_NAMES => skip_blocks(reader, 0)?,
            _ => return Err(Fault::invalid("element")),
        }
    }
    Ok(())
}

fn read_start<'a>(reader: &mut Reader<'a>) -> Result<Element<'a>, Fault> {
    let relation = u32::from_be_bytes(reader.array("object")?);
    let class = vlq::read_u32(reader, "object_class")?;
    vlq::read_u32(reader, "object_flags")?;
    if vlq::read_u32(reader, "object_attribute")? != 0 {
        vlq::read_u32(reader, "object_attribute_flags")?;
    }
    Ok(Element::Start { relation, class })
}

/// Skips the description of a tag, as an S7-1200 up to firmware 2 sends it.
fn skip_tag(reader: &mut Reader<'_>) -> Result<(), Fault> {
    let kind = reader.u8("tag_offset_type")?;
    let length = vlq::read_u32(reader, "tag_name")?;
    reader.bytes(usize::try_from(length).unwrap_or(usize::MAX), "tag_name")?;
    reader.bytes(2, "tag_type")?;
    vlq::read_u32(reader, "tag_soft_type")?;
    reader.bytes(4, "tag_flags")?;
    vlq::read_u32(reader, "tag_lid")?;
    vlq::read_u32(reader, "tag_length")?;
    if kind & 0x0C != 0 {
        skip_numbers(reader, 2)?;
    }
    skip_numbers(reader, 2)?;
    match kind & 0x03 {
        0 => {}
        1 => skip_numbers(reader, 2)?,
        2 => skip_numbers(reader, 4)?,
        _ => {
            skip_numbers(reader, 2)?;
            let dimensions = vlq::read_u32(reader, "tag_dimensions")?;
            (0..dimensions).try_for_each(|_| skip_numbers(reader, 2))?;
        }
    }
    if kind == 0x08 {
        skip_numbers(reader, 2)?;
    }
    Ok(())
}

fn skip_numbers(reader: &mut Reader<'_>, count: u8) -> Result<(), Fault> {
    (0..count).try_for_each(|_| vlq::read_u32(reader, "tag_offset").map(drop))?;
    Ok(())
}

/// Skips blocks with 16-bit lengths, ended by length 0. A list of types begins with an id inside its first block.
fn skip_blocks(reader: &mut Reader<'_>, head: usize) -> Result<(), Fault> {
    let first = usize::from(reader.u16_be("block_length")?);
    // An empty list of types has its id nevertheless.
    reader.bytes(first.max(head), "block")?;
    if first == 0 {
        return Ok(());
    }
    loop {
        match usize::from(reader.u16_be("block_length")?) {
            0 => return Ok(()),
            length => reader.bytes(length, "block")?,
        };
    }
}

const START_OBJECT: u8 = 0xA1;
const END_OBJECT: u8 = 0xA2;
const ATTRIBUTE: u8 = 0xA3;
const RELATION: u8 = 0xA4;
const START_TAG: u8 = 0xA7;
const END_TAG: u8 = 0xA8;
const VARIABLE_TYPES: u8 = 0xAB;
const VARIABLE_NAMES: u8 = 0xAC;

/// Depth of nested objects that are followed.
const MAX_DEPTH: u8 = 32;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn a_session_and_the_container_inside_it_are_visited_with_their_depth() {
        let bytes = [
            0xA1, 0x00, 0x00, 0x00, 0xD3, 0x82, 0x1F, 0x00, 0x00, // object 211, class 287
            0xA3, 0x81, 0x69, 0x00, 0x15, 0x02, b'S', b'e', // 233: name
            0xA1, 0x00, 0x00, 0x00, 0xD3, 0x81, 0x7F, 0x00, 0x00, // object 211, class 255
            0xA4, 0x90, 0x0A, 0x00, 0x00, 0x00, 0x60, // relation
            0xA2, 0xA2, 0x00, 0x00, 0x00, 0x00,
        ];
        let mut seen = Vec::new();
        let mut reader = Reader::new(&bytes);
        walk(&mut reader, |depth, element| {
            seen.push(match element {
                Element::Start { class, .. } => (depth, class),
                Element::Attribute { id, .. } => (depth, id),
            });
        })
        .unwrap();
        assert_eq!(seen, [(1, 287), (1, 233), (2, 255)]);
        assert_eq!(reader.left(), 4);
    }

    #[test]
    fn descriptions_of_tags_are_walked_over() {
        let bytes = [
            0xA1, 0x90, 0x03, 0x00, 0x00, 0x83, 0x7F, 0x20, 0x00, // object, class 511
            0xA7, 0x04, 0x03, b'M', b'W', b'0', 0x00, 0x0B, 0x04, 0x01, 0x90, 0x00, 0x00, // S7-1200, firmware 2
            0x09, 0x00, 0x00, 0x04, 0x00, 0x00, 0xA8, 0xA2,
        ];
        let mut reader = Reader::new(&bytes);
        walk(&mut reader, |_, _| {}).unwrap();
        assert_eq!(reader.left(), 0);
    }

    #[test]
    fn objects_nested_without_end_stop_at_the_limit() {
        let bytes = vec![[0xA1, 0, 0, 0, 1, 1, 0, 0]; 1000].concat();
        assert_eq!(walk(&mut Reader::new(&bytes), |_, _| {}), Err(Fault::Limit("object_depth")));
    }

    #[test]
    fn an_unknown_tag_inside_an_object_is_refused() {
        let bytes = [0xA1, 0, 0, 0, 1, 1, 0, 0, 0x55];
        assert_eq!(walk(&mut Reader::new(&bytes), |_, _| {}), Err(Fault::invalid("element")));
    }
}
