//! The View services: Browse and what belongs to it (OPC 10000-4, 5.9).

use super::item::{Item, Subject};
use crate::fault::Fault;
use crate::opcua::binary::{Bytes, Dialect, Encoded, QualifiedName, date_time, each, skip_array};
use crate::operation::{Class, Node};
use crate::reader::Reader;

struct BrowseDescription<'a> {
    node: Node<'a>,
}

impl<'a> Encoded<'a> for BrowseDescription<'a> {
    const LEAST: usize = 17;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let node = Node::decode(reader, dialect)?;
        reader.u32_le("browse_direction")?;
        Node::decode(reader, dialect)?;
        reader.bytes(9, "browse_masks")?; // with subtypes?, node classes, fields of the result
        Ok(Self { node })
    }
}

struct BrowsePath<'a> {
    start: Node<'a>,
}

impl<'a> Encoded<'a> for BrowsePath<'a> {
    const LEAST: usize = 6;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let start = Node::decode(reader, dialect)?;
        skip_array::<RelativePathElement>(reader, "relative_path", dialect)?;
        Ok(Self { start })
    }
}

/// One step of a path.
pub(super) struct RelativePathElement;

impl<'a> Encoded<'a> for RelativePathElement {
    const LEAST: usize = 10;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        Node::decode(reader, dialect)?;
        reader.bytes(2, "relative_path")?; // inverse?, with subtypes?
        QualifiedName::decode(reader, dialect)?;
        Ok(Self)
    }
}

/// ViewDescription (7.45).
pub(super) fn view(reader: &mut Reader<'_>, dialect: impl Dialect) -> Result<(), Fault> {
    Node::decode(reader, dialect)?;
    date_time(reader, "view_time")?;
    reader.u32_le("view_version")?;
    Ok(())
}

pub(super) fn browse<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    view(reader, dialect)?;
    reader.u32_le("max_references")?;
    each(reader, "nodes_to_browse", dialect, |asked: BrowseDescription<'a>| {
        visit(&Item::node(Class::Browse, asked.node))
    })
}

/// Continuation points mean something to the server only.
pub(super) fn browse_next<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    reader.u8("release_continuation_points")?;
    each(reader, "continuation_points", dialect, |_: Bytes<'a>| visit(&Item::new(Class::Browse, Subject::None)))
}

pub(super) fn translate<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    each(reader, "browse_paths", dialect, |path: BrowsePath<'a>| visit(&Item::node(Class::Browse, path.start)))
}

/// RegisterNodes and UnregisterNodes.
pub(super) fn register<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    each(reader, "nodes", dialect, |node: Node<'a>| visit(&Item::node(Class::Browse, node)))
}
