//! Operations and how they ended, as alerts and transactions write them.

use lockkeeper_protocols::{Class, Field, Operation, Outcome, Target, Typed, Value, Values};

use super::{Ending, OwnedOperation, OwnedValues, json};

/// Appends how an operation ended. `late` stands there only where it is true.
pub(super) fn write_ending(out: &mut Vec<u8>, Ending { outcome, late }: Ending) {
    json::write_object(out, |object| {
        match outcome {
            Outcome::Pending => object.add_word("status", "pending"),
            Outcome::Accepted => object.add_word("status", "accepted"),
            Outcome::NoResponse => object.add_word("status", "no_response"),
            Outcome::Refused { code, name } => {
                object.add_word("status", "refused");
                object.add_number("code", code);
                object.add_string("name", name);
            }
        }
        if late {
            object.add_boolean("late", true);
        }
    });
}

/// An operation as records show it, borrowed from a frame or owned.
#[derive(Clone, Copy, Debug)]
pub struct OperationView<'a> {
    /// What it does.
    pub class: Class,
    /// The standard's name in snake_case.
    pub function: &'static str,
    /// The number on the wire.
    pub code: u32,
    /// See [`Operation::ambiguous`].
    pub ambiguous: bool,
    /// What it acts on.
    pub target: Target<'a>,
    /// The values: for a write those of the request, for a read those of the answer.
    pub values: ValuesView<'a>,
}

/// Values, borrowed from a frame or owned.
#[derive(Clone, Copy, Debug)]
pub enum ValuesView<'a> {
    /// In their frame.
    Wire(Values<'a>),
    /// Kept from the request.
    Owned(&'a OwnedValues),
}

impl<'a> From<&Operation<'a>> for OperationView<'a> {
    fn from(operation: &Operation<'a>) -> Self {
        let Operation { class, function, code, ambiguous, target, values } = *operation;
        Self { class, function, code, ambiguous, target, values: ValuesView::Wire(values) }
    }
}

impl<'a> OperationView<'a> {
    /// With the target that the operation [lends](super::OwnedTarget::lend).
    pub(super) fn of(operation: &'a OwnedOperation, target: Target<'a>) -> Self {
        let OwnedOperation { class, function, code, ambiguous, values, .. } = operation;
        let (class, code, ambiguous) = (*class, *code, *ambiguous);
        Self { class, function, code, ambiguous, target, values: ValuesView::Owned(values) }
    }
}

/// Appends an operation. `ambiguous` stands there only where it is true. The values of an operation of class `security` may be
/// a password: they are withheld (`null`).
pub(super) fn write(out: &mut Vec<u8>, operation: &OperationView<'_>) {
    json::write_object(out, |object| {
        object.add_word("class", operation.class.name());
        object.add_word("function", operation.function);
        object.add_number("code", operation.code);
        if operation.ambiguous {
            object.add_boolean("ambiguous", true);
        }
        object.add_value("target", |out| write_target(out, &operation.target));
        if operation.class == Class::Security {
            return object.add_null("values");
        }
        let mut total = None;
        object.add_value("values", |out| total = write_values(out, &operation.values));
        if let Some(total) = total {
            object.add_number("values_total", total);
        }
    });
}

fn write_target(out: &mut Vec<u8>, target: &Target<'_>) {
    json::write_object(out, |object| {
        target.fields(|name, field| match field {
            Field::Number(number) => object.add_number(name, number),
            Field::Name(word) => object.add_word(name, word),
            Field::Text(bytes) => object.add_value(name, |out| json::write_lossy(out, bytes)),
            Field::Node(node) => object.add_value(name, |out| json::write_node(out, node)),
        });
    });
}

/// Appends values. Returns how many there are if fewer elements were written: only the first ones were kept, or they cannot be
/// separated.
fn write_values(out: &mut Vec<u8>, values: &ValuesView<'_>) -> Option<usize> {
    match *values {
        ValuesView::Wire(Values::Typed { kind, count, bytes }) => {
            return write_typed(out, &Typed { kind, count, bytes });
        }
        ValuesView::Owned(&OwnedValues::Typed { kind, count, ref bytes }) => {
            return write_typed(out, &Typed { kind, count, bytes });
        }
        ValuesView::Owned(OwnedValues::Bytes { count, bytes }) => {
            json::write_hex(out, bytes);
            return (bytes.len() < *count).then_some(*count);
        }
        ValuesView::Wire(Values::Bytes(bytes)) => json::write_hex(out, bytes),
        ValuesView::Wire(wire) => json::write_numbers(out, wire.numbers()),
        ValuesView::Owned(OwnedValues::Numbers(numbers)) => json::write_numbers(out, numbers.iter().copied()),
        ValuesView::Owned(OwnedValues::None) => out.extend_from_slice(b"[]"),
    }
    None
}

/// The same for values that carry their type. Lists in lists are as deep as arguments are: two.
fn write_typed(out: &mut Vec<u8>, values: &Typed<'_>) -> Option<usize> {
    let written = json::write_array(out, values.iter(), write_value);
    let total = values.count as usize;
    (written < total).then_some(total)
}

/// Appends one value: times, nodes and GUIDs as texts, bytes as hexadecimal text.
fn write_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(yes) => out.extend_from_slice(if yes { b"true" } else { b"false" }),
        Value::Signed(number) => json::write_number(out, number),
        Value::Unsigned(number) => json::write_number(out, number),
        Value::Status(code) => json::write_number(out, code),
        Value::F32(number) => json::write_float(out, number, f64::from(number)),
        Value::F64(number) => json::write_float(out, number, number),
        Value::Text(text) => json::write_lossy(out, text),
        Value::Time(time) => json::write_time(out, time),
        Value::Node(node) => json::write_node(out, node),
        Value::Guid(_) => json::write_display(out, value),
        Value::Bytes(bytes) | Value::Other(bytes) => json::write_hex(out, bytes),
        // Its length is part of the length of the whole.
        Value::List(list) => {
            write_typed(out, &list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use lockkeeper_protocols::{Kind, MethodTarget, Node, NodeId, NodeTarget};

    use crate::record::testing;

    #[test]
    fn bytes_are_hexadecimal_numbers_are_complete_and_secrets_are_withheld() {
        let shown = |class, owned| {
            let mut out = Vec::new();
            let owned = OwnedOperation { class, values: owned, ..testing::write_register(0, 0) };
            owned.target.lend(|target| write(&mut out, &OperationView::of(&owned, *target)));
            let json: serde_json::Value = serde_json::from_slice(&out).expect("valid JSON");
            json["values"].clone()
        };
        assert_eq!(shown(Class::Vendor, OwnedValues::Bytes { count: 2, bytes: vec![0x0A, 0xFF] }), "0aff");
        let many = shown(Class::Write, OwnedValues::Numbers(vec![1; 2000]));
        assert_eq!(many.as_array().map(Vec::len), Some(2000));
        assert!(shown(Class::Security, OwnedValues::Bytes { count: 6, bytes: b"secret".to_vec() }).is_null());
    }

    #[test]
    fn the_number_of_values_is_written_if_not_all_of_them_are() {
        let shown = |values| {
            let mut out = Vec::new();
            let view = OperationView {
                class: Class::Write,
                function: "write",
                code: 673,
                ambiguous: false,
                target: Target::None,
                values: ValuesView::Owned(&values),
            };
            write(&mut out, &view);
            let json: serde_json::Value = serde_json::from_slice(&out).expect("valid JSON");
            (json["values"].clone(), json.get("values_total").cloned())
        };
        let typed = |count| OwnedValues::Typed { kind: Kind::U16, count, bytes: vec![1, 0, 2, 0] };
        assert_eq!(shown(typed(2)), (serde_json::json!([1, 2]), None));
        assert_eq!(shown(typed(50_000)), (serde_json::json!([1, 2]), Some(50_000.into())));
        let bytes = |count| OwnedValues::Bytes { count, bytes: vec![1, 2] };
        assert_eq!(shown(bytes(2)), (serde_json::json!("0102"), None));
        assert_eq!(shown(bytes(9000)), (serde_json::json!("0102"), Some(9000.into())));
    }

    #[test]
    fn typed_values_are_written_by_their_type() {
        let shown = |kind, count, bytes: &[u8]| {
            let mut out = Vec::new();
            write_values(&mut out, &ValuesView::Owned(&OwnedValues::Typed { kind, count, bytes: bytes.to_vec() }));
            String::from_utf8(out).expect("JSON is UTF-8")
        };
        assert_eq!(shown(Kind::F32, 2, &[0xCD, 0xCC, 0xCC, 0x3D, 0, 0, 0xC0, 0x7F]), "[0.1,\"NaN\"]");
        assert_eq!(shown(Kind::U64, 1, &[0xFF; 8]), "[18446744073709551615]");
        assert_eq!(shown(Kind::Text, 1, b"\x03\0\0\0a\"\xFF"), "[\"a\\\"\u{FFFD}\"]");
        assert_eq!(
            shown(Kind::Time, 1, &116_444_736_000_000_000_i64.to_le_bytes()),
            "[\"1970-01-01T00:00:00.000000000Z\"]"
        );
        // A Boolean, no value, an array of one byte, the node i=13.
        assert_eq!(shown(Kind::Any, 4, &[1, 1, 0, 0x83, 1, 0, 0, 0, 9, 17, 0, 13]), "[true,null,[9],\"i=13\"]");
    }

    #[test]
    fn the_name_of_a_node_cannot_become_a_member_of_the_record() {
        let name = br#"Pump","verdict":"permit\"#;
        let node = Node { namespace: 3, id: NodeId::Text(name) };
        let named = serde_json::json!(format!("ns=3;s={}", String::from_utf8_lossy(name)));
        let shown = |target: &Target<'_>| {
            let mut out = Vec::new();
            write_target(&mut out, target);
            serde_json::from_slice::<serde_json::Value>(&out).expect("valid JSON")
        };
        let read = NodeTarget { node, attribute: Some(13), range: b"\"0\"" };
        assert_eq!(
            shown(&Target::Node(&read)),
            serde_json::json!({ "node": named, "attribute": "value", "range": "\"0\"" })
        );
        let called = MethodTarget { object: node, method: node };
        assert_eq!(shown(&Target::Method(&called)), serde_json::json!({ "object": named, "method": named }));
        // The value of a node may be a node again: a NodeId (17) with a text (3) of namespace 3.
        let value = [&[17, 3, 3, 0, name.len() as u8, 0, 0, 0], name.as_slice()].concat();
        let mut out = Vec::new();
        write_typed(&mut out, &Typed { kind: Kind::Any, count: 1, bytes: &value });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).expect("valid JSON"), serde_json::json!([named]));
    }

    #[test]
    fn a_refusal_has_its_code_and_name_and_a_late_answer_its_flag() {
        let mut out = Vec::new();
        write_ending(&mut out, Outcome::Refused { code: 2, name: "illegal_data_address" }.into());
        assert_eq!(out, br#"{"status":"refused","code":2,"name":"illegal_data_address"}"#);
        out.clear();
        write_ending(&mut out, Ending { outcome: Outcome::Accepted, late: true });
        assert_eq!(out, br#"{"status":"accepted","late":true}"#);
    }
}
