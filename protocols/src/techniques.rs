//! MITRE ATT&CK for ICS (version 19): the techniques whose traffic an operation has the shape of.
//!
//! An id describes what the traffic looks like, not that it is malicious. Techniques that act on a host, that are wireless, or
//! that are consequences (all Impact techniques) are invisible on a mirror port and are never claimed.

use crate::dissector::Protocol;
use crate::operation::{Class, Operation};

/// Ids of techniques, the most specific first, such as `T0836`.
pub type Techniques = &'static [&'static str];

impl Protocol {
    /// The techniques of an operation of this protocol; those of its class where the protocol has nothing more specific.
    pub fn techniques_of(&self, operation: &Operation<'_>) -> Techniques {
        (self.techniques)(operation).unwrap_or_else(|| operation.class.techniques())
    }
}

impl Class {
    /// The MITRE ATT&CK for ICS techniques of an operation of which only the class is known. Empty for classes without a technique
    /// that their traffic alone shows, such as sessions and security settings.
    pub const fn techniques(self) -> Techniques {
        match self {
            Self::Discover => &["T0846"],
            Self::Identify => &["T0888"],
            Self::Browse => &["T0861"],
            Self::Read | Self::Subscribe => &["T0801"],
            Self::Diagnostic => &["T0868"],
            Self::Write => &["T1692.001", "T0836"],
            Self::Alarm => &["T1692.001", "T0838"],
            Self::Time => &["T1692.001"],
            Self::Control => &["T1692.001", "T0858"],
            Self::ProgramUpload => &["T0845"],
            Self::Program => &["T0843", "T0889"],
            Self::Firmware => &["T1693.001", "T0800"],
            Self::Session
            | Self::Report
            | Self::DiagnosticClear
            | Self::Security
            | Self::Vendor
            | Self::Opaque
            | Self::Unknown => &[],
        }
    }
}
