//! The binary encoding of OPC UA (OPC 10000-6, 5.2): little-endian, without tags, so that a value is found by walking
//! over all that stands before it.
//!
//! Bytes that break the encoding are refused, or read as servers read them, whichever the caller asks for: see [`Dialect`].
//!
//! Everything borrows from the message. To read a value that holds others (a [`Variant`], an [`ExtensionObject`]) is to
//! step over it and to keep where it lies; what it holds is looked at when somebody asks. Every step takes at least one
//! byte and a count is held against the bytes that are left before anything is done with it, so the time is bounded by
//! the length. Values nest to a depth of [`MAX_DEPTH`].

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

/// Levels of values within values that are followed. The standard asks for at least 100 (OPC 10000-6, 5.2.2.16).
pub const MAX_DEPTH: u8 = 100;

/// Name of the limit that [`MAX_DEPTH`] is.
const TOO_DEEP: &str = "value_depth";

#[cfg(test)]
mod tests;
