//! Values against the limits of points.

use lockkeeper_protocols::{Node, Value, Values};

use super::compile::{LimitedPoint, LimitedPoints, Reach, Unit};
use super::model::{Kind, Limits, Number, WordOrder};
use super::{LastValues, Limit, Reason};

/// The first limit that written values violate. A value that cannot be known (half of a number that takes two
/// registers, a mask that keeps old bits, a frame cut short) counts as a violation: otherwise that would be the way
/// around the limit.
pub(super) fn violated(points: &LimitedPoints, reach: Reach, values: &Values<'_>, last: &LastValues) -> Option<Reason> {
    for point in points.within(reach) {
        for element in elements(point, reach) {
            let Some(value) = value_of(point, element, reach, values) else {
                return Some(Reason::Unreadable { point: point.point });
            };
            if let Some(limit) = beyond(point.point, &point.limits, value, last) {
                return Some(Reason::Value { point: Some(point.point), value, limit });
            }
        }
    }
    None
}

/// Keeps the values of points that limit their step.
pub(super) fn remember(points: &LimitedPoints, reach: Reach, values: &Values<'_>, last: &mut LastValues) {
    if !points.have_steps {
        return;
    }
    for point in points.within(reach).filter(|point| point.limits.max_step.is_some()) {
        let value = elements(point, reach).next().and_then(|element| value_of(point, element, reach, values));
        if let Some(value) = value.filter(|value| value.is_finite()) {
            last.set(point.point, value);
        }
    }
}

/// The first limit that values written to a node violate. What is not of the point's type, or cut short, is a violation.
pub(super) fn violated_at(
    points: &LimitedPoints,
    node: Node<'_>,
    values: &Values<'_>,
    last: &LastValues,
) -> Option<Reason> {
    for point in points.of_node(node) {
        let unreadable = Reason::Unreadable { point: point.point };
        let Some(typed) = values.typed() else { return Some(unreadable) };
        let mut known = 0;
        for value in typed.iter() {
            let Some(value) = point.number.read(&value) else { return Some(Reason::Type { point: point.point }) };
            if let Some(limit) = beyond(point.point, &point.limits, value, last) {
                return Some(Reason::Value { point: Some(point.point), value, limit });
            }
            known += 1;
        }
        if known != typed.count {
            return Some(unreadable);
        }
    }
    None
}

/// Keeps the values of points that limit their step.
pub(super) fn remember_at(points: &LimitedPoints, node: Node<'_>, values: &Values<'_>, last: &mut LastValues) {
    if !points.have_steps {
        return;
    }
    for point in points.of_node(node).filter(|point| point.limits.max_step.is_some()) {
        let value = values.typed().and_then(|typed| typed.iter().next()).and_then(|value| point.number.read(&value));
        if let Some(value) = value.filter(|value| value.is_finite()) {
            last.set(point.point, value);
        }
    }
}

impl Number {
    /// A value that says of what type it is, as a number; none for one of another type. Where a floating-point number is
    /// meant, every number is one.
    fn read(self, value: &Value<'_>) -> Option<f64> {
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

/// First addresses of the values of a point that an operation touches, also in part.
fn elements(point: &LimitedPoint, reach: Reach) -> impl Iterator<Item = u32> + use<> {
    let skipped = reach.first.saturating_sub(point.first) / point.size;
    let (begin, end, size) = (point.first + skipped * point.size, point.last.min(reach.last), point.size);
    (0..).map_while(move |step: u32| begin.checked_add(step.checked_mul(size)?)).take_while(move |&start| start <= end)
}

/// The value that begins at an address, if all of it is known.
fn value_of(point: &LimitedPoint, start: u32, reach: Reach, values: &Values<'_>) -> Option<f64> {
    let at = usize::try_from(start.checked_sub(reach.first)?).ok()?;
    let (size, is_register) = (point.size as usize, point.unit == Unit::Register);
    let in_bytes = reach.first.is_multiple_of(8) && at.is_multiple_of(8);
    match *values {
        Values::None => None,
        // FC 22: (current AND and) OR (or AND NOT and). Without bits that are kept, the result is known.
        Values::Masks { and, or } if is_register => {
            (and == 0 && size == 1).then(|| point.kind.read(&or.to_be_bytes())).flatten()
        }
        Values::Bits { .. } => (size == 1).then(|| values.number(at)).flatten().map(f64::from),
        Values::Registers(bytes) if is_register => point.kind.read(bytes.get(at * 2..(at + size) * 2)?),
        Values::Bytes(bytes) => match point.unit {
            Unit::Register => None,
            Unit::Element => point.kind.read(bytes.get(at * 2..(at + 1) * 2)?),
            Unit::Bit if point.kind.number == Number::Bool => bit(bytes, at, reach).map(f64::from),
            // The length of a string stands at its begin; room that is not used need not be written.
            Unit::Bit if point.kind.number == Number::Text && in_bytes => point.kind.read(bytes.get(at / 8..)?),
            Unit::Bit if in_bytes => point.kind.read(bytes.get(at / 8..(at + size) / 8)?),
            Unit::Bit => None,
        },
        Values::Masks { .. } | Values::Registers(_) | Values::Typed { .. } => None,
    }
}

/// One bit of S7 memory: of whole bytes, or written alone, where its byte holds nothing else.
fn bit(bytes: &[u8], at: usize, reach: Reach) -> Option<u8> {
    match (bytes, reach.first % 8) {
        (&[alone], _) if reach.first == reach.last => Some(alone & 1),
        (_, 0) => bytes.get(at / 8).map(|byte| byte >> (at % 8) & 1),
        _ => None,
    }
}

impl Kind {
    /// The value of bytes in the order in which they travel.
    fn read(self, bytes: &[u8]) -> Option<f64> {
        if self.number == Number::Text {
            // Room for characters, characters there are, characters.
            return bytes.get(1).filter(|&&length| Some(&length) <= bytes.first()).map(|&length| f64::from(length));
        }
        let bits = self.assemble(bytes);
        #[expect(clippy::cast_precision_loss, reason = "limits are f64: beyond 2^53 they are not meant to be exact")]
        #[expect(clippy::cast_possible_truncation, reason = "a value of n bytes has n * 8 bits")]
        match self.number {
            Number::Bool => Some(f64::from(u8::from(bits != 0))),
            Number::I8 => Some(f64::from((bits as u8).cast_signed())),
            Number::I16 => Some(f64::from((bits as u16).cast_signed())),
            Number::I32 | Number::Time => Some(f64::from((bits as u32).cast_signed())),
            Number::I64 => Some(bits.cast_signed() as f64),
            Number::F32 => Some(f64::from(f32::from_bits(bits as u32))),
            Number::F64 => Some(f64::from_bits(bits)),
            Number::S5Time => {
                let base = 10_u32.pow(1 + (bits as u32 >> 12 & 3));
                digits(bits as u16).map(|digits| f64::from(digits * base))
            }
            Number::Counter => digits(bits as u16).map(f64::from),
            Number::U8 | Number::U16 | Number::U32 | Number::U64 | Number::Date | Number::TimeOfDay => {
                Some(bits as f64)
            }
            Number::Text => None,
        }
    }

    /// The bits, most significant first, whatever order the bytes travelled in. At most eight bytes count.
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

/// Three decimal digits of four bits each, the form in which timers and counters count.
fn digits(bits: u16) -> Option<u32> {
    let digits = [bits >> 8 & 0xF, bits >> 4 & 0xF, bits & 0xF];
    let all_decimal = digits.iter().all(|&digit| digit <= 9);
    all_decimal.then(|| digits.iter().fold(0, |number, &digit| number * 10 + u32::from(digit)))
}

/// The limit that a value is beyond. No limit admits what is not a number.
fn beyond(point: u16, limits: &Limits, value: f64, last: &LastValues) -> Option<Limit> {
    if value.is_nan() {
        return Some(Limit::List);
    }
    if let Some(min) = limits.min.filter(|&min| value < min) {
        return Some(Limit::Min(min));
    }
    if let Some(max) = limits.max.filter(|&max| value > max) {
        return Some(Limit::Max(max));
    }
    if !limits.values.is_empty() && !limits.values.contains(&value) {
        return Some(Limit::List);
    }
    let from = last.get(point);
    let step = limits.max_step.zip(from).filter(|(max, from)| (value - from).abs() > *max + ROUNDING);
    step.map(|(max, from)| Limit::Step { max, from })
}

/// What a difference of two decimal fractions may be off by: 0.3 - 0.1 is above 0.2.
const ROUNDING: f64 = 1e-6;

impl LastValues {
    /// The last value of a point, if one was seen.
    fn get(&self, point: u16) -> Option<f64> {
        self.0.iter().flat_map(|values| values.iter()).find(|(of, _)| *of == point).map(|&(_, value)| value)
    }

    /// Bounded by the number of points of one asset that limit their step.
    fn set(&mut self, point: u16, value: f64) {
        let values = self.0.get_or_insert_default();
        match values.iter_mut().find(|(of, _)| *of == point) {
            Some((_, last)) => *last = value,
            None => values.push((point, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(number: Number, order: WordOrder, bytes: &[u8]) -> Option<f64> {
        Kind { number, order }.read(bytes)
    }

    #[test]
    fn the_four_orders_of_a_32_bit_value_read_alike() {
        // 0x40490FDB is pi in IEEE 754 single precision.
        let pi = Some(f64::from(std::f32::consts::PI));
        assert_eq!(read(Number::F32, WordOrder::Big, &[0x40, 0x49, 0x0F, 0xDB]), pi);
        assert_eq!(read(Number::F32, WordOrder::Little, &[0xDB, 0x0F, 0x49, 0x40]), pi);
        assert_eq!(read(Number::F32, WordOrder::BigSwapped, &[0x0F, 0xDB, 0x40, 0x49]), pi);
        assert_eq!(read(Number::F32, WordOrder::LittleSwapped, &[0x49, 0x40, 0xDB, 0x0F]), pi);
    }

    #[test]
    fn signs_and_widths_are_those_of_the_type() {
        let big = |number, bytes: &[u8]| read(number, WordOrder::Big, bytes);
        assert_eq!(big(Number::U8, &[0xFF]), Some(255.0));
        assert_eq!(big(Number::I8, &[0xFF]), Some(-1.0));
        assert_eq!(big(Number::U16, &[0xFF; 2]), Some(65_535.0));
        assert_eq!(big(Number::I16, &[0xFF; 2]), Some(-1.0));
        assert_eq!(big(Number::I32, &[0xFF, 0xFF, 0xFF, 0xFE]), Some(-2.0));
        assert_eq!(big(Number::I64, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFD]), Some(-3.0));
        assert_eq!(big(Number::F64, &[0x3F, 0xF8, 0, 0, 0, 0, 0, 0]), Some(1.5));
        assert_eq!(big(Number::Bool, &[0xFF, 0]), Some(1.0));
    }

    #[test]
    fn s7_times_counters_and_strings_read_as_numbers() {
        let big = |number, bytes: &[u8]| read(number, WordOrder::Big, bytes);
        assert_eq!(big(Number::Time, &[0xFF, 0xFF, 0xFC, 0x18]), Some(-1_000.0), "T#-1s");
        assert_eq!(big(Number::S5Time, &[0x21, 0x27]), Some(127_000.0), "base 2 is a second");
        assert_eq!(big(Number::S5Time, &[0x09, 0x99]), Some(9_990.0), "base 0 is 10 ms");
        assert_eq!(big(Number::S5Time, &[0x3A, 0x00]), None, "no decimal digit");
        assert_eq!(big(Number::Counter, &[0x03, 0x41]), Some(341.0));
        assert_eq!(big(Number::Date, &[0x00, 0x1F]), Some(31.0), "D#1990-02-01");
        assert_eq!(big(Number::TimeOfDay, &[0x00, 0x36, 0xEE, 0x80]), Some(3_600_000.0));
        assert_eq!(big(Number::Text, &[10, 3, b'a', b'b', b'c']), Some(3.0));
        assert_eq!(big(Number::Text, &[2, 3, b'a', b'b', b'c']), None, "longer than its room");
        assert_eq!(big(Number::Text, &[10]), None);
    }
}
