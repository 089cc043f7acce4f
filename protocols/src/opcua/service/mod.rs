//! The services of OPC UA (OPC 10000-4): the type of a message, the items of a request, and the result of each item.
//!
//! ```text
//!  body of a message --> Message::read --> RequestHeader  --> visit_items()          one Item a node, method, ...
//!                        service,          ResponseHeader --> ItemResults::read()    their results, in the same order
//!                        direction                            visit_notifications()  values and events of a subscription
//! ```
//!
//! If servers read the bytes of a request in different ways, [`visit_operations`] visits what each of them may execute.
//!
//! Most messages have many similar items, which [`BatchSummary`] and [`ResultCounts`] count at once.
//!
//! Nothing is copied: the items of a request are read again, from its bytes, beside its response. Passwords, nonces and
//! signatures are skipped and never leave the decoders, and a [`Token`] can only be compared with another.

mod application;
mod attribute;
mod batch_summary;
mod browse;
mod build_info;
mod channel;
mod header;
mod history;
mod item;
mod item_result;
mod message;
mod method;
mod method_table;
mod monitor;
mod nodes;
mod notification;
mod query;
mod reading;
mod request;
mod session;
mod table;

pub use application::{ApplicationDescription, Endpoint, read_endpoints, read_servers};
pub use batch_summary::{BatchSummary, HandleBlock, ResultCounts};
pub use build_info::{BuildInfo, state_name};
pub use channel::{OpenRequest, OpenResponse, TokenRequest};
pub use header::{RequestHeader, ResponseHeader, Token};
pub use item::{Item, Subject};
pub use item_result::{ItemResult, ItemResults};
pub use message::{Direction, Message};
pub use method::Method;
pub use notification::{Notification, Published, visit_notifications};
pub use reading::{PossibleItem, RequestHead, decode_type, visit_operations};
pub(in crate::opcua) use request::count_trailing_bytes;
pub use request::visit_items;
pub use session::{ActivateRequest, CreateRequest, CreateResponse, Identity};
pub use table::{FUNCTIONS, Service};

#[cfg(test)]
mod tests;
