//! The binary encoding of OPC UA (OPC 10000-6, 5.2): little-endian and without tags, so that a value is found by reading
//! all that precedes it.
//!
//! Bytes that violate the encoding are refused, or read as servers read them, by the caller's choice: see [`Dialect`].
//!
//! Everything borrows from the message. A value that holds others (a [`Variant`], an [`ExtensionObject`]) is skipped and keeps
//! where it lies; its contents are decoded on demand. Every step consumes at least one byte, and a count is compared with
//! the remaining bytes before it is used, so that the time is bounded by the length. Values nest up to [`MAX_DEPTH`].

mod array;
mod data_value;
mod diagnostic;
mod dialect;
mod extension;
mod name;
mod node_id;
mod refusal;
mod scalar;
mod status;
mod status_names;
mod variant;

pub use array::{Array, Encoded, read_count, read_elements, skip_array, visit_each};
pub use data_value::DataValue;
pub use diagnostic::DiagnosticInfo;
pub use dialect::{Dialect, Reading, Standard, Unanimous};
pub use extension::{ExtensionBody, ExtensionObject};
pub use name::{LocalizedText, QualifiedName};
pub use node_id::ExpandedNodeId;
pub(in crate::opcua) use node_id::{FOUR_BYTE, NUMERIC, node_namespace};
pub use scalar::{Bytes, read_boolean, read_date_time, read_double};
pub use status::{Severity, StatusCode};
pub use variant::Variant;

/// Levels of nested values that are followed. The standard requires at least 100 (OPC 10000-6, 5.2.2.16).
pub const MAX_DEPTH: u8 = 100;

/// Name of the limit [`MAX_DEPTH`].
const TOO_DEEP: &str = "value_depth";

#[cfg(test)]
mod tests;
