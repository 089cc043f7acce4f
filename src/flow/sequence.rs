//! Arithmetic on TCP sequence numbers.

/// How far `a` lies beyond `b`, in bytes; negative if it lies before (RFC 9293, 3.4: arithmetic modulo 2^32).
pub(super) const fn distance(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}
