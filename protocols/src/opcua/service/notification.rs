//! Notifications of subscriptions: Publish and Republish (OPC 10000-4, 5.14.5, 5.14.6 and 7.25).

use super::item::values_of;
use super::table::Service;
use crate::fault::Fault;
use crate::opcua::binary::{
    DataValue, Dialect, Encoded, ExtensionObject, Standard, StatusCode, Variant, read_boolean, read_date_time,
    read_elements, skip_array, visit_each,
};
use crate::operation::{Kind, Typed, Values};
use crate::reader::Reader;

/// One notification.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Notification<'a> {
    /// A sampled value.
    Data {
        /// The client handle of the monitored item.
        handle: u32,
        /// Its quality.
        status: StatusCode,
        /// The value.
        values: Values<'a>,
    },
    /// An event, with the selected fields.
    Event {
        /// The client handle of the monitored item.
        handle: u32,
        /// The fields, each a Variant.
        values: Values<'a>,
    },
    /// The status of the subscription changed, such as `bad_timeout` when it ends.
    Status(StatusCode),
}

/// The head of a notification message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Subscription id; `None` in a Republish response, whose request names it.
    pub subscription: Option<u32>,
    /// Sequence number of the message in its subscription; of a keep-alive, that of the next message.
    pub sequence: u32,
    /// The server has more notifications to send.
    pub more: bool,
}

/// MonitoredItemNotification: a value with its client handle.
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

/// EventFieldList: the fields of an event with their client handle.
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

/// Visits the notifications in a Publish or Republish response; `content` begins behind its header. `visit` gets the head
/// of the message with each notification.
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

/// Reads the head of a notification message.
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

/// Visits the notifications in one structure. Structures that the standard does not define are skipped.
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

// Encodings of the notification structures.
pub(super) const DATA_CHANGE: u32 = 811;
const EVENT_LIST: u32 = 916;
const STATUS_CHANGE: u32 = 820;
