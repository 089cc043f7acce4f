//! What came of it, for people.

pub mod summary;
