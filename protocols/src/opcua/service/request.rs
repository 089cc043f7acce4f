//! What a request asks for, part by part.

use super::item::{Item, Subject};
use super::table::Service;
use super::{application, attribute, browse, history, method, monitor, nodes, query, session};
use crate::fault::Fault;
use crate::opcua::binary::{Dialect, Standard, Unanimous, count};
use crate::reader::Reader;

/// Visits every part of a request in order, starting behind its header. A request that has none is visited as a whole: no
/// request passes unseen. After a fault, what was visited stands, and what follows is for the caller to say.
pub fn items<'a>(
    service: Service,
    content: Reader<'a>,
    dialect: impl Dialect,
    mut visit: impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let mut content = content;
    let mut is_empty = true;
    let result = walk(service, &mut content, dialect, &mut |item: &Item<'a>| {
        is_empty = false;
        visit(item);
    });
    if is_empty && result.is_ok() {
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
            walk(service, &mut content, Unanimous, &mut |_: &Item<'_>| ()).ok()?;
        }
        Service::Publish => {
            let acknowledgements = count(&mut content, ACKNOWLEDGEMENT, "acknowledgements", Standard).ok()?;
            content.bytes(acknowledgements * ACKNOWLEDGEMENT, "acknowledgements").ok()?;
        }
        _ => return None,
    }
    Some(content.left())
}

/// Bytes of a SubscriptionAcknowledgement: subscription and sequence number.
const ACKNOWLEDGEMENT: usize = 8;

fn walk<'a>(
    service: Service,
    content: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    match service {
        Service::Read => attribute::read(content, dialect, visit),
        Service::Write => attribute::write(content, dialect, visit),
        Service::Call => method::call(content, dialect, visit),
        Service::HistoryRead => history::read(content, dialect, visit),
        Service::HistoryUpdate => history::update(content, dialect, visit),
        Service::Browse => browse::browse(content, dialect, visit),
        Service::BrowseNext => browse::browse_next(content, dialect, visit),
        Service::TranslateBrowsePaths => browse::translate(content, dialect, visit),
        Service::RegisterNodes | Service::UnregisterNodes => browse::register(content, dialect, visit),
        Service::AddNodes => nodes::add_nodes(content, dialect, visit),
        Service::AddReferences => nodes::add_references(content, dialect, visit),
        Service::DeleteNodes => nodes::delete_nodes(content, dialect, visit),
        Service::DeleteReferences => nodes::delete_references(content, dialect, visit),
        Service::QueryFirst => query::first(content, dialect, visit),
        Service::CreateMonitoredItems => monitor::create(content, dialect, visit),
        Service::ModifyMonitoredItems => monitor::modify(content, dialect, visit),
        Service::SetMonitoringMode => monitor::set_mode(content, dialect, visit),
        Service::SetTriggering => monitor::set_triggering(content, dialect, visit),
        Service::DeleteMonitoredItems => monitor::delete(content, dialect, visit),
        Service::ModifySubscription | Service::Republish => monitor::subscription(service, content, dialect, visit),
        Service::SetPublishingMode => monitor::set_publishing(content, dialect, visit),
        Service::TransferSubscriptions | Service::DeleteSubscriptions => {
            monitor::subscriptions(service, content, dialect, visit)
        }
        Service::FindServers | Service::GetEndpoints => application::endpoint(service, content, dialect, visit),
        Service::RegisterServer | Service::RegisterServer2 => application::register(service, content, dialect, visit),
        Service::CreateSession => session::create(content, dialect, visit),
        Service::ActivateSession => session::activate(content, dialect, visit),
        _ => Ok(()),
    }
}
