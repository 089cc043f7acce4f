//! Operations: the protocol-neutral vocabulary between decoders and everything above them.
//!
//! Policies, alerts, topics, inventory and reports use only these types.

mod namespaces;
mod node;
mod target;
mod typed;
mod values;

pub use namespaces::Namespaces;
pub use node::{Node, NodeId, attribute_name, attribute_number};
pub use target::{Area, Field, MethodTarget, NodeTarget, OBJECT_DEPTH, Table, Target};
pub use typed::{Kind, Typed, Value};
pub use values::Values;

/// What an operation does to the controlled process, in any protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Connect, set up, keep alive, close.
    Session,
    /// Find hosts, endpoints or servers.
    Discover,
    /// Read identity, firmware, names.
    Identify,
    /// Enumerate tags, blocks or nodes.
    Browse,
    /// Read process values, files or history.
    Read,
    /// Set up cyclic or event reporting.
    Subscribe,
    /// Unsolicited or pushed values and alarms.
    Report,
    /// Counters, buffers, test reads.
    Diagnostic,
    /// Erase counters or logs.
    DiagnosticClear,
    /// Change values or outputs.
    Write,
    /// Acknowledge, suppress or disable alarms.
    Alarm,
    /// Set the clock.
    Time,
    /// Start, stop, restart, reset, force, invoke.
    Control,
    /// Read logic out of the controller.
    ProgramUpload,
    /// Download, delete or activate logic, or change the address space.
    Program,
    /// Replace firmware.
    Firmware,
    /// Login, passwords, keys, certificates, roles.
    Security,
    /// Reserved for or defined by a vendor.
    Vendor,
    /// Encrypted.
    Opaque,
    /// Undecodable or unassigned. Permitted only by a rule that names it.
    Unknown,
}

impl Class {
    /// Every class, in the order of the enumeration.
    pub const ALL: [Self; 20] = [
        Self::Session,
        Self::Discover,
        Self::Identify,
        Self::Browse,
        Self::Read,
        Self::Subscribe,
        Self::Report,
        Self::Diagnostic,
        Self::DiagnosticClear,
        Self::Write,
        Self::Alarm,
        Self::Time,
        Self::Control,
        Self::ProgramUpload,
        Self::Program,
        Self::Firmware,
        Self::Security,
        Self::Vendor,
        Self::Opaque,
        Self::Unknown,
    ];

    /// Whether operations of this class change the device or its process, so that an accepted answer proves a change.
    pub const fn changes(self) -> bool {
        match self {
            Self::DiagnosticClear
            | Self::Write
            | Self::Alarm
            | Self::Time
            | Self::Control
            | Self::Program
            | Self::Firmware
            | Self::Security => true,
            Self::Session
            | Self::Discover
            | Self::Identify
            | Self::Browse
            | Self::Read
            | Self::Subscribe
            | Self::Report
            | Self::Diagnostic
            | Self::ProgramUpload
            | Self::Vendor
            | Self::Opaque
            | Self::Unknown => false,
        }
    }

    /// The name in policies, alerts and statistics, such as `program-upload`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Discover => "discover",
            Self::Identify => "identify",
            Self::Browse => "browse",
            Self::Read => "read",
            Self::Subscribe => "subscribe",
            Self::Report => "report",
            Self::Diagnostic => "diagnostic",
            Self::DiagnosticClear => "diagnostic-clear",
            Self::Write => "write",
            Self::Alarm => "alarm",
            Self::Time => "time",
            Self::Control => "control",
            Self::ProgramUpload => "program-upload",
            Self::Program => "program",
            Self::Firmware => "firmware",
            Self::Security => "security",
            Self::Vendor => "vendor",
            Self::Opaque => "opaque",
            Self::Unknown => "unknown",
        }
    }

    /// The class of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// One requested operation on one target. A request that names five targets is five operations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operation<'a> {
    /// What it does to the controlled process.
    pub class: Class,
    /// The standard's own name in snake_case, such as `write_single_register`.
    pub function: &'static str,
    /// The number on the wire, without an exception bit. A sub-function is part of the name and of the target.
    pub code: u32,
    /// The bytes have several readings, and servers differ in the one that they use: each reading is an operation.
    pub ambiguous: bool,
    /// The object that it acts on.
    pub target: Target<'a>,
    /// Its values: of a write those requested, of a read those answered.
    pub values: Values<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_and_table_is_found_by_its_own_name() {
        for class in Class::ALL {
            assert_eq!(Class::from_name(class.name()), Some(class));
        }
        for table in Table::ALL {
            assert_eq!(Table::from_name(table.name()), Some(table));
        }
    }

    #[test]
    fn an_operation_stays_small() {
        let sizes = [size_of::<Target<'_>>(), size_of::<Values<'_>>(), size_of::<Operation<'_>>()];
        assert_eq!(sizes, [32, 24, 80]);
    }
}
