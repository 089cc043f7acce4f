//! What a request asks for, part by part.

use super::item::{Item, Subject};
use super::table::Service;
use super::{application, attribute, browse, history, method, monitor, nodes, query, session};
use crate::fault::Fault;
use crate::opcua::binary::count;
use crate::reader::Reader;

/// Visits every part of a request in order, starting behind its header. A request that has none, or whose first cannot
/// be read, is visited as a whole: no request passes unseen. After a fault, what was visited stands.
pub fn items<'a>(service: Service, content: Reader<'a>, mut visit: impl FnMut(&Item<'a>)) -> Result<(), Fault> {
    let mut content = content;
    let mut is_empty = true;
    let result = walk(service, &mut content, &mut |item: &Item<'a>| {
        is_empty = false;
        visit(item);
    });
    if is_empty {
        visit(&Item::new(service.class(), Subject::None));
    }
    result
}

/// How many bytes follow the last field of a request that is known to its end, starting behind its header: those of a
/// signature whose length nobody told.
pub(in crate::opcua) fn left_behind(service: Service, content: Reader<'_>) -> Option<usize> {
    let mut content = content;
    match service {
        Service::Read | Service::Write | Service::Call | Service::Browse | Service::CreateMonitoredItems => {
            walk(service, &mut content, &mut |_: &Item<'_>| ()).ok()?;
        }
        Service::Publish => {
            let acknowledgements = count(&mut content, ACKNOWLEDGEMENT, "acknowledgements").ok()?;
            content.take(acknowledgements * ACKNOWLEDGEMENT, "acknowledgements").ok()?;
        }
        _ => return None,
    }
    Some(content.left())
}

/// Bytes of a SubscriptionAcknowledgement: subscription and sequence number.
const ACKNOWLEDGEMENT: usize = 8;

fn walk<'a>(service: Service, content: &mut Reader<'a>, visit: &mut impl FnMut(&Item<'a>)) -> Result<(), Fault> {
    match service {
        Service::Read => attribute::read(content, visit),
        Service::Write => attribute::write(content, visit),
        Service::Call => method::call(content, visit),
        Service::HistoryRead => history::read(content, visit),
        Service::HistoryUpdate => history::update(content, visit),
        Service::Browse => browse::browse(content, visit),
        Service::BrowseNext => browse::browse_next(content, visit),
        Service::TranslateBrowsePaths => browse::translate(content, visit),
        Service::RegisterNodes | Service::UnregisterNodes => browse::register(content, visit),
        Service::AddNodes => nodes::add_nodes(content, visit),
        Service::AddReferences => nodes::add_references(content, visit),
        Service::DeleteNodes => nodes::delete_nodes(content, visit),
        Service::DeleteReferences => nodes::delete_references(content, visit),
        Service::QueryFirst => query::first(content, visit),
        Service::CreateMonitoredItems => monitor::create(content, visit),
        Service::ModifyMonitoredItems => monitor::modify(content, visit),
        Service::SetMonitoringMode => monitor::set_mode(content, visit),
        Service::SetTriggering => monitor::set_triggering(content, visit),
        Service::DeleteMonitoredItems => monitor::delete(content, visit),
        Service::ModifySubscription | Service::Republish => monitor::subscription(service, content, visit),
        Service::SetPublishingMode => monitor::set_publishing(content, visit),
        Service::TransferSubscriptions | Service::DeleteSubscriptions => {
            monitor::subscriptions(service, content, visit)
        }
        Service::FindServers | Service::GetEndpoints => application::endpoint(service, content, visit),
        Service::RegisterServer | Service::RegisterServer2 => application::register(service, content, visit),
        Service::CreateSession => session::create(content, visit),
        Service::ActivateSession => session::activate(content, visit),
        _ => Ok(()),
    }
}
