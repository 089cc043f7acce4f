//! The protocol as a whole.
