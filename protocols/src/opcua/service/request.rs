//! The items of requests.

use super::item::{Item, Subject};
use super::table::Service;
use super::{application, attribute, browse, history, method, monitor, nodes, query, session};
use crate::fault::Fault;
use crate::opcua::binary::{Dialect, Standard, Unanimous, read_count};
use crate::reader::Reader;

/// Visits the items of a request in order; `content` begins behind its header. A request without items is visited as one,
/// so that every request is seen. After a fault, the items visited so far stand, and the caller reports the rest.
pub fn visit_items<'a>(
    service: Service,
    content: Reader<'a>,
    dialect: impl Dialect,
    mut visit: impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let mut content = content;
    let mut is_empty = true;
    let result = visit_items_of(service, &mut content, dialect, &mut |item: &Item<'a>| {
        is_empty = false;
        visit(item);
    });
    if is_empty && result.is_ok() {
        visit(&Item::new(service.class(), Subject::None));
    }
    result
}

/// Number of bytes behind the last field of a request, which is the length of its signature; `content` begins behind its
/// header. `None` for services whose end is not decoded.
pub(in crate::opcua) fn count_trailing_bytes(service: Service, content: Reader<'_>) -> Option<usize> {
    let mut content = content;
    match service {
        Service::Read | Service::Write | Service::Call | Service::Browse | Service::CreateMonitoredItems => {
            visit_items_of(service, &mut content, Unanimous, &mut |_: &Item<'_>| ()).ok()?;
        }
        Service::Publish => {
            let acknowledgements = read_count(&mut content, ACKNOWLEDGEMENT, "acknowledgements", Standard).ok()?;
            content.bytes(acknowledgements * ACKNOWLEDGEMENT, "acknowledgements").ok()?;
        }
        _ => return None,
    }
    Some(content.left())
}

/// Size of a SubscriptionAcknowledgement, bytes: subscription id and sequence number.
const ACKNOWLEDGEMENT: usize = 8;

/// Visits the items of a service; none if it has none.
fn visit_items_of<'a>(
    service: Service,
    content: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    match service {
        Service::Read => attribute::visit_read(content, dialect, visit),
        Service::Write => attribute::visit_write(content, dialect, visit),
        Service::Call => method::visit_call(content, dialect, visit),
        Service::HistoryRead => history::visit_history_read(content, dialect, visit),
        Service::HistoryUpdate => history::visit_history_update(content, dialect, visit),
        Service::Browse => browse::visit_browse(content, dialect, visit),
        Service::BrowseNext => browse::visit_browse_next(content, dialect, visit),
        Service::TranslateBrowsePaths => browse::visit_translate_browse_paths(content, dialect, visit),
        Service::RegisterNodes | Service::UnregisterNodes => browse::visit_register_nodes(content, dialect, visit),
        Service::AddNodes => nodes::visit_add_nodes(content, dialect, visit),
        Service::AddReferences => nodes::visit_add_references(content, dialect, visit),
        Service::DeleteNodes => nodes::visit_delete_nodes(content, dialect, visit),
        Service::DeleteReferences => nodes::visit_delete_references(content, dialect, visit),
        Service::QueryFirst => query::visit_query_first(content, dialect, visit),
        Service::CreateMonitoredItems => monitor::visit_create_items(content, dialect, visit),
        Service::ModifyMonitoredItems => monitor::visit_modify_items(content, dialect, visit),
        Service::SetMonitoringMode => monitor::visit_set_monitoring_mode(content, dialect, visit),
        Service::SetTriggering => monitor::visit_set_triggering(content, dialect, visit),
        Service::DeleteMonitoredItems => monitor::visit_delete_items(content, dialect, visit),
        Service::ModifySubscription | Service::Republish => {
            monitor::visit_subscription(service, content, dialect, visit)
        }
        Service::SetPublishingMode => monitor::visit_set_publishing_mode(content, dialect, visit),
        Service::TransferSubscriptions | Service::DeleteSubscriptions => {
            monitor::visit_subscriptions(service, content, dialect, visit)
        }
        Service::FindServers | Service::GetEndpoints => application::visit_endpoint(service, content, dialect, visit),
        Service::RegisterServer | Service::RegisterServer2 => {
            application::visit_register_server(service, content, dialect, visit)
        }
        Service::CreateSession => session::visit_create_session(content, dialect, visit),
        Service::ActivateSession => session::visit_activate_session(content, dialect, visit),
        _ => Ok(()),
    }
}
