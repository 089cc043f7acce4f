//! IP protocol numbers (IANA).

/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// Encapsulating Security Payload.
pub(super) const ESP: u8 = 50;
/// ICMPv6.
pub(super) const ICMPV6: u8 = 58;
/// L2TP.
pub(super) const L2TP: u8 = 115;
