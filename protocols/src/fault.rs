//! Why a body was not decoded to its end.

use crate::context::Context;
use crate::dissector::AnomalyKind;
use crate::reader::DecodeError;

/// What stopped a decoder. Whatever was said before stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes break the format.
    Bytes(DecodeError),
    /// A bound of ours was reached.
    Limit(&'static str),
    /// The format has this field, and not all receivers read it alike.
    Ambiguous(&'static str),
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Bytes(error)
    }
}

impl Fault {
    /// A field has a value that does not exist.
    pub const fn invalid(field: &'static str) -> Self {
        Self::Bytes(DecodeError::Invalid(field))
    }

    /// Reports it. A body that we cut ourselves may well end early: nobody is blamed for that.
    pub(crate) fn report(self, is_cut: bool, context: &mut Context<'_>) {
        match self {
            Self::Bytes(DecodeError::Truncated(_)) if is_cut => {}
            Self::Bytes(error) => context.anomaly(AnomalyKind::Malformed, error.field(), None),
            Self::Limit(name) => context.anomaly(AnomalyKind::Limit, name, None),
            Self::Ambiguous(_) => {}
        }
    }
}
