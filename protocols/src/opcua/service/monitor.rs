//! Monitored items and subscriptions (OPC 10000-4, 5.13 and 5.14).

use super::attribute::ReadValueId;
use super::item::{Item, Subject, one};
use super::table::Service;
use crate::fault::Fault;
use crate::opcua::binary::{Dialect, Encoded, ExtensionObject, double, each};
use crate::operation::{Class, Kind};
use crate::reader::Reader;

/// MonitoringParameters (7.21): only the number that notifications bear is of interest.
struct Parameters {
    handle: u32,
}

impl<'a> Encoded<'a> for Parameters {
    const LEAST: usize = 20;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let handle = reader.u32_le("client_handle")?;
        double(reader, "sampling_interval")?;
        ExtensionObject::decode(reader, dialect)?;
        reader.bytes(5, "queue")?; // size, discard oldest?
        Ok(Self { handle })
    }
}

struct CreateRequest<'a> {
    value: ReadValueId<'a>,
    handle: u32,
}

impl<'a> Encoded<'a> for CreateRequest<'a> {
    const LEAST: usize = ReadValueId::LEAST + 4 + Parameters::LEAST;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let value = ReadValueId::decode(reader, dialect)?;
        reader.u32_le("monitoring_mode")?;
        Ok(Self { value, handle: Parameters::decode(reader, dialect)?.handle })
    }
}

struct ModifyRequest {
    item: u32,
    handle: u32,
}

impl<'a> Encoded<'a> for ModifyRequest {
    const LEAST: usize = 4 + Parameters::LEAST;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let item = reader.u32_le("monitored_item_id")?;
        Ok(Self { item, handle: Parameters::decode(reader, dialect)?.handle })
    }
}

fn monitored<'a>(subscription: u32, item: u32) -> Item<'a> {
    Item::new(Class::Subscribe, Subject::MonitoredItem { subscription, item })
}

pub(super) fn create<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    reader.u32_le("subscription_id")?;
    reader.u32_le("timestamps_to_return")?;
    each(reader, "items_to_create", dialect, |asked: CreateRequest<'a>| {
        let ReadValueId { node, attribute, range } = asked.value;
        visit(&Item { handle: asked.handle, ..Item::attribute(Class::Subscribe, node, attribute, range) });
    })
}

pub(super) fn modify<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let subscription = reader.u32_le("subscription_id")?;
    reader.u32_le("timestamps_to_return")?;
    each(reader, "items_to_modify", dialect, |asked: ModifyRequest| {
        visit(&Item { handle: asked.handle, ..monitored(subscription, asked.item) });
    })
}

/// The mode (0 disabled, 1 sampling, 2 reporting) is the value of each item.
pub(super) fn set_mode<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let subscription = reader.u32_le("subscription_id")?;
    let mode = reader.bytes(4, "monitoring_mode")?;
    each(reader, "monitored_item_ids", dialect, |item: u32| {
        visit(&monitored(subscription, item).with(one(Kind::U32, mode)));
    })
}

/// The items that are to be linked, then those whose links are to go.
pub(super) fn set_triggering<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let subscription = reader.u32_le("subscription_id")?;
    reader.u32_le("triggering_item_id")?;
    each(reader, "links_to_add", dialect, |item: u32| visit(&monitored(subscription, item)))?;
    each(reader, "links_to_remove", dialect, |item: u32| visit(&monitored(subscription, item)))
}

pub(super) fn delete<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let subscription = reader.u32_le("subscription_id")?;
    each(reader, "monitored_item_ids", dialect, |item: u32| visit(&monitored(subscription, item)))
}

/// A request about one subscription, which comes first.
pub(super) fn subscription<'a>(
    service: Service,
    reader: &mut Reader<'a>,
    _: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let number = reader.u32_le("subscription_id")?;
    visit(&Item::new(service.class(), Subject::Subscription(number)));
    Ok(())
}

/// A request about several.
pub(super) fn subscriptions<'a>(
    service: Service,
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    each(reader, "subscription_ids", dialect, |number: u32| {
        visit(&Item::new(service.class(), Subject::Subscription(number)));
    })
}

/// Whether notifications shall be sent is the value of each subscription.
pub(super) fn set_publishing<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let enabled = reader.bytes(1, "publishing_enabled")?;
    each(reader, "subscription_ids", dialect, |number: u32| {
        visit(&Item::new(Class::Subscribe, Subject::Subscription(number)).with(one(Kind::Bool, enabled)));
    })
}
