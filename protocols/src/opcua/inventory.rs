//! The identity of a server, as values of its own nodes (OPC 10000-5, 12.4 and 12.10), which many clients read.

use super::Context;
use super::service::{BuildInfo, state_name};
use crate::dissector::{Identity, Side};
use crate::operation::{Kind, Node, Values};

/// Reports the identity of the server in the value of a node.
#[inline]
pub(super) fn report_server_node(node: &Node<'_>, values: Values<'_>, context: &mut Context<'_>) {
    if let Some(number @ SERVER_STATUS..=BUILD_NUMBER) = node.standard_number() {
        report_value(number, values, context);
    }
}

/// Reports the value of the node with this number of the standard.
fn report_value(number: u32, values: Values<'_>, context: &mut Context<'_>) {
    if let Some(info) = BuildInfo::of(values) {
        let state = info.state.and_then(state_name).unwrap_or_default().as_bytes();
        let fields = [
            ("product", info.product),
            ("url", info.product_uri),
            ("vendor", info.manufacturer),
            ("firmware", info.version),
            ("build_number", info.build),
            ("run_state", state),
        ];
        return fields.into_iter().for_each(|(field, value)| report_field(field, value, context));
    }
    match (number, values) {
        (PRODUCT_NAME..=BUILD_NUMBER, Values::Typed { kind: Kind::Text, count: 1, bytes }) => {
            let field = match number {
                PRODUCT_NAME => "product",
                PRODUCT_URI => "url",
                MANUFACTURER_NAME => "vendor",
                SOFTWARE_VERSION => "firmware",
                _ => "build_number",
            };
            // The text follows its length.
            report_field(field, bytes.get(4..).unwrap_or_default(), context);
        }
        (STATE, Values::Typed { kind: Kind::I32, count: 1, bytes }) => {
            let state = bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)).and_then(state_name);
            report_field("run_state", state.unwrap_or_default().as_bytes(), context);
        }
        _ => {}
    }
}

/// Reports a field of the server's identity, unless it is empty.
fn report_field(field: &'static str, value: &[u8], context: &mut Context<'_>) {
    if !value.is_empty() {
        context.sink.identity(&Identity { of: Side::Server, unit: None, field, value }, context.stamp);
    }
}

// Nodes below the Server object of the standard.
const SERVER_STATUS: u32 = 2256;
const STATE: u32 = 2259;
const PRODUCT_NAME: u32 = 2261;
const PRODUCT_URI: u32 = 2262;
const MANUFACTURER_NAME: u32 = 2263;
const SOFTWARE_VERSION: u32 = 2264;
const BUILD_NUMBER: u32 = 2265;
