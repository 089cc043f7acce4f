//! The verdict on values by the limits of points.

use lockkeeper_protocols::{Node, Values};

use super::addresses::{AddressUnit, Reach};
use super::compile::{LimitedPoint, LimitedPoints};
use super::model::{DataType, Limits};
use super::{LastValues, Limit, Reason};

/// The first limit that values written to addresses violate. A value that cannot be determined (half of a number that takes
/// two registers, a mask that keeps old bits, a truncated frame) is a violation: otherwise it would bypass the limit.
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

/// Stores the values at addresses, for points that limit their step.
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

/// The first limit that values written to a node violate. A value of another type, or a truncated one, is a violation.
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
            let Some(value) = point.data_type.read(&value) else { return Some(Reason::Type { point: point.point }) };
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

/// Stores the value of a node, for points that limit their step.
pub(super) fn remember_at(points: &LimitedPoints, node: Node<'_>, values: &Values<'_>, last: &mut LastValues) {
    if !points.have_steps {
        return;
    }
    for point in points.of_node(node).filter(|point| point.limits.max_step.is_some()) {
        let value = values.typed().and_then(|typed| typed.iter().next()).and_then(|value| point.data_type.read(&value));
        if let Some(value) = value.filter(|value| value.is_finite()) {
            last.set(point.point, value);
        }
    }
}

/// The first addresses of those values of a point that an operation reaches, even in part.
fn elements(point: &LimitedPoint, reach: Reach) -> impl Iterator<Item = u32> + use<> {
    let skipped = reach.first.saturating_sub(point.first) / point.size;
    let (begin, end, size) = (point.first + skipped * point.size, point.last.min(reach.last), point.size);
    (0..).map_while(move |step: u32| begin.checked_add(step.checked_mul(size)?)).take_while(move |&start| start <= end)
}

/// The value at an address, if the operation holds all of it.
fn value_of(point: &LimitedPoint, start: u32, reach: Reach, values: &Values<'_>) -> Option<f64> {
    let at = usize::try_from(start.checked_sub(reach.first)?).ok()?;
    let (size, is_register) = (point.size as usize, point.unit == AddressUnit::Register);
    let in_bytes = reach.first.is_multiple_of(8) && at.is_multiple_of(8);
    match *values {
        Values::None => None,
        // FC 22 writes (current AND and) OR (or AND NOT and): known only if it keeps no bits.
        Values::Masks { and, or } if is_register => {
            (and == 0 && size == 1).then(|| point.encoding.read(&or.to_be_bytes())).flatten()
        }
        Values::Bits { .. } => (size == 1).then(|| values.number(at)).flatten().map(f64::from),
        Values::Registers(bytes) if is_register => point.encoding.read(bytes.get(at * 2..(at + size) * 2)?),
        Values::Bytes(bytes) => match point.unit {
            AddressUnit::Register => None,
            AddressUnit::Element => point.encoding.read(bytes.get(at * 2..(at + 1) * 2)?),
            AddressUnit::Bit if point.encoding.data_type == DataType::Bool => bit(bytes, at, reach).map(f64::from),
            // The length of a string precedes its characters; the unused rest need not be written.
            AddressUnit::Bit if point.encoding.data_type == DataType::Text && in_bytes => {
                point.encoding.read(bytes.get(at / 8..)?)
            }
            AddressUnit::Bit if in_bytes => point.encoding.read(bytes.get(at / 8..(at + size) / 8)?),
            AddressUnit::Bit => None,
        },
        Values::Masks { .. } | Values::Registers(_) | Values::Typed { .. } => None,
    }
}

/// One bit of memory: from whole bytes, or a bit that is written alone and fills a byte.
fn bit(bytes: &[u8], at: usize, reach: Reach) -> Option<u8> {
    match (bytes, reach.first % 8) {
        (&[alone], _) if reach.first == reach.last => Some(alone & 1),
        (_, 0) => bytes.get(at / 8).map(|byte| byte >> (at % 8) & 1),
        _ => None,
    }
}

/// The limit that a value violates, if any. NaN violates all.
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

/// Tolerance for differences of decimal fractions: 0.3 - 0.1 is above 0.2.
const ROUNDING: f64 = 1e-6;

impl LastValues {
    /// The last value of a point, if there was one.
    fn get(&self, point: u16) -> Option<f64> {
        self.0.iter().flat_map(|values| values.iter()).find(|(of, _)| *of == point).map(|&(_, value)| value)
    }

    /// Stores the last value of a point. There are no more than points of one asset that limit their step.
    fn set(&mut self, point: u16, value: f64) {
        let values = self.0.get_or_insert_default();
        match values.iter_mut().find(|(of, _)| *of == point) {
            Some((_, last)) => *last = value,
            None => values.push((point, value)),
        }
    }
}
