//! Values against the limits of points.

use lockkeeper_protocols::Values;

use super::compile::{LimitedPoint, LimitedPoints, Reach};
use super::model::{Kind, Number, Order};
use super::{LastValues, Limit, Reason};

/// The first limit that written values violate. A value that cannot be known (half of a number that takes two
/// registers, a mask that keeps old bits, a frame cut short) counts as a violation: otherwise that would be the way
/// around the limit.
pub(super) fn violated(points: &LimitedPoints, reach: Reach, values: &Values<'_>, last: &LastValues) -> Option<Reason> {
    points.within(reach).find_map(|point| {
        elements(point, reach).find_map(|element| match value_of(point, element, reach, values) {
            Some(value) => {
                beyond(point, value, last).map(|limit| Reason::Value { point: Some(point.point), value, limit })
            }
            None => Some(Reason::Unreadable { point: point.point }),
        })
    })
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

/// First addresses of the values of a point that an operation touches, also in part.
fn elements(point: &LimitedPoint, reach: Reach) -> impl Iterator<Item = u32> + use<> {
    let size = u32::from(point.kind.number.registers());
    let (first, last) = (point.first, point.last);
    let skipped = reach.first.saturating_sub(first) / size;
    let end = last.min(reach.last);
    (0..).map(move |step| first + (skipped + step) * size).take_while(move |&start| start <= end)
}

/// The value that begins at an address, if all of it is known.
fn value_of(point: &LimitedPoint, start: u32, reach: Reach, values: &Values<'_>) -> Option<f64> {
    let at = usize::try_from(start.checked_sub(reach.first)?).ok()?;
    let size = usize::from(point.kind.number.registers());
    if let Values::Masks { and, or } = *values {
        // FC 22: (current AND and) OR (or AND NOT and). Without bits that are kept, the result is known.
        return (and == 0 && size == 1).then(|| point.kind.read(&[or])).flatten();
    }
    let mut registers = [0; LARGEST];
    let registers = registers.get_mut(..size)?;
    for (offset, register) in registers.iter_mut().enumerate() {
        *register = values.number(at + offset)?;
    }
    point.kind.read(registers)
}

/// Most registers of one value.
const LARGEST: usize = 4;

impl Kind {
    /// The value of registers in the order in which they travel.
    fn read(self, registers: &[u16]) -> Option<f64> {
        let bits = self.assemble(registers);
        #[expect(clippy::cast_precision_loss, reason = "limits are f64: beyond 2^53 they are not meant to be exact")]
        #[expect(clippy::cast_possible_truncation, reason = "a value of n registers has n * 16 bits")]
        match self.number {
            Number::Bool => Some(f64::from(u8::from(bits != 0))),
            Number::U16 | Number::U32 | Number::U64 => Some(bits as f64),
            Number::I16 => Some(f64::from((bits as u16).cast_signed())),
            Number::I32 => Some(f64::from((bits as u32).cast_signed())),
            Number::I64 => Some(bits.cast_signed() as f64),
            Number::F32 => Some(f64::from(f32::from_bits(bits as u32))),
            Number::F64 => Some(f64::from_bits(bits)),
        }
    }

    /// The bits, most significant first, whatever order they travelled in.
    fn assemble(self, registers: &[u16]) -> u64 {
        let swapped = matches!(self.order, Order::Little | Order::LittleSwapped);
        let in_order = |bits: u64, register: &u16| {
            let register = if swapped { register.swap_bytes() } else { *register };
            bits << 16 | u64::from(register)
        };
        match self.order {
            Order::Big | Order::LittleSwapped => registers.iter().fold(0, in_order),
            Order::Little | Order::BigSwapped => registers.iter().rev().fold(0, in_order),
        }
    }
}

/// The limit that a value is beyond. No limit admits what is not a number.
fn beyond(point: &LimitedPoint, value: f64, last: &LastValues) -> Option<Limit> {
    let limits = &point.limits;
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
    let from = last.get(point.point);
    let step = limits.max_step.zip(from).filter(|(max, from)| (value - from).abs() > *max + ROUNDING);
    step.map(|(max, from)| Limit::Step { max, from })
}

/// What a difference of two decimal fractions may be off by: 0.3 - 0.1 is above 0.2.
const ROUNDING: f64 = 1e-6;

impl LastValues {
    /// The last value of a point, if one was seen.
    fn get(&self, point: u16) -> Option<f64> {
        self.0.iter().find(|(of, _)| *of == point).map(|&(_, value)| value)
    }

    /// Bounded by the number of points of one asset that limit their step.
    fn set(&mut self, point: u16, value: f64) {
        match self.0.iter_mut().find(|(of, _)| *of == point) {
            Some((_, last)) => *last = value,
            None => self.0.push((point, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(number: Number, order: Order, registers: &[u16]) -> Option<f64> {
        Kind { number, order }.read(registers)
    }

    #[test]
    fn the_four_orders_of_a_32_bit_value_read_alike() {
        // 0x40490FDB is pi in IEEE 754 single precision.
        let pi = Some(f64::from(std::f32::consts::PI));
        assert_eq!(read(Number::F32, Order::Big, &[0x4049, 0x0FDB]), pi);
        assert_eq!(read(Number::F32, Order::Little, &[0xDB0F, 0x4940]), pi);
        assert_eq!(read(Number::F32, Order::BigSwapped, &[0x0FDB, 0x4049]), pi);
        assert_eq!(read(Number::F32, Order::LittleSwapped, &[0x4940, 0xDB0F]), pi);
    }

    #[test]
    fn signs_and_widths_are_those_of_the_type() {
        assert_eq!(read(Number::U16, Order::Big, &[0xFFFF]), Some(65_535.0));
        assert_eq!(read(Number::I16, Order::Big, &[0xFFFF]), Some(-1.0));
        assert_eq!(read(Number::I32, Order::Big, &[0xFFFF, 0xFFFE]), Some(-2.0));
        assert_eq!(read(Number::I64, Order::Big, &[0xFFFF, 0xFFFF, 0xFFFF, 0xFFFD]), Some(-3.0));
        assert_eq!(read(Number::F64, Order::Big, &[0x3FF8, 0, 0, 0]), Some(1.5));
        assert_eq!(read(Number::Bool, Order::Big, &[0xFF00]), Some(1.0));
    }
}
