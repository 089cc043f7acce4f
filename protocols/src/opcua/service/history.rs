//! HistoryRead and HistoryUpdate (OPC 10000-4, 5.11.3 and 5.11.5; OPC 10000-11).

use super::item::{Item, Subject};
use crate::fault::Fault;
use crate::opcua::binary::{Bytes, Dialect, Encoded, ExtensionObject, QualifiedName, visit_each};
use crate::operation::{Class, Node};
use crate::reader::Reader;

/// HistoryReadValueId: the node whose history is read.
struct HistoryReadValueId<'a> {
    node: Node<'a>,
    range: Bytes<'a>,
}

impl<'a> Encoded<'a> for HistoryReadValueId<'a> {
    const MIN_SIZE: usize = 16;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let node = Node::decode(reader, dialect)?;
        let range = Bytes::decode_as(reader, "index_range", dialect)?;
        QualifiedName::decode(reader, dialect)?;
        Bytes::decode_as(reader, "continuation_point", dialect)?;
        Ok(Self { node, range })
    }
}

/// HistoryRead: an item for each node.
pub(super) fn visit_history_read<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    ExtensionObject::decode(reader, dialect)?;
    reader.u32_le("timestamps_to_return")?;
    reader.u8("release_continuation_points")?;
    visit_each(reader, "nodes_to_read", dialect, |asked: HistoryReadValueId<'a>| {
        visit(&Item::attribute(Class::Read, asked.node, VALUE, asked.range));
    })
}

/// HistoryUpdate: an item for each node. All known update structures begin with their node.
pub(super) fn visit_history_update<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    visit_each(reader, "history_update_details", dialect, |details: ExtensionObject<'a>| {
        let known = details.standard_body().and_then(|(kind, mut body)| {
            let class = match kind {
                _ if UPDATES.contains(&kind) => Class::Write,
                _ if DELETIONS.contains(&kind) => Class::DiagnosticClear,
                _ => return None,
            };
            Some(Item::node(class, Node::decode(&mut body, dialect).ok()?))
        });
        visit(&known.unwrap_or(Item::new(Class::Write, Subject::Unread("history_update_details"))));
    })
}

/// UpdateDataDetails, UpdateEventDetails, UpdateStructureDataDetails.
const UPDATES: [u32; 3] = [682, 685, 11300];
/// DeleteRawModifiedDetails, DeleteAtTimeDetails, DeleteEventDetails.
const DELETIONS: [u32; 3] = [688, 691, 694];
/// The Value attribute, whose history is kept.
const VALUE: u32 = 13;
