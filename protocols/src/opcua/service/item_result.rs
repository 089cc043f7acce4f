//! The results in an answer, in the order of the items of its request.

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

/// The result of one item of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ItemResult<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Values that were read, output arguments of a method, or the id of a new node.
    pub values: Values<'a>,
    /// The id that the server assigned to a new subscription or monitored item; 0 otherwise.
    pub number: u32,
}

/// The results in an answer. If the service has no results for single items, an endless sequence of good ones: the header
/// holds for all items.
#[derive(Clone, Copy, Debug)]
pub struct ItemResults<'a> {
    service: Service,
    reader: Reader<'a>,
    left: usize,
    /// A second array of results follows.
    is_first_of_two: bool,
}

impl<'a> ItemResults<'a> {
    /// Reads the results in the response to a request of `service`; `content` begins behind its header. Must not be called
    /// if the header has a bad result.
    #[inline]
    pub fn read(service: Service, content: Reader<'a>) -> Result<Self, Fault> {
        let mut reader = content;
        let left = match min_result_size(service) {
            Some(min_size) => read_count(&mut reader, min_size, "results", Standard)?,
            None => 0,
        };
        Ok(Self { service, reader, left, is_first_of_two: service == Service::SetTriggering })
    }

    /// Number of results left, by the count; 0 if the service has none.
    pub const fn left(&self) -> usize {
        self.left
    }

    /// What follows the last result of an array: the result of the whole request, or a fault before a second array.
    fn next_beyond(&mut self) -> Option<Result<ItemResult<'a>, Fault>> {
        if min_result_size(self.service).is_none() {
            return Some(read_whole_result(self.service, self.reader));
        }
        if self.is_first_of_two { self.open_second_array().err().map(Err) } else { None }
    }

    /// Opens the results of removed links, behind those of added links and their diagnostics.
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
    /// Whether its answers have a result for each item.
    pub(in crate::opcua) const fn has_results(self) -> bool {
        min_result_size(self).is_some()
    }
}

/// Shortest encoding of a result, bytes; `None` for a service without results for single items.
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

/// Reads one result of an array.
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

/// The result of a service without results for single items. A new subscription has an id.
fn read_whole_result<'a>(service: Service, mut reader: Reader<'a>) -> Result<ItemResult<'a>, Fault> {
    match service {
        Service::CreateSubscription => {
            Ok(ItemResult { number: reader.u32_le("subscription_id")?, ..ItemResult::default() })
        }
        _ => Ok(ItemResult::default()),
    }
}

/// Reads a result of Read.
fn read_value<'a>(reader: &mut Reader<'a>) -> Result<ItemResult<'a>, Fault> {
    let DataValue { value, status, .. } = DataValue::read(reader)?;
    Ok(ItemResult { status, values: values_of(&value), number: 0 })
}

/// Reads what follows the status of a result.
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

/// Reads a node id as a value.
fn read_node_value<'a>(reader: &mut Reader<'a>) -> Result<Values<'a>, Fault> {
    let start = reader.rest();
    Node::read(reader)?;
    let bytes = start.get(..start.len() - reader.left()).unwrap_or_default();
    Ok(Values::Typed { kind: Kind::Node, count: 1, bytes })
}

/// The values in a HistoryData (OPC 10000-11, 6.6.2); none for any other structure.
fn history_values<'a>(data: &ExtensionObject<'a>) -> Values<'a> {
    let Some((HISTORY_DATA, mut body)) = data.standard_body() else { return Values::None };
    let found = read_elements::<DataValue<'_>>(&mut body, "history_data", Standard);
    found.map_or(Values::None, |(count, bytes)| Values::Typed { kind: Kind::DataValue, count, bytes })
}

/// ReferenceDescription (7.30): a reference to another node. Skipped.
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

/// BrowsePathTarget: the target of a path, and the number of steps left. Skipped.
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
