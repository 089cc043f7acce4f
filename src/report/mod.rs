//! The result of a run, for people.

pub mod summary;
