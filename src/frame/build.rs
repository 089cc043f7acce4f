//! Test packets.
