//! All services: numbers, names, classes.

use crate::dissector::Function;
use crate::operation::Class;

use super::message::Direction;
use crate::opcua::pending_request::TRANSPORT;

/// A service of the standard, or a message that the standard does not define.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of OPC 10000-4")]
pub enum Service {
    FindServers,
    FindServersOnNetwork,
    GetEndpoints,
    RegisterServer,
    RegisterServer2,
    OpenSecureChannel,
    CloseSecureChannel,
    CreateSession,
    ActivateSession,
    CloseSession,
    Cancel,
    AddNodes,
    AddReferences,
    DeleteNodes,
    DeleteReferences,
    Browse,
    BrowseNext,
    TranslateBrowsePaths,
    RegisterNodes,
    UnregisterNodes,
    QueryFirst,
    QueryNext,
    Read,
    HistoryRead,
    Write,
    HistoryUpdate,
    Call,
    CreateMonitoredItems,
    ModifyMonitoredItems,
    SetMonitoringMode,
    SetTriggering,
    DeleteMonitoredItems,
    CreateSubscription,
    ModifySubscription,
    SetPublishingMode,
    Publish,
    Republish,
    TransferSubscriptions,
    DeleteSubscriptions,
    SessionlessInvoke,
    TestStack,
    TestStackEx,
    /// The response to a request that failed as a whole.
    ServiceFault,
    /// A message that the standard does not define.
    Vendor,
}

/// A row of the table.
struct Row {
    service: Service,
    /// Encoding numbers of request and response in namespace 0; 0 for none.
    request: u32,
    response: u32,
    name: &'static str,
    class: Class,
}

const fn row(service: Service, (request, response): (u32, u32), name: &'static str, class: Class) -> Row {
    Row { service, request, response, name, class }
}

impl Row {
    /// The function code: the encoding number of the request, or of the response if it has no request.
    const fn code(&self) -> u32 {
        if self.request == 0 { self.response } else { self.request }
    }
}

impl Service {
    /// The service and direction of an encoding number in namespace 0.
    #[inline]
    pub fn from_number(number: u32) -> Option<(Self, Direction)> {
        INDEX.get(number as usize).copied().unwrap_or_else(|| Self::from_high_number(number))
    }

    /// Searches the few services with high numbers, which were added to the standard later.
    fn from_high_number(number: u32) -> Option<(Self, Direction)> {
        ROWS.iter().find_map(|row| match number {
            number if number == row.request => Some((row.service, Direction::Request)),
            number if number == row.response => Some((row.service, Direction::Response)),
            _ => None,
        })
    }

    /// The service at an index of the table, which is its discriminant.
    pub(in crate::opcua) fn from_index(place: usize) -> Option<Self> {
        ROWS.get(place).map(|row| row.service)
    }

    fn row(self) -> &'static Row {
        ROWS.get(self as usize).unwrap_or(&VENDOR)
    }

    /// The standard's name in snake_case, such as `create_session`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Its class, unless its items have classes of their own.
    pub fn class(self) -> Class {
        self.row().class
    }

    /// Whether it changes the process, the server, or its access rights: an accepted answer is reported even if its request
    /// was not captured.
    pub fn is_change(self) -> bool {
        let is_changing_class =
            matches!(self.class(), Class::Write | Class::Control | Class::Program | Class::Security);
        is_changing_class && self != Self::OpenSecureChannel || self == Self::SetTriggering
    }

    /// The function code: the number of the request encoding in namespace 0.
    pub fn code(self) -> u32 {
        self.row().code()
    }

    /// The number of the response encoding in namespace 0.
    pub fn response_code(self) -> u32 {
        self.row().response
    }
}

const VENDOR: Row = row(Service::Vendor, (0, 0), "vendor", Class::Vendor);

/// In the order of [`Service`].
static ROWS: &[Row] = &TABLE;
const TABLE: [Row; 44] = [
    row(Service::FindServers, (422, 425), "find_servers", Class::Discover),
    row(Service::FindServersOnNetwork, (12208, 12209), "find_servers_on_network", Class::Discover),
    row(Service::GetEndpoints, (428, 431), "get_endpoints", Class::Discover),
    row(Service::RegisterServer, (437, 440), "register_server", Class::Security),
    row(Service::RegisterServer2, (12211, 12212), "register_server2", Class::Security),
    row(Service::OpenSecureChannel, (446, 449), "open_secure_channel", Class::Security),
    row(Service::CloseSecureChannel, (452, 455), "close_secure_channel", Class::Session),
    row(Service::CreateSession, (461, 464), "create_session", Class::Session),
    row(Service::ActivateSession, (467, 470), "activate_session", Class::Security),
    row(Service::CloseSession, (473, 476), "close_session", Class::Session),
    row(Service::Cancel, (479, 482), "cancel", Class::Session),
    row(Service::AddNodes, (488, 491), "add_nodes", Class::Program),
    row(Service::AddReferences, (494, 497), "add_references", Class::Program),
    row(Service::DeleteNodes, (500, 503), "delete_nodes", Class::Program),
    row(Service::DeleteReferences, (506, 509), "delete_references", Class::Program),
    row(Service::Browse, (527, 530), "browse", Class::Browse),
    row(Service::BrowseNext, (533, 536), "browse_next", Class::Browse),
    row(Service::TranslateBrowsePaths, (554, 557), "translate_browse_paths_to_node_ids", Class::Browse),
    row(Service::RegisterNodes, (560, 563), "register_nodes", Class::Browse),
    row(Service::UnregisterNodes, (566, 569), "unregister_nodes", Class::Browse),
    row(Service::QueryFirst, (615, 618), "query_first", Class::Browse),
    row(Service::QueryNext, (621, 624), "query_next", Class::Browse),
    row(Service::Read, (631, 634), "read", Class::Read),
    row(Service::HistoryRead, (664, 667), "history_read", Class::Read),
    row(Service::Write, (673, 676), "write", Class::Write),
    row(Service::HistoryUpdate, (700, 703), "history_update", Class::Write),
    row(Service::Call, (712, 715), "call", Class::Control),
    row(Service::CreateMonitoredItems, (751, 754), "create_monitored_items", Class::Subscribe),
    row(Service::ModifyMonitoredItems, (763, 766), "modify_monitored_items", Class::Subscribe),
    row(Service::SetMonitoringMode, (769, 772), "set_monitoring_mode", Class::Subscribe),
    row(Service::SetTriggering, (775, 778), "set_triggering", Class::Subscribe),
    row(Service::DeleteMonitoredItems, (781, 784), "delete_monitored_items", Class::Subscribe),
    row(Service::CreateSubscription, (787, 790), "create_subscription", Class::Subscribe),
    row(Service::ModifySubscription, (793, 796), "modify_subscription", Class::Subscribe),
    row(Service::SetPublishingMode, (799, 802), "set_publishing_mode", Class::Subscribe),
    row(Service::Publish, (826, 829), "publish", Class::Report),
    row(Service::Republish, (832, 835), "republish", Class::Report),
    row(Service::TransferSubscriptions, (841, 844), "transfer_subscriptions", Class::Security),
    row(Service::DeleteSubscriptions, (847, 850), "delete_subscriptions", Class::Subscribe),
    row(Service::SessionlessInvoke, (15903, 21001), "sessionless_invoke", Class::Vendor),
    row(Service::TestStack, (410, 413), "test_stack", Class::Diagnostic),
    row(Service::TestStackEx, (416, 419), "test_stack_ex", Class::Diagnostic),
    row(Service::ServiceFault, (0, 397), "service_fault", Class::Session),
    VENDOR,
];

/// The service and direction of every number below its length.
static INDEX: [Option<(Service, Direction)>; 1024] = index();

/// Builds [`INDEX`] from [`TABLE`].
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler: a wrong index is_changing_class not build")]
const fn index() -> [Option<(Service, Direction)>; 1024] {
    let mut index = [None; 1024];
    let mut at = 0;
    while at < TABLE.len() {
        let Row { service, request, response, .. } = TABLE[at];
        if request < 1024 {
            index[request as usize] = Some((service, Direction::Request));
        }
        if response < 1024 {
            index[response as usize] = Some((service, Direction::Response));
        }
        at += 1;
    }
    index[0] = None;
    index
}

/// Every function of OPC UA, for policy checks and listings.
pub static FUNCTIONS: &[Function] = &functions();

/// Builds [`FUNCTIONS`] from [`TABLE`] and [`TRANSPORT`].
#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler: a wrong index is_changing_class not build")]
const fn functions() -> [Function; TABLE.len() + TRANSPORT.len()] {
    let mut functions = [TRANSPORT[0]; TABLE.len() + TRANSPORT.len()];
    let mut at = 0;
    while at < functions.len() {
        functions[at] = if at < TABLE.len() {
            Function { name: TABLE[at].name, code: TABLE[at].code(), class: TABLE[at].class }
        } else {
            TRANSPORT[at - TABLE.len()]
        };
        at += 1;
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_the_services() {
        for (place, row) in ROWS.iter().enumerate() {
            assert_eq!(row.service as usize, place, "{}", row.name);
        }
    }

    #[test]
    fn every_service_is_found_by_the_numbers_of_its_messages() {
        for row in ROWS.iter().filter(|row| row.service != Service::Vendor) {
            if row.request != 0 {
                assert_eq!(Service::from_number(row.request), Some((row.service, Direction::Request)));
            }
            assert_eq!(Service::from_number(row.response), Some((row.service, Direction::Response)));
        }
        assert!(
            [0, 1, 630, 632, 1023, 1024, 99_999, u32::MAX].iter().all(|number| Service::from_number(*number).is_none())
        );
    }
}
