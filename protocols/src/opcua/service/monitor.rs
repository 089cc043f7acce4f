//! Monitored items and subscriptions (OPC 10000-4, 5.13 and 5.14).

use super::attribute::ReadValueId;
use super::item::{Item, Subject, single_value};
use super::table::Service;
use crate::fault::Fault;
use crate::opcua::binary::{Dialect, Encoded, ExtensionObject, read_double, visit_each};
use crate::operation::{Class, Kind};
use crate::reader::Reader;

/// MonitoringParameters (7.21): only the client handle is kept.
struct Parameters {
    handle: u32,
}

impl<'a> Encoded<'a> for Parameters {
    const MIN_SIZE: usize = 20;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let handle = reader.u32_le("client_handle")?;
        read_double(reader, "sampling_interval")?;
        ExtensionObject::decode(reader, dialect)?;
        reader.bytes(5, "queue")?; // size, discard oldest?
        Ok(Self { handle })
    }
}

/// MonitoredItemCreateRequest: the attribute and the client handle.
struct CreateRequest<'a> {
    value: ReadValueId<'a>,
    handle: u32,
}

impl<'a> Encoded<'a> for CreateRequest<'a> {
    const MIN_SIZE: usize = ReadValueId::MIN_SIZE + 4 + Parameters::MIN_SIZE;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let value = ReadValueId::decode(reader, dialect)?;
        reader.u32_le("monitoring_mode")?;
        Ok(Self { value, handle: Parameters::decode(reader, dialect)?.handle })
    }
}

/// MonitoredItemModifyRequest: the monitored item id and the new client handle.
struct ModifyRequest {
    item: u32,
    handle: u32,
}

impl<'a> Encoded<'a> for ModifyRequest {
    const MIN_SIZE: usize = 4 + Parameters::MIN_SIZE;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let item = reader.u32_le("monitored_item_id")?;
        Ok(Self { item, handle: Parameters::decode(reader, dialect)?.handle })
    }
}

/// An item on a monitored item.
fn monitored_item<'a>(subscription: u32, item: u32) -> Item<'a> {
    Item::new(Class::Subscribe, Subject::MonitoredItem { subscription, item })
}

/// CreateMonitoredItems: an item for each attribute, with its client handle.
pub(super) fn visit_create_items<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    reader.u32_le("subscription_id")?;
    reader.u32_le("timestamps_to_return")?;
    visit_each(reader, "items_to_create", dialect, |asked: CreateRequest<'a>| {
        let ReadValueId { node, attribute, range } = asked.value;
        visit(&Item { handle: asked.handle, ..Item::attribute(Class::Subscribe, node, attribute, range) });
    })
}

/// ModifyMonitoredItems: an item for each monitored item, with its new client handle.
pub(super) fn visit_modify_items<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let subscription = reader.u32_le("subscription_id")?;
    reader.u32_le("timestamps_to_return")?;
    visit_each(reader, "items_to_modify", dialect, |asked: ModifyRequest| {
        visit(&Item { handle: asked.handle, ..monitored_item(subscription, asked.item) });
    })
}

/// SetMonitoringMode: the mode (0 disabled, 1 sampling, 2 reporting) is the value of each item.
pub(super) fn visit_set_monitoring_mode<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let subscription = reader.u32_le("subscription_id")?;
    let mode = reader.bytes(4, "monitoring_mode")?;
    visit_each(reader, "monitored_item_ids", dialect, |item: u32| {
        visit(&monitored_item(subscription, item).with_values(single_value(Kind::U32, mode)));
    })
}

/// SetTriggering: an item for each link to add, then for each link to remove.
pub(super) fn visit_set_triggering<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let subscription = reader.u32_le("subscription_id")?;
    reader.u32_le("triggering_item_id")?;
    visit_each(reader, "links_to_add", dialect, |item: u32| visit(&monitored_item(subscription, item)))?;
    visit_each(reader, "links_to_remove", dialect, |item: u32| visit(&monitored_item(subscription, item)))
}

/// DeleteMonitoredItems: an item for each monitored item.
pub(super) fn visit_delete_items<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let subscription = reader.u32_le("subscription_id")?;
    visit_each(reader, "monitored_item_ids", dialect, |item: u32| visit(&monitored_item(subscription, item)))
}

/// An item for the one subscription that a request begins with.
pub(super) fn visit_subscription<'a>(
    service: Service,
    reader: &mut Reader<'a>,
    _: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let number = reader.u32_le("subscription_id")?;
    visit(&Item::new(service.class(), Subject::Subscription(number)));
    Ok(())
}

/// An item for each of several subscriptions.
pub(super) fn visit_subscriptions<'a>(
    service: Service,
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    visit_each(reader, "subscription_ids", dialect, |number: u32| {
        visit(&Item::new(service.class(), Subject::Subscription(number)));
    })
}

/// SetPublishingMode: whether publishing is enabled is the value of each subscription.
pub(super) fn visit_set_publishing_mode<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let enabled = reader.bytes(1, "publishing_enabled")?;
    visit_each(reader, "subscription_ids", dialect, |number: u32| {
        visit(
            &Item::new(Class::Subscribe, Subject::Subscription(number)).with_values(single_value(Kind::Bool, enabled)),
        );
    })
}
