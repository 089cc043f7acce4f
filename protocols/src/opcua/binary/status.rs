//! StatusCode: the result of an operation, or the quality of a value (OPC 10000-4, 7.39).

use super::array::Encoded;
use super::dialect::Dialect;
use super::status_names::NAMES;
use crate::fault::Fault;
use crate::reader::Reader;

/// A status code. Its upper half identifies it, its lower half details the quality of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StatusCode(pub u32);

/// The severity, in the two highest bits of a status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Success; the value is usable.
    Good,
    /// Success with reservations.
    Uncertain,
    /// Failure; there is no usable value.
    Bad,
}

impl StatusCode {
    /// Its severity.
    pub const fn severity(self) -> Severity {
        match self.0 >> 30 {
            0 => Severity::Good,
            1 => Severity::Uncertain,
            _ => Severity::Bad,
        }
    }

    /// Whether the operation failed.
    #[inline]
    pub const fn is_bad(self) -> bool {
        self.0 >> 31 != 0
    }

    /// The standard's name in snake_case, such as `bad_user_access_denied`; the severity if the code has no name.
    pub fn name(self) -> &'static str {
        let upper = (self.0 >> 16) as u16;
        match NAMES.binary_search_by_key(&upper, |(code, _)| *code) {
            Ok(row) => NAMES.get(row).map_or("bad", |(_, name)| name),
            Err(_) => match self.severity() {
                Severity::Good => "good",
                Severity::Uncertain => "uncertain",
                Severity::Bad => "bad",
            },
        }
    }
}

impl<'a> Encoded<'a> for StatusCode {
    const MIN_SIZE: usize = 4;

    #[inline]
    fn decode(reader: &mut Reader<'a>, _: impl Dialect) -> Result<Self, Fault> {
        Ok(Self(reader.u32_le("status_code")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_found_by_their_upper_half() {
        assert!(NAMES.is_sorted_by(|(one, _), (other, _)| one < other));
        assert_eq!(StatusCode(0).name(), "good");
        assert_eq!(StatusCode(0x801F_0000).name(), "bad_user_access_denied");
        assert_eq!(StatusCode(0x8034_0400).name(), "bad_node_id_unknown");
        assert_eq!(StatusCode(0x8074_0000).name(), "bad_type_mismatch");
        assert_eq!(StatusCode(0xFFFF_FFFF).name(), "bad");
    }

    #[test]
    fn the_two_highest_bits_are_the_severity() {
        let severities = [0x0096_0000, 0x4094_0000, 0x8001_0000, 0xC000_0000].map(|code| StatusCode(code).severity());
        assert_eq!(severities, [Severity::Good, Severity::Uncertain, Severity::Bad, Severity::Bad]);
    }

    #[test]
    fn every_name_begins_with_its_severity() {
        for (code, name) in NAMES {
            let severity = match StatusCode(u32::from(*code) << 16).severity() {
                Severity::Good => "good",
                Severity::Uncertain => "uncertain",
                Severity::Bad => "bad",
            };
            assert!(name.starts_with(severity), "{name}");
        }
    }
}
