//! The generator of evasions.

pub(crate) mod attacks;
pub(crate) mod speech;
pub(crate) mod wire;
