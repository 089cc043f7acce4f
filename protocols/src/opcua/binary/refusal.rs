//! Faults that make servers refuse a message.

use super::dialect::Reading;
use super::{extension, node_id, variant};
use crate::fault::Fault;
use crate::reader::DecodeError;

impl Reading {
    /// Whether all servers of this family refuse a message with this fault. Servers decode a request to its end before they
    /// execute any of it.
    pub fn refuses(self, fault: Fault) -> bool {
        match fault {
            // A server that decodes the type of a structure may ignore its length.
            Fault::Bytes(DecodeError::Truncated(extension::BODY)) => false,
            Fault::Bytes(DecodeError::Truncated(_) | DecodeError::Invalid(node_id::ENCODING)) => true,
            Fault::Bytes(DecodeError::Invalid(variant::TYPE_FIELD | extension::FORM)) => self == Self::Plain,
            Fault::Bytes(DecodeError::Invalid(_)) | Fault::Limit(_) | Fault::Ambiguous(_) => false,
        }
    }
}
