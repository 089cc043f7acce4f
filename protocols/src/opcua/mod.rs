//! OPC UA over TCP: the binary encoding and the services (OPC 10000-4 and OPC 10000-6).

pub mod binary;
pub mod service;
