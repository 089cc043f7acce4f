//! Requests: each variable or object in the body of a function becomes an operation.
//!
//! A part that cannot be decoded is not ignored: the request then has one more operation, of its function's own class
//! and with an unread target, so that only a policy which permits the whole class permits it.

use alloc::vec::Vec;

use super::object::{Element, walk};
use super::pdu::Head;
use super::pending_request::{Item, MAX_ITEMS, object_target};
use super::value::{Value, skip_members};
use super::{Context, Owned, function, id, identity, subscription, vlq};
use crate::dissector::{Function, RequestRef};
use crate::fault::Fault;
use crate::operation::{Class, Target, Values};
use crate::reader::Reader;

/// A request that is being reported.
pub(super) struct Request<'r, 'c, 's> {
    /// Number of the request in its flow.
    pub(super) number: u32,
    pub(super) function: Function,
    pub(super) items: &'r mut Vec<Item>,
    /// Number of items that were reported.
    pub(super) announced: usize,
    /// Every item was added.
    pub(super) is_complete: bool,
    pub(super) context: &'c mut Context<'s>,
}

impl Request<'_, '_, '_> {
    /// Adds an item, to be reported later.
    fn add(&mut self, class: Option<Class>, target: Target<'static>) -> Result<(), Fault> {
        if self.items.len() >= MAX_ITEMS {
            return Err(Fault::Limit("request_items"));
        }
        self.items.push(Item { class: class.unwrap_or(self.function.class), target });
        Ok(())
    }

    /// Reports the next item.
    fn announce_next(&mut self, values: Values<'_>) {
        let Some(item) = self.items.get(self.announced) else { return };
        let at = RequestRef { request: self.number, item: self.announced as u32 };
        self.context.sink.operation(at, &item.operation(self.function, values), self.context.stamp);
        self.announced += 1;
    }

    /// Whether the next item is this attribute of an object.
    fn is_next_attribute(&self, attribute: u32) -> bool {
        let next = self.items.get(self.announced).map(|item| item.target);
        matches!(next, Some(Target::Object { path: [first, ..], depth: 1, .. }) if first == attribute)
    }

    /// Reports the next item with the value that is written to it.
    fn announce_written(&mut self, value: &Value<'_>) {
        if value.structure().is_some_and(id::is_secret)
            && let Some(item) = self.items.get_mut(self.announced)
        {
            item.class = Class::Security;
        }
        self.announce_next(value.scalar().values());
    }

    /// Adds every variable in a list of references.
    fn subscribe(&mut self, list: &Value<'_>) -> Result<(), Fault> {
        let mut result = Ok(());
        subscription::visit_variables(list, |target| {
            result = self.add(Some(Class::Subscribe), target);
            result.is_ok()
        });
        result
    }

    /// Reports the items not reported yet, and one more if items may be missing.
    fn finish(&mut self) {
        if !self.is_complete {
            self.items.push(Item { class: self.function.class, target: Target::Unread { part: "items" } });
        } else if self.items.is_empty() {
            self.items.push(Item { class: self.function.class, target: Target::None });
        }
        while self.announced < self.items.len() {
            self.announce_next(Values::None);
        }
    }
}

/// Reports every operation of a request. `is_cut`: its end is missing.
pub(super) fn announce(head: &Head, body: &[u8], is_cut: bool, owned: &Owned, request: &mut Request<'_, '_, '_>) {
    let mut reader = Reader::new(body);
    let result = match head.function {
        function::EXPLORE => decode_explore(&mut reader, request),
        function::CREATE_OBJECT => decode_create_object(&mut reader, request),
        function::DELETE_OBJECT => decode_delete_object(&mut reader, head.session, owned, request),
        function::SET_VARIABLE => decode_set_variable(&mut reader, request),
        function::GET_VARIABLE => decode_get_variable(&mut reader, request),
        function::SET_MULTI_VARIABLES => decode_set_multi_variables(&mut reader, request),
        function::GET_MULTI_VARIABLES => decode_get_multi_variables(&mut reader, request),
        function::GET_VAR_SUB_STREAMED | function::SET_VAR_SUB_STREAMED => {
            decode_access_sub_streamed(&mut reader, request)
        }
        function::ADD_LINK | function::REMOVE_LINK | function::GET_LINK => decode_access_link(&mut reader, request),
        function::INVOKE => decode_invoke(&mut reader, request),
        function::BEGIN_SEQUENCE => decode_begin_sequence(&mut reader, request),
        _ => Ok(()),
    };
    match result {
        Ok(()) => request.is_complete = true,
        Err(fault) => {
            request.is_complete &= !matches!(fault, Fault::Limit(_));
            fault.report(is_cut, request.context);
        }
    }
    request.finish();
}

fn u32_be(reader: &mut Reader<'_>, field: &'static str) -> Result<u32, Fault> {
    Ok(u32::from_be_bytes(reader.array(field)?))
}

/// Object, request id, three switches; then filters, each optional and followed by its attributes: none stands for all.
fn decode_explore(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let root = u32_be(reader, "object")?;
    let path = vlq::read_u32(reader, "explore_id")?;
    reader.bytes(3, "explore_switches")?;
    let (mut all, mut class) = (true, Class::Browse);
    let target = object_target(root, (path != 0).then_some(path));
    let result = visit_attributes(reader, |attribute| {
        all = false;
        class = exploration_class(class, attribute);
    });
    if all && id::is_program(root) {
        class = Class::ProgramUpload;
    }
    request.add(Some(class), target)?;
    result
}

/// The class of an exploration that also asks for `attribute`: secrets take precedence over code, code over the rest.
fn exploration_class(class: Class, attribute: u32) -> Class {
    match id::read_class(attribute) {
        Some(Class::Security) => Class::Security,
        Some(Class::ProgramUpload) if class == Class::Browse => Class::ProgramUpload,
        _ => class,
    }
}

/// Visits the attribute ids after the filters of an exploration.
fn visit_attributes(reader: &mut Reader<'_>, mut visit: impl FnMut(u32)) -> Result<(), Fault> {
    loop {
        let [objects, count] = reader.array("explore_counts")?;
        if objects > 0 && reader.u8("explore_filter")? == STRUCTURE {
            reader.bytes(4, "explore_filter")?;
            skip_members(reader)?;
        }
        for _ in 0..count {
            visit(vlq::read_u32(reader, "attribute")?);
        }
        if objects == 0 {
            return Ok(());
        }
    }
}

/// Parent object, a value, four bytes, on some controllers an integrity id, then trees of objects.
fn decode_create_object(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    u32_be(reader, "object")?;
    Value::read(reader)?;
    reader.bytes(4, "create_fill")?;
    if reader.rest().first() != Some(&START_OBJECT) {
        vlq::read_u32(reader, "integrity_id")?;
    }
    add_objects(reader, request)
}

/// Adds an item for each outermost object of the trees, and for each variable that one of them subscribes to.
fn add_objects(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let mut full = Ok(());
    walk(reader, |depth, element| match element {
        Element::Start { relation, class } if depth == 1 && full.is_ok() => {
            full = request.add(Some(id::creation_class(class)), object_target(relation, [class]));
        }
        Element::Attribute { id: id::SUBSCRIPTION_REFERENCES, value } if depth == 1 && full.is_ok() => {
            full = request.subscribe(&value);
        }
        Element::Attribute { id, value } if depth == 1 => identity::report_client(id, &value, request.context),
        _ => {}
    })?;
    full
}

/// The id of an object; the class depends on whether this flow created it.
fn decode_delete_object(
    reader: &mut Reader<'_>,
    session: u32,
    owned: &Owned,
    request: &mut Request<'_, '_, '_>,
) -> Result<(), Fault> {
    let id = u32_be(reader, "object")?;
    let class = if id == session { Some(Class::Session) } else { owned.class_of(id) };
    request.add(class, object_target(id, []))
}

/// Object, ids of the path to the variable, value. After id 0 comes a length of raw bytes in place of an id.
fn decode_set_variable(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let (target, attribute) = read_object_path(reader)?;
    request.add(id::write_class(attribute), target)?;
    request.is_complete = true;
    let value = Value::read(reader)?;
    request.announce_written(&value);
    if attribute == id::SUBSCRIPTION_REFERENCES { request.subscribe(&value) } else { Ok(()) }
}

/// Object and ids of the path to the variable.
fn decode_get_variable(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let (target, attribute) = read_object_path(reader)?;
    request.add(id::read_class(attribute), target)
}

/// Reads an object and the counted ids below it; also returns the first id.
fn read_object_path(reader: &mut Reader<'_>) -> Result<(Target<'static>, u32), Fault> {
    let root = u32_be(reader, "object")?;
    let count = vlq::read_u32(reader, "id_count")?;
    read_path(reader, root, count)
}

/// Reads `count` ids below an object; also returns the first id. Every id takes a byte, so a wrong count ends with the
/// body.
fn read_path(reader: &mut Reader<'_>, root: u32, count: u32) -> Result<(Target<'static>, u32), Fault> {
    let mut first = 0;
    let mut target = object_target(root, []);
    let Target::Object { path, depth, .. } = &mut target else { return Ok((target, first)) };
    for index in 0..count {
        let id = vlq::read_u32(reader, "id")?;
        if index == 0 {
            first = id;
        }
        if let Some(slot) = path.get_mut(usize::from(*depth)) {
            *slot = id;
            *depth += 1;
        }
    }
    Ok((target, first))
}

/// Reads an address: checksum of the symbol, area, then attribute and ids of symbols.
fn read_address(reader: &mut Reader<'_>) -> Result<(Target<'static>, u32), Fault> {
    vlq::read_u32(reader, "symbol_crc")?;
    let area = vlq::read_u32(reader, "area")?;
    let count = vlq::read_u32(reader, "id_count")?;
    read_path(reader, area, count)
}

/// Adds the addresses of a request on several variables: full ones, or single ids below one object.
fn add_addresses(
    reader: &mut Reader<'_>,
    class: fn(u32) -> Option<Class>,
    request: &mut Request<'_, '_, '_>,
) -> Result<(), Fault> {
    let root = u32_be(reader, "object")?;
    let items = vlq::read_u32(reader, "item_count")?;
    let fields = vlq::read_u32(reader, "field_count")?;
    for _ in 0..if root == 0 { items } else { fields } {
        let (target, attribute) = if root == 0 { read_address(reader)? } else { read_path(reader, root, 1)? };
        request.add(class(attribute), target)?;
    }
    Ok(())
}

/// Addresses of the variables.
fn decode_get_multi_variables(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    add_addresses(reader, id::read_class, request)
}

/// Addresses, then each value with its number, from 1, and at the end a zero. Values of items that the addresses do not
/// name, or in another order, would write variables that were not reported.
fn decode_set_multi_variables(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    add_addresses(reader, id::write_class, request)?;
    let mut references = None;
    while request.announced < request.items.len() {
        let number = vlq::read_u32(reader, "item_number")? as usize;
        let value = Value::read(reader)?;
        if number != request.announced + 1 {
            return Err(Fault::invalid("item_number"));
        }
        if request.is_next_attribute(id::SUBSCRIPTION_REFERENCES) {
            references = Some(value);
        }
        request.announce_written(&value);
    }
    if !matches!(reader.rest(), [] | [0, ..]) {
        return Err(Fault::invalid("item_number"));
    }
    references.map_or(Ok(()), |list| request.subscribe(&list))
}

/// An object, and a value with the ids of the path to the variable; written values follow later.
fn decode_access_sub_streamed(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let root = u32_be(reader, "object")?;
    let value = Value::read(reader)?;
    let attribute = value.ids().next().unwrap_or_default();
    let class = match request.function.class {
        Class::Program => {
            id::write_class(attribute).filter(|class| *class != Class::Subscribe && *class != Class::Session)
        }
        _ => id::read_class(attribute),
    };
    request.add(class, object_target(root, value.ids()))
}

/// An object and the id of its relation.
fn decode_access_link(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let root = u32_be(reader, "object")?;
    let relation = vlq::read_u32(reader, "relation")?;
    request.add(None, object_target(root, [relation]))
}

/// An object and the id of what is invoked on it.
fn decode_invoke(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let root = u32_be(reader, "object")?;
    let called = u32_be(reader, "invoked")?;
    request.add(None, object_target(root, [called]))
}

/// A type and, except in version 1, the subject of the sequence: an object id after 18, an object after any other type.
fn decode_begin_sequence(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let has_id = matches!(reader.rest(), [_, 0, SEQUENCE_ON_ID, _, _, _, _, ..]);
    if has_id {
        reader.bytes(3, "sequence")?;
        let id = u32_be(reader, "object")?;
        return request.add(None, object_target(id, []));
    }
    Ok(())
}

/// Type of a structure, in the filter of an exploration.
const STRUCTURE: u8 = 0x17;
/// Tag of an object's start.
const START_OBJECT: u8 = 0xA1;
/// The type of a sequence whose subject is an object id.
const SEQUENCE_ON_ID: u8 = 18;
