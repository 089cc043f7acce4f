//! The reasons why a body is not decoded to its end.

use crate::context::Context;
use crate::dissector::AnomalyKind;
use crate::reader::DecodeError;

/// The reason why decoding stopped. Events reported before it stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes break the format.
    Bytes(DecodeError),
    /// A bound of ours was reached.
    Limit(&'static str),
    /// The specification has this field, but receivers read it differently.
    Ambiguous(&'static str),
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Bytes(error)
    }
}

impl Fault {
    /// A field has an undefined value.
    pub const fn invalid(field: &'static str) -> Self {
        Self::Bytes(DecodeError::Invalid(field))
    }

    /// Reports the fault as an anomaly. `is_cut`: the body was cut at a limit of ours, so that a missing end is no anomaly.
    pub(crate) fn report(self, is_cut: bool, context: &mut Context<'_>) {
        match self {
            Self::Bytes(DecodeError::Truncated(_)) if is_cut => {}
            Self::Bytes(error) => context.anomaly(AnomalyKind::Malformed, error.field(), None),
            Self::Limit(name) => context.anomaly(AnomalyKind::Limit, name, None),
            Self::Ambiguous(_) => {}
        }
    }
}
