//! All operations that any server may execute for a request that servers read in different ways.

use super::header::{RequestHeader, Token};
use super::item::{Item, Subject};
use super::message::Message;
use super::request::visit_items;
use crate::fault::Fault;
use crate::opcua::binary::{Dialect, Encoded, Reading, Unanimous};
use crate::operation::{Class, Node};
use crate::reader::{DecodeError, Reader};

/// One item that a server may execute.
#[derive(Clone, Copy, Debug)]
pub struct PossibleItem<'i, 'a> {
    /// The item.
    pub item: &'i Item<'a>,
    /// Index of its result in the answer.
    pub result_index: u32,
    /// It stands for all items from here on, which are unreadable.
    pub is_remainder: bool,
    /// Other servers read other items from the same bytes. Those are visited as well.
    pub is_ambiguous: bool,
}

impl<'i, 'a> PossibleItem<'i, 'a> {
    /// An item that all servers read alike.
    pub const fn unanimous(item: &'i Item<'a>, result_index: u32) -> Self {
        Self { item, result_index, is_remainder: false, is_ambiguous: false }
    }
}

/// A request with its type and header decoded.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// Its type.
    pub message: Message<'a>,
    /// The token of its session.
    pub token: Token<'a>,
    /// What follows its header.
    pub content: Reader<'a>,
}

impl<'a> RequestHead<'a> {
    /// Reads the type and the header of a request.
    pub fn read(body: &'a [u8], dialect: impl Dialect) -> Result<Self, Fault> {
        let message = Message::decode(body, dialect)?;
        let mut content = message.content;
        let token = RequestHeader::decode(&mut content, dialect)?.token;
        Ok(Self { message, token, content })
    }
}

/// Visits every item that any server may execute. `body` begins with the type of the request. The items that all servers
/// read alike come first; then, behind the first byte that they read in different ways, the items of each family.
/// Unreadable items that a server may be able to read are one unread item. Returns the first fault.
///
/// `is_truncated`: only the beginning of the request was kept.
pub fn visit_operations<'a>(
    body: &'a [u8],
    is_truncated: bool,
    mut visit: impl FnMut(&PossibleItem<'_, 'a>),
) -> Result<(), Fault> {
    let (agreed, result) = visit_reading(body, Unanimous, |item, index| visit(&PossibleItem::unanimous(item, index)));
    let Err(fault) = result else { return Ok(()) };
    let rest = Item::new(class_of(body), Subject::Unread("item"));
    if is_truncated && matches!(fault, Fault::Bytes(DecodeError::Truncated(_))) {
        visit(&PossibleItem { is_remainder: true, ..PossibleItem::unanimous(&rest, agreed) });
    } else {
        visit_disputed(body, agreed, &rest, &mut visit);
    }
    Err(fault)
}

/// Visits the items from index `agreed` on, in the reading of each family of servers that may accept the request. `rest`:
/// stands for unreadable items.
fn visit_disputed<'a>(body: &'a [u8], agreed: u32, rest: &Item<'a>, visit: &mut impl FnMut(&PossibleItem<'_, 'a>)) {
    let ends = Reading::OF_SERVERS.map(|reading| (reading, visit_reading(body, reading, |_, _| ())));
    let is_possible =
        |(reading, (_, end)): &(Reading, ReadingEnd)| end.err().is_none_or(|fault| !reading.refuses(fault));
    let possible = ends.iter().filter(|end| is_possible(end)).count();
    if possible > 1 && ends.iter().all(|(_, (count, end))| *count == agreed && end.is_err()) {
        return visit(&PossibleItem { is_remainder: true, ..PossibleItem::unanimous(rest, agreed) });
    }
    let is_ambiguous = possible > 1;
    // A request that all servers refuse is visited in the first reading.
    let visited = ends.iter().enumerate().filter(|(place, end)| is_possible(end) || possible == 0 && *place == 0);
    for (_, (reading, (count, end))) in visited {
        let _ = visit_reading(body, *reading, |item, index| {
            if index >= agreed {
                visit(&PossibleItem { is_ambiguous, ..PossibleItem::unanimous(item, index) });
            }
        });
        if end.is_err() {
            visit(&PossibleItem { item: rest, result_index: *count, is_remainder: true, is_ambiguous });
        }
    }
}

/// Number of items in a reading, and the fault that ended it.
type ReadingEnd = (u32, Result<(), Fault>);

/// Visits the items of a request in one reading, each with its index.
fn visit_reading<'a>(body: &'a [u8], dialect: impl Dialect, mut visit: impl FnMut(&Item<'a>, u32)) -> ReadingEnd {
    let mut count = 0;
    let RequestHead { message, content, .. } = match RequestHead::read(body, dialect) {
        Ok(head) => head,
        Err(fault) => return (count, Err(fault)),
    };
    let end = visit_items(message.service, content, dialect, |item| {
        match as_unread_namespace(item).filter(|_| message.has_own_namespaces) {
            Some(unnamed) => visit(&unnamed, count),
            None => visit(item, count),
        }
        count += 1;
    });
    (count, end)
}

/// The item as unread, if its nodes lie in namespaces of a table in the message itself.
fn as_unread_namespace<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    let is_foreign = |node: &Node<'_>| node.namespace != 0;
    let is_unnamed = match &item.subject {
        Subject::Node(target) => is_foreign(&target.node),
        Subject::Method(target) => is_foreign(&target.object) || is_foreign(&target.method),
        _ => false,
    };
    is_unnamed.then_some(Item { subject: Subject::Unread("namespace_uri"), ..*item })
}

/// The class of a request as a whole.
fn class_of(body: &[u8]) -> Class {
    decode_type(body).map_or(Class::Unknown, |message| message.service.class())
}

/// Reads the type of a message, in the first reading that finds one.
pub fn decode_type(body: &[u8]) -> Option<Message<'_>> {
    let in_any = || Reading::OF_SERVERS.into_iter().find_map(|reading| Message::decode(body, reading).ok());
    Message::decode(body, Unanimous).ok().or_else(in_any)
}
