//! Requests: what each function names in its body becomes operations, one for each variable or object.
//!
//! What cannot be decoded is not silent: the request then has one more operation, of its function's own class and with a
//! target that is not read, so that only a policy that permits all of the class permits it.

use alloc::vec::Vec;

use super::object::{Element, walk};
use super::pdu::Head;
use super::pending_request::{Item, MAX_ITEMS, object};
use super::value::{Value, skip_members};
use super::{Context, Owned, function, id, identity, subscription, vlq};
use crate::dissector::{Function, RequestRef};
use crate::fault::Fault;
use crate::operation::{Class, Target, Values};
use crate::reader::Reader;

/// A request that is being announced.
pub(super) struct Request<'r, 'c, 's> {
    /// Number of the request in its flow.
    pub(super) number: u32,
    pub(super) function: Function,
    pub(super) items: &'r mut Vec<Item>,
    /// Items that were announced.
    pub(super) said: usize,
    /// Every item was added.
    pub(super) is_complete: bool,
    pub(super) context: &'c mut Context<'s>,
}

impl Request<'_, '_, '_> {
    /// Adds an item that is not announced yet.
    fn add(&mut self, class: Option<Class>, target: Target<'static>) -> Result<(), Fault> {
        if self.items.len() >= MAX_ITEMS {
            return Err(Fault::Limit("request_items"));
        }
        self.items.push(Item { class: class.unwrap_or(self.function.class), target });
        Ok(())
    }

    /// Announces the next item.
    fn say(&mut self, values: Values<'_>) {
        let Some(item) = self.items.get(self.said) else { return };
        let at = RequestRef { request: self.number, item: self.said as u32 };
        self.context.sink.operation(at, &item.operation(self.function, values), self.context.stamp);
        self.said += 1;
    }

    /// Whether the next item is this attribute of an object.
    fn is_about(&self, attribute: u32) -> bool {
        let next = self.items.get(self.said).map(|item| item.target);
        matches!(next, Some(Target::Object { path: [first, ..], depth: 1, .. }) if first == attribute)
    }

    /// Announces the next item as one that gets this value.
    fn say_written(&mut self, value: &Value<'_>) {
        if value.structure().is_some_and(id::is_secret)
            && let Some(item) = self.items.get_mut(self.said)
        {
            item.class = Class::Security;
        }
        self.say(value.scalar().values());
    }

    /// Adds every variable that a list of references subscribes to.
    fn subscribe(&mut self, list: &Value<'_>) -> Result<(), Fault> {
        let mut result = Ok(());
        subscription::variables(list, |target| {
            result = self.add(Some(Class::Subscribe), target);
            result.is_ok()
        });
        result
    }

    /// Announces what was not announced yet; where items may be missing, one more.
    fn finish(&mut self) {
        if !self.is_complete {
            self.items.push(Item { class: self.function.class, target: Target::Unread { part: "items" } });
        } else if self.items.is_empty() {
            self.items.push(Item { class: self.function.class, target: Target::None });
        }
        while self.said < self.items.len() {
            self.say(Values::None);
        }
    }
}

/// Announces every operation of a request. `is_cut`: its end is not there.
pub(super) fn announce(head: &Head, body: &[u8], is_cut: bool, owned: &Owned, request: &mut Request<'_, '_, '_>) {
    let mut reader = Reader::new(body);
    let result = match head.function {
        function::EXPLORE => explore(&mut reader, request),
        function::CREATE_OBJECT => create_object(&mut reader, request),
        function::DELETE_OBJECT => delete_object(&mut reader, head.session, owned, request),
        function::SET_VARIABLE => set_variable(&mut reader, request),
        function::GET_VARIABLE => get_variable(&mut reader, request),
        function::SET_MULTI_VARIABLES => set_multi_variables(&mut reader, request),
        function::GET_MULTI_VARIABLES => get_multi_variables(&mut reader, request),
        function::GET_VAR_SUB_STREAMED | function::SET_VAR_SUB_STREAMED => sub_streamed(&mut reader, request),
        function::ADD_LINK | function::REMOVE_LINK | function::GET_LINK => link(&mut reader, request),
        function::INVOKE => invoke(&mut reader, request),
        function::BEGIN_SEQUENCE => begin_sequence(&mut reader, request),
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

/// Object, request id, three switches; then a filter or not, again and again, and at last the attributes that are asked
/// for: none for all.
fn explore(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let root = u32_be(reader, "object")?;
    let path = vlq::unsigned32(reader, "explore_id")?;
    reader.bytes(3, "explore_switches")?;
    let (mut all, mut class) = (true, Class::Browse);
    let target = object(root, (path != 0).then_some(path));
    let result = attributes(reader, |attribute| {
        all = false;
        class = explored(class, attribute);
    });
    if all && id::is_program(root) {
        class = Class::ProgramUpload;
    }
    request.add(Some(class), target)?;
    result
}

/// The class of an exploration that also asks for `attribute`: what is secret outweighs code, code outweighs the rest.
fn explored(class: Class, attribute: u32) -> Class {
    match id::reading(attribute) {
        Some(Class::Security) => Class::Security,
        Some(Class::ProgramUpload) if class == Class::Browse => Class::ProgramUpload,
        _ => class,
    }
}

fn attributes(reader: &mut Reader<'_>, mut visit: impl FnMut(u32)) -> Result<(), Fault> {
    loop {
        let [objects, count] = reader.array("explore_counts")?;
        if objects > 0 && reader.u8("explore_filter")? == STRUCTURE {
            reader.bytes(4, "explore_filter")?;
            skip_members(reader)?;
        }
        for _ in 0..count {
            visit(vlq::unsigned32(reader, "attribute")?);
        }
        if objects == 0 {
            return Ok(());
        }
    }
}

/// Where to create, a value, four bytes, on some controllers an integrity id, then trees of objects.
fn create_object(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    u32_be(reader, "object")?;
    Value::read(reader)?;
    reader.bytes(4, "create_fill")?;
    if reader.rest().first() != Some(&START_OBJECT) {
        vlq::unsigned32(reader, "integrity_id")?;
    }
    objects(reader, request)
}

/// An item for each outermost object of some trees, and for each variable that one of them subscribes to.
fn objects(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let mut full = Ok(());
    walk(reader, |depth, element| match element {
        Element::Start { relation, class } if depth == 1 && full.is_ok() => {
            full = request.add(Some(id::creating(class)), object(relation, [class]));
        }
        Element::Attribute { id: id::SUBSCRIPTION_REFERENCES, value } if depth == 1 && full.is_ok() => {
            full = request.subscribe(&value);
        }
        Element::Attribute { id, value } if depth == 1 => identity::of_client(id, &value, request.context),
        _ => {}
    })?;
    full
}

/// An object that this conversation made, or another one.
fn delete_object(
    reader: &mut Reader<'_>,
    session: u32,
    owned: &Owned,
    request: &mut Request<'_, '_, '_>,
) -> Result<(), Fault> {
    let id = u32_be(reader, "object")?;
    let class = if id == session { Some(Class::Session) } else { owned.class(id) };
    request.add(class, object(id, []))
}

/// Object, ids of the way to the variable, value. Behind id 0 there is a length of raw bytes in the place of an id.
fn set_variable(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let (target, attribute) = object_path(reader)?;
    request.add(id::writing(attribute), target)?;
    request.is_complete = true;
    let value = Value::read(reader)?;
    request.say_written(&value);
    if attribute == id::SUBSCRIPTION_REFERENCES { request.subscribe(&value) } else { Ok(()) }
}

fn get_variable(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let (target, attribute) = object_path(reader)?;
    request.add(id::reading(attribute), target)
}

/// An object, and the counted ids below it; the first of them also alone.
fn object_path(reader: &mut Reader<'_>) -> Result<(Target<'static>, u32), Fault> {
    let root = u32_be(reader, "object")?;
    let count = vlq::unsigned32(reader, "id_count")?;
    path(reader, root, count)
}

/// The `count` ids below an object; the first of them also alone. Every id takes a byte, so a count that lies ends with
/// the body.
fn path(reader: &mut Reader<'_>, root: u32, count: u32) -> Result<(Target<'static>, u32), Fault> {
    let mut first = 0;
    let mut target = object(root, []);
    let Target::Object { path, depth, .. } = &mut target else { return Ok((target, first)) };
    for index in 0..count {
        let id = vlq::unsigned32(reader, "id")?;
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

/// An address: checksum of the symbol, area, then attribute and ids of symbols.
fn address(reader: &mut Reader<'_>) -> Result<(Target<'static>, u32), Fault> {
    vlq::unsigned32(reader, "symbol_crc")?;
    let area = vlq::unsigned32(reader, "area")?;
    let count = vlq::unsigned32(reader, "id_count")?;
    path(reader, area, count)
}

/// The addresses of a request on several variables: full ones, or, below an object that is named once, single ids.
fn addresses(
    reader: &mut Reader<'_>,
    class: fn(u32) -> Option<Class>,
    request: &mut Request<'_, '_, '_>,
) -> Result<(), Fault> {
    let root = u32_be(reader, "object")?;
    let items = vlq::unsigned32(reader, "item_count")?;
    let fields = vlq::unsigned32(reader, "field_count")?;
    for _ in 0..if root == 0 { items } else { fields } {
        let (target, attribute) = if root == 0 { address(reader)? } else { path(reader, root, 1)? };
        request.add(class(attribute), target)?;
    }
    Ok(())
}

fn get_multi_variables(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    addresses(reader, id::reading, request)
}

/// Addresses, then the value of each behind its number, from 1, and at the end a zero. Values of items that the addresses do
/// not name, or an order of their own, would write what is not announced.
fn set_multi_variables(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    addresses(reader, id::writing, request)?;
    let mut references = None;
    while request.said < request.items.len() {
        let number = vlq::unsigned32(reader, "item_number")? as usize;
        let value = Value::read(reader)?;
        if number != request.said + 1 {
            return Err(Fault::invalid("item_number"));
        }
        if request.is_about(id::SUBSCRIPTION_REFERENCES) {
            references = Some(value);
        }
        request.say_written(&value);
    }
    if !matches!(reader.rest(), [] | [0, ..]) {
        return Err(Fault::invalid("item_number"));
    }
    references.map_or(Ok(()), |list| request.subscribe(&list))
}

/// An object and a value that holds the ids of the way to the variable; what is written follows later.
fn sub_streamed(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let root = u32_be(reader, "object")?;
    let value = Value::read(reader)?;
    let attribute = value.ids().next().unwrap_or_default();
    let class = match request.function.class {
        Class::Program => id::writing(attribute).filter(|class| *class != Class::Subscribe && *class != Class::Session),
        _ => id::reading(attribute),
    };
    request.add(class, object(root, value.ids()))
}

/// An object and the id of its relation.
fn link(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let root = u32_be(reader, "object")?;
    let relation = vlq::unsigned32(reader, "relation")?;
    request.add(None, object(root, [relation]))
}

fn invoke(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let root = u32_be(reader, "object")?;
    let called = u32_be(reader, "invoked")?;
    request.add(None, object(root, [called]))
}

/// A type, and, except in version 1, what the sequence is about: an object id behind 18, an object behind anything else.
fn begin_sequence(reader: &mut Reader<'_>, request: &mut Request<'_, '_, '_>) -> Result<(), Fault> {
    let has_id = matches!(reader.rest(), [_, 0, SEQUENCE_ON_ID, _, _, _, _, ..]);
    if has_id {
        reader.bytes(3, "sequence")?;
        let id = u32_be(reader, "object")?;
        return request.add(None, object(id, []));
    }
    Ok(())
}

/// Type of a structure, in the filter of an exploration.
const STRUCTURE: u8 = 0x17;
/// Tag of an object's start.
const START_OBJECT: u8 = 0xA1;
/// A sequence that is about an object id.
const SEQUENCE_ON_ID: u8 = 18;
