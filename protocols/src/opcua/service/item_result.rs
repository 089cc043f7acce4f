//! The results of a request, in the order of its parts.

use super::item::values_of;
use super::method::read_arguments;
use super::table::Service;
use crate::fault::Fault;
use crate::opcua::binary::{
    Bytes, DataValue, DiagnosticInfo, Dialect, Encoded, ExpandedNodeId, ExtensionObject, LocalizedText, QualifiedName,
    Standard, StatusCode, read_count, read_double, read_elements, skip_array,
};
use crate::operation::{Kind, Node, Values};
use crate::reader::Reader;

/// How one part of a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ItemResult<'a> {
    /// Good, or why not.
    pub status: StatusCode,
    /// What was read, what a method gave back, what a new node is called.
    pub values: Values<'a>,
    /// The number that the server gave to a new subscription or monitored item; 0 for all else.
    pub number: u32,
}

/// The results of a request, one after another. For a service that gives none of its own there is a good one for every
/// part that somebody asks for, without an end: how it ended is the business of the header.
#[derive(Clone, Copy, Debug)]
pub struct ItemResults<'a> {
    service: Service,
    reader: Reader<'a>,
    left: usize,
    /// More results follow in a second array.
    is_first_of_two: bool,
}

impl<'a> ItemResults<'a> {
    /// The results in the response to a request of `service`, starting behind its header. If the header says that the
    /// request failed, there are none to be read.
    #[inline]
    pub fn read(service: Service, content: Reader<'a>) -> Result<Self, Fault> {
        let mut reader = content;
        let left = match min_result_size(service) {
            Some(min_size) => read_count(&mut reader, min_size, "results", Standard)?,
            None => 0,
        };
        Ok(Self { service, reader, left, is_first_of_two: service == Service::SetTriggering })
    }

    /// How many results are left, as far as the count says; 0 if the service gives none.
    pub const fn left(&self) -> usize {
        self.left
    }

    /// What there is when no result is left: the result of the whole, or a fault on the way to a second array.
    fn next_beyond(&mut self) -> Option<Result<ItemResult<'a>, Fault>> {
        if min_result_size(self.service).is_none() {
            return Some(read_whole_result(self.service, self.reader));
        }
        if self.is_first_of_two { self.open_second_array().err().map(Err) } else { None }
    }

    /// The links that were removed, behind those that were added and what diagnoses them.
    fn open_second_array(&mut self) -> Result<(), Fault> {
        self.is_first_of_two = false;
        skip_array::<DiagnosticInfo>(&mut self.reader, "diagnostic_infos", Standard)?;
        self.left = read_count(&mut self.reader, StatusCode::MIN_SIZE, "results", Standard)?;
        Ok(())
    }
}

impl<'a> Iterator for ItemResults<'a> {
    type Item = Result<ItemResult<'a>, Fault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0
            && let Some(result) = self.next_beyond()
        {
            return Some(result);
        }
        self.left = self.left.checked_sub(1)?;
        let result = read_result(self.service, &mut self.reader);
        if result.is_err() {
            self.left = 0;
            self.is_first_of_two = false;
        }
        Some(result)
    }
}

impl Service {
    /// Whether its answers have a result for each operation.
    pub(in crate::opcua) const fn has_results(self) -> bool {
        min_result_size(self).is_some()
    }
}

/// The fewest bytes of a result; none for a service that gives no results of its own.
const fn min_result_size(service: Service) -> Option<usize> {
    match service {
        Service::Read => Some(DataValue::MIN_SIZE),
        Service::Write
        | Service::AddReferences
        | Service::DeleteNodes
        | Service::DeleteReferences
        | Service::SetMonitoringMode
        | Service::SetTriggering
        | Service::DeleteMonitoredItems
        | Service::SetPublishingMode
        | Service::DeleteSubscriptions => Some(StatusCode::MIN_SIZE),
        Service::RegisterNodes => Some(Node::MIN_SIZE),
        Service::AddNodes => Some(StatusCode::MIN_SIZE + Node::MIN_SIZE),
        Service::TranslateBrowsePaths | Service::TransferSubscriptions => Some(8),
        Service::Browse | Service::BrowseNext | Service::HistoryUpdate => Some(12),
        Service::HistoryRead => Some(11),
        Service::Call => Some(16),
        Service::CreateMonitoredItems => Some(23),
        Service::ModifyMonitoredItems => Some(19),
        _ => None,
    }
}

#[inline]
fn read_result<'a>(service: Service, reader: &mut Reader<'a>) -> Result<ItemResult<'a>, Fault> {
    match service {
        Service::Read => read_value(reader),
        Service::RegisterNodes => Ok(ItemResult { values: read_node_value(reader)?, ..ItemResult::default() }),
        _ => {
            let status = StatusCode::read(reader)?;
            read_details(service, reader, ItemResult { status, ..ItemResult::default() })
        }
    }
}

/// The result of a service that gives none of its own. A new subscription is known by its number.
fn read_whole_result<'a>(service: Service, mut reader: Reader<'a>) -> Result<ItemResult<'a>, Fault> {
    match service {
        Service::CreateSubscription => {
            Ok(ItemResult { number: reader.u32_le("subscription_id")?, ..ItemResult::default() })
        }
        _ => Ok(ItemResult::default()),
    }
}

fn read_value<'a>(reader: &mut Reader<'a>) -> Result<ItemResult<'a>, Fault> {
    let DataValue { value, status, .. } = DataValue::read(reader)?;
    Ok(ItemResult { status, values: values_of(&value), number: 0 })
}

/// What follows the status of a result.
fn read_details<'a>(
    service: Service,
    reader: &mut Reader<'a>,
    mut result: ItemResult<'a>,
) -> Result<ItemResult<'a>, Fault> {
    match service {
        Service::AddNodes => result.values = read_node_value(reader)?,
        Service::Browse | Service::BrowseNext => {
            Bytes::read_as(reader, "continuation_point")?;
            skip_array::<ReferenceDescription>(reader, "references", Standard)?;
        }
        Service::TranslateBrowsePaths => skip_array::<BrowsePathTarget>(reader, "targets", Standard)?,
        Service::HistoryRead => {
            Bytes::read_as(reader, "continuation_point")?;
            result.values = history_values(&ExtensionObject::read(reader)?);
        }
        Service::HistoryUpdate => {
            skip_array::<StatusCode>(reader, "operation_results", Standard)?;
            skip_array::<DiagnosticInfo>(reader, "diagnostic_infos", Standard)?;
        }
        Service::Call => {
            skip_array::<StatusCode>(reader, "input_argument_results", Standard)?;
            skip_array::<DiagnosticInfo>(reader, "input_argument_diagnostic_infos", Standard)?;
            result.values = read_arguments(reader, "output_arguments", Standard)?.into();
        }
        Service::CreateMonitoredItems | Service::ModifyMonitoredItems => {
            if service == Service::CreateMonitoredItems {
                result.number = reader.u32_le("monitored_item_id")?;
            }
            read_double(reader, "revised_sampling_interval")?;
            reader.u32_le("revised_queue_size")?;
            ExtensionObject::read(reader)?;
        }
        Service::TransferSubscriptions => skip_array::<u32>(reader, "available_sequence_numbers", Standard)?,
        _ => {}
    }
    Ok(result)
}

/// A node as a value.
fn read_node_value<'a>(reader: &mut Reader<'a>) -> Result<Values<'a>, Fault> {
    let start = reader.rest();
    Node::read(reader)?;
    let bytes = start.get(..start.len() - reader.left()).unwrap_or_default();
    Ok(Values::Typed { kind: Kind::Node, count: 1, bytes })
}

/// HistoryData (OPC 10000-11, 6.6.2): values of the past. Nothing of the other kinds.
fn history_values<'a>(data: &ExtensionObject<'a>) -> Values<'a> {
    let Some((HISTORY_DATA, mut body)) = data.standard_body() else { return Values::None };
    let found = read_elements::<DataValue<'_>>(&mut body, "history_data", Standard);
    found.map_or(Values::None, |(count, bytes)| Values::Typed { kind: Kind::DataValue, count, bytes })
}

/// ReferenceDescription (7.30): a node that another leads to.
struct ReferenceDescription;

impl<'a> Encoded<'a> for ReferenceDescription {
    const MIN_SIZE: usize = 18;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        Node::decode(reader, dialect)?;
        reader.u8("is_forward")?;
        ExpandedNodeId::decode(reader, dialect)?;
        QualifiedName::decode(reader, dialect)?;
        LocalizedText::decode(reader, dialect)?;
        reader.u32_le("node_class")?;
        ExpandedNodeId::decode(reader, dialect)?;
        Ok(Self)
    }
}

/// BrowsePathTarget: where a path leads, and how much of it is left.
struct BrowsePathTarget;

impl<'a> Encoded<'a> for BrowsePathTarget {
    const MIN_SIZE: usize = 6;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        ExpandedNodeId::decode(reader, dialect)?;
        reader.u32_le("remaining_path_index")?;
        Ok(Self)
    }
}

/// Encoding of HistoryData.
const HISTORY_DATA: u32 = 658;
