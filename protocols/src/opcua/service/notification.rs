//! What a subscription reports: Publish and Republish (OPC 10000-4, 5.14.5, 5.14.6 and 7.25).

use super::item::values_of;
use super::table::Service;
use crate::fault::Fault;
use crate::opcua::binary::{
    DataValue, Dialect, Encoded, ExtensionObject, Standard, StatusCode, Variant, read_boolean, read_date_time,
    read_elements, skip_array, visit_each,
};
use crate::operation::{Kind, Typed, Values};
use crate::reader::Reader;

/// One thing that a subscription reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Notification<'a> {
    /// A value, sampled.
    Data {
        /// The client's number of the monitored item.
        handle: u32,
        /// Its quality.
        status: StatusCode,
        /// The value.
        values: Values<'a>,
    },
    /// An event: the fields that were asked for.
    Event {
        /// The client's number of the monitored item.
        handle: u32,
        /// The fields, each with its type.
        values: Values<'a>,
    },
    /// The subscription itself has changed, such as `bad_timeout` when it ends.
    Status(StatusCode),
}

/// What a message of notifications says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The subscription; none in the answer of Republish, where the request names it.
    pub subscription: Option<u32>,
    /// Running number of the message in its subscription. Of a message without notifications (a keep-alive) that of the
    /// next one.
    pub sequence: u32,
    /// More notifications wait to be fetched.
    pub more: bool,
}

struct MonitoredItemNotification<'a> {
    handle: u32,
    value: DataValue<'a>,
}

impl<'a> Encoded<'a> for MonitoredItemNotification<'a> {
    const MIN_SIZE: usize = 5;

    #[inline]
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let handle = reader.u32_le("client_handle")?;
        Ok(Self { handle, value: DataValue::decode(reader, dialect)? })
    }
}

struct EventFieldList<'a> {
    handle: u32,
    fields: Typed<'a>,
}

impl<'a> Encoded<'a> for EventFieldList<'a> {
    const MIN_SIZE: usize = 8;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let handle = reader.u32_le("client_handle")?;
        let (count, bytes) = read_elements::<Variant<'_>>(reader, "event_fields", dialect)?;
        Ok(Self { handle, fields: Typed { kind: Kind::Any, count, bytes } })
    }
}

/// Visits what the response to Publish or Republish reports, starting behind its header. `visit` gets the message's own
/// description with each notification.
pub fn visit_notifications<'a>(
    service: Service,
    content: Reader<'a>,
    mut visit: impl FnMut(&Published, &Notification<'a>),
) -> Result<Published, Fault> {
    let mut reader = content;
    let published = read_published(service, &mut reader)?;
    let mut fault = Ok(());
    visit_each(&mut reader, "notification_data", Standard, |data: ExtensionObject<'a>| {
        fault = fault.and(visit_notification_data(&data, &mut |notification| visit(&published, notification)));
    })?;
    fault.map(|()| published)
}

/// What stands in front of the notifications.
pub(super) fn read_published(service: Service, reader: &mut Reader<'_>) -> Result<Published, Fault> {
    let mut subscription = None;
    let mut more = false;
    if service == Service::Publish {
        subscription = Some(reader.u32_le("subscription_id")?);
        skip_array::<u32>(reader, "available_sequence_numbers", Standard)?;
        more = read_boolean(reader, "more_notifications")?;
    }
    let sequence = reader.u32_le("sequence_number")?;
    read_date_time(reader, "publish_time")?;
    Ok(Published { subscription, sequence, more })
}

/// The notifications of one kind. A kind that the standard does not have is passed over.
#[inline]
fn visit_notification_data<'a>(
    data: &ExtensionObject<'a>,
    visit: &mut impl FnMut(&Notification<'a>),
) -> Result<(), Fault> {
    match data.standard_body() {
        Some((DATA_CHANGE, mut body)) => {
            visit_each(&mut body, "monitored_items", Standard, |item: MonitoredItemNotification<'a>| {
                let MonitoredItemNotification { handle, value } = item;
                visit(&Notification::Data { handle, status: value.status, values: values_of(&value.value) });
            })
        }
        Some((EVENT_LIST, mut body)) => visit_each(&mut body, "events", Standard, |event: EventFieldList<'a>| {
            visit(&Notification::Event { handle: event.handle, values: event.fields.into() });
        }),
        Some((STATUS_CHANGE, mut body)) => {
            visit(&Notification::Status(StatusCode::read(&mut body)?));
            Ok(())
        }
        _ => Ok(()),
    }
}

// Encodings of the kinds of notifications.
pub(super) const DATA_CHANGE: u32 = 811;
const EVENT_LIST: u32 = 916;
const STATUS_CHANGE: u32 = 820;
