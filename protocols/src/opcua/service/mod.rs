//! The services of OPC UA (OPC 10000-4): which one a message is, what it asks for, and how each part of it ended.
//!
//! ```text
//!  body of a message --> Message::read --> RequestHeader  --> items()          one Item for each node, method, ...
//!                        which service     ResponseHeader --> Answers::read()  their results, in the same order
//!                                                             notifications()  what a subscription reports
//! ```
//!
//! Where servers do not all read the bytes of a request alike, [`operations`] finds what each of them may execute.
//!
//! Most messages have many parts that are alike, and [`BatchSummary`] and [`Endings`] count those at once.
//!
//! Nothing is copied: a request is walked again, from its bytes, beside its response. Passwords, nonces and signatures
//! are stepped over and never leave the decoders, and a [`Token`] says no more than whether it is the same as another.

mod answer;
mod application;
mod attribute;
mod batch_summary;
mod browse;
mod build_info;
mod channel;
mod header;
mod history;
mod item;
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

pub use answer::{Answer, Answers};
pub use application::{ApplicationDescription, Endpoint, endpoints, find_servers};
pub use batch_summary::{BatchSummary, Endings, Neighbours};
pub use build_info::{BuildInfo, state_name};
pub use channel::{OpenRequest, OpenResponse, TokenRequest};
pub use header::{RequestHeader, ResponseHeader, Token};
pub use item::{Item, Subject};
pub use message::{Direction, Message};
pub use method::Method;
pub use notification::{Notification, Published, notifications};
pub use reading::{Found, Opened, message_of, operations};
pub use request::items;
pub(in crate::opcua) use request::left_behind;
pub use session::{ActivateRequest, CreateRequest, CreateResponse, Identity};
pub use table::{FUNCTIONS, Service};

#[cfg(test)]
mod tests;
