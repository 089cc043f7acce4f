//! Types of values: how a policy writes them, how bytes become a number, and which numbers a type can hold.

use lockkeeper_protocols::Value;

use super::values;

/// How the bytes of a value are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// The type of the value.
    pub data_type: DataType,
    /// The order of its words and bytes.
    pub order: WordOrder,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataType {
    /// A bit; of a register, whether it is not 0.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 16 bits.
    #[default]
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
    /// IEEE 754, 32 bits.
    F32,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
    /// IEEE 754, 64 bits.
    F64,
    /// S7 TIME: signed milliseconds, 32 bits.
    Time,
    /// S7 S5TIME: three decimal digits and a base, 16 bits; in milliseconds.
    S5Time,
    /// S7 DATE: days since 1990-01-01, 16 bits.
    Date,
    /// S7 TIME_OF_DAY: milliseconds since midnight, 32 bits.
    TimeOfDay,
    /// S7 counter: three decimal digits, 16 bits.
    Counter,
    /// S7 STRING, as long as its place: read as its length in characters.
    Text,
}

impl DataType {
    /// The size of a value, bytes; `None` if it depends on the place.
    pub const fn size(self) -> Option<u16> {
        Some(match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::S5Time | Self::Date | Self::Counter => 2,
            Self::U32 | Self::I32 | Self::F32 | Self::Time | Self::TimeOfDay => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Text => return None,
        })
    }

    /// The size of a value, registers; `None` for types of S7 memory only.
    pub const fn registers(self) -> Option<u16> {
        match self {
            Self::Bool | Self::U16 | Self::I16 => Some(1),
            Self::U32 | Self::I32 | Self::F32 => Some(2),
            Self::U64 | Self::I64 | Self::F64 => Some(4),
            _ => None,
        }
    }
}

/// The order of the words and bytes of a value on the wire, shown for the 32-bit value 0xAABBCCDD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WordOrder {
    /// AA BB CC DD: big-endian (`f32`, `f32be`).
    #[default]
    Big,
    /// DD CC BB AA: little-endian (`f32le`).
    Little,
    /// CC DD AA BB: low register first, each register big-endian (`f32be-swapped`).
    BigSwapped,
    /// BB AA DD CC: high register first, each register little-endian (`f32le-swapped`).
    LittleSwapped,
}

/// Smallest and largest value of a type.
pub(super) fn bounds(data_type: DataType) -> (f64, f64) {
    match data_type {
        DataType::Bool => (0.0, 1.0),
        DataType::U8 => (0.0, 255.0),
        DataType::I8 => (-128.0, 127.0),
        DataType::U16 | DataType::Date => (0.0, 65_535.0),
        DataType::I16 => (-32_768.0, 32_767.0),
        DataType::U32 => (0.0, f64::from(u32::MAX)),
        DataType::I32 | DataType::Time => (f64::from(i32::MIN), f64::from(i32::MAX)),
        DataType::F32 => (f64::from(f32::MIN), f64::from(f32::MAX)),
        DataType::S5Time => (0.0, 9_990_000.0),
        DataType::TimeOfDay => (0.0, 86_399_999.0),
        DataType::Counter => (0.0, 999.0),
        DataType::Text => (0.0, 254.0),
        // The nearest f64: limits that large are never exact.
        DataType::U64 => (0.0, 1.844_674_407_370_955_2e19),
        DataType::I64 => (-9.223_372_036_854_776e18, 9.223_372_036_854_776e18),
        DataType::F64 => (f64::MIN, f64::MAX),
    }
}

/// Parses a type with its word order: `u16`, `f32be-swapped`.
pub(super) fn encoding(text: &str) -> Result<Encoding, (String, String)> {
    let (rest, swapped) = text.strip_suffix("-swapped").map_or((text, false), |rest| (rest, true));
    let (name, little) = match rest.strip_suffix("le") {
        Some(name) => (name, true),
        None => (rest.strip_suffix("be").unwrap_or(rest), false),
    };
    let order = match (little, swapped) {
        (false, false) => WordOrder::Big,
        (true, false) => WordOrder::Little,
        (false, true) => WordOrder::BigSwapped,
        (true, true) => WordOrder::LittleSwapped,
    };
    let data_type = DATA_TYPES.iter().find(|(word, _)| *word == name).map(|&(_, data_type)| data_type);
    // An order is valid only for types with several bytes, or several registers.
    let least = match (swapped, rest != name) {
        (true, _) => 4,
        (false, true) => 2,
        (false, false) => 0,
    };
    if let Some(data_type) = data_type.filter(|data_type| data_type.size().unwrap_or(0) >= least) {
        return Ok(Encoding { data_type, order });
    }
    let known: Vec<&str> = DATA_TYPES.iter().map(|&(word, _)| word).collect();
    let order_help = "values of several registers may add be, le, be-swapped or le-swapped";
    Err((format!("unknown type `{text}`"), format!("{}; {order_help}", values::suggestion(text, &known))))
}

const DATA_TYPES: [(&str, DataType); 17] = [
    ("bool", DataType::Bool),
    ("u16", DataType::U16),
    ("i16", DataType::I16),
    ("u32", DataType::U32),
    ("i32", DataType::I32),
    ("f32", DataType::F32),
    ("u64", DataType::U64),
    ("i64", DataType::I64),
    ("f64", DataType::F64),
    ("u8", DataType::U8),
    ("i8", DataType::I8),
    ("time", DataType::Time),
    ("s5time", DataType::S5Time),
    ("date", DataType::Date),
    ("time-of-day", DataType::TimeOfDay),
    ("counter", DataType::Counter),
    ("string", DataType::Text),
];

impl Encoding {
    /// The value of bytes in wire order; `None` if they are no value of the type.
    pub(super) fn read(self, bytes: &[u8]) -> Option<f64> {
        if self.data_type == DataType::Text {
            // Maximum length, length, characters.
            return bytes.get(1).filter(|&&length| Some(&length) <= bytes.first()).map(|&length| f64::from(length));
        }
        let bits = self.assemble(bytes);
        #[expect(clippy::cast_precision_loss, reason = "limits are f64: beyond 2^53 they are not meant to be exact")]
        #[expect(clippy::cast_possible_truncation, reason = "a value of n bytes has n * 8 bits")]
        match self.data_type {
            DataType::Bool => Some(f64::from(u8::from(bits != 0))),
            DataType::I8 => Some(f64::from((bits as u8).cast_signed())),
            DataType::I16 => Some(f64::from((bits as u16).cast_signed())),
            DataType::I32 | DataType::Time => Some(f64::from((bits as u32).cast_signed())),
            DataType::I64 => Some(bits.cast_signed() as f64),
            DataType::F32 => Some(f64::from(f32::from_bits(bits as u32))),
            DataType::F64 => Some(f64::from_bits(bits)),
            DataType::S5Time => {
                let base = 10_u32.pow(1 + (bits as u32 >> 12 & 3));
                digits(bits as u16).map(|digits| f64::from(digits * base))
            }
            DataType::Counter => digits(bits as u16).map(f64::from),
            DataType::U8 | DataType::U16 | DataType::U32 | DataType::U64 | DataType::Date | DataType::TimeOfDay => {
                Some(bits as f64)
            }
            DataType::Text => None,
        }
    }

    /// The bits of a value of at most eight bytes, most significant first.
    fn assemble(self, bytes: &[u8]) -> u64 {
        let append = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        match self.order {
            WordOrder::Big => bytes.iter().fold(0, append),
            WordOrder::Little => bytes.iter().rev().fold(0, append),
            WordOrder::BigSwapped => bytes.rchunks(2).flatten().fold(0, append),
            WordOrder::LittleSwapped => bytes.chunks(2).flat_map(|pair| pair.iter().rev()).fold(0, append),
        }
    }
}

/// The value of three BCD digits, as timers and counters hold it.
fn digits(bits: u16) -> Option<u32> {
    let digits = [bits >> 8 & 0xF, bits >> 4 & 0xF, bits & 0xF];
    let all_decimal = digits.iter().all(|&digit| digit <= 9);
    all_decimal.then(|| digits.iter().fold(0, |number, &digit| number * 10 + u32::from(digit)))
}

impl DataType {
    /// A value that carries its own type, as a number; `None` if the type does not match. Every number matches a
    /// floating-point type.
    pub(super) fn read(self, value: &Value<'_>) -> Option<f64> {
        match (self, value) {
            (Self::Text, Value::Text(text)) => {
                let begins = text.iter().filter(|&&byte| byte & 0xC0 != 0x80);
                u32::try_from(begins.count()).ok().map(f64::from)
            }
            (Self::Text, _) => None,
            (Self::F32 | Self::F64, _) | (Self::Bool, Value::Bool(_)) => value.number(),
            (Self::Bool, _) => None,
            (_, Value::Signed(_) | Value::Unsigned(_)) => value.number(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data_type: DataType, order: WordOrder, bytes: &[u8]) -> Option<f64> {
        Encoding { data_type, order }.read(bytes)
    }

    #[test]
    fn the_four_orders_of_a_32_bit_value_read_alike() {
        // 0x40490FDB is pi in IEEE 754 single precision.
        let pi = Some(f64::from(std::f32::consts::PI));
        assert_eq!(read(DataType::F32, WordOrder::Big, &[0x40, 0x49, 0x0F, 0xDB]), pi);
        assert_eq!(read(DataType::F32, WordOrder::Little, &[0xDB, 0x0F, 0x49, 0x40]), pi);
        assert_eq!(read(DataType::F32, WordOrder::BigSwapped, &[0x0F, 0xDB, 0x40, 0x49]), pi);
        assert_eq!(read(DataType::F32, WordOrder::LittleSwapped, &[0x49, 0x40, 0xDB, 0x0F]), pi);
    }

    #[test]
    fn signs_and_widths_are_those_of_the_type() {
        let big = |data_type, bytes: &[u8]| read(data_type, WordOrder::Big, bytes);
        assert_eq!(big(DataType::U8, &[0xFF]), Some(255.0));
        assert_eq!(big(DataType::I8, &[0xFF]), Some(-1.0));
        assert_eq!(big(DataType::U16, &[0xFF; 2]), Some(65_535.0));
        assert_eq!(big(DataType::I16, &[0xFF; 2]), Some(-1.0));
        assert_eq!(big(DataType::I32, &[0xFF, 0xFF, 0xFF, 0xFE]), Some(-2.0));
        assert_eq!(big(DataType::I64, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFD]), Some(-3.0));
        assert_eq!(big(DataType::F64, &[0x3F, 0xF8, 0, 0, 0, 0, 0, 0]), Some(1.5));
        assert_eq!(big(DataType::Bool, &[0xFF, 0]), Some(1.0));
    }

    #[test]
    fn s7_times_counters_and_strings_read_as_numbers() {
        let big = |data_type, bytes: &[u8]| read(data_type, WordOrder::Big, bytes);
        assert_eq!(big(DataType::Time, &[0xFF, 0xFF, 0xFC, 0x18]), Some(-1_000.0), "T#-1s");
        assert_eq!(big(DataType::S5Time, &[0x21, 0x27]), Some(127_000.0), "base 2 is a second");
        assert_eq!(big(DataType::S5Time, &[0x09, 0x99]), Some(9_990.0), "base 0 is 10 ms");
        assert_eq!(big(DataType::S5Time, &[0x3A, 0x00]), None, "no decimal digit");
        assert_eq!(big(DataType::Counter, &[0x03, 0x41]), Some(341.0));
        assert_eq!(big(DataType::Date, &[0x00, 0x1F]), Some(31.0), "D#1990-02-01");
        assert_eq!(big(DataType::TimeOfDay, &[0x00, 0x36, 0xEE, 0x80]), Some(3_600_000.0));
        assert_eq!(big(DataType::Text, &[10, 3, b'a', b'b', b'c']), Some(3.0));
        assert_eq!(big(DataType::Text, &[2, 3, b'a', b'b', b'c']), None, "longer than its room");
        assert_eq!(big(DataType::Text, &[10]), None);
    }
}
