//! The head of a PDU in either framing.

/// The fields before the data of every PDU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Transaction identifier; 0 where the framing has none (RTU).
    pub(super) transaction: u16,
    /// Unit identifier.
    pub(super) unit: u8,
    /// Function code as sent, exception bit included.
    pub(super) code: u8,
}
