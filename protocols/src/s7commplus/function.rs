//! Opcodes and function codes: names and classes.

use crate::dissector::Function;
use crate::iso::{CONNECT, CONTENTS};
use crate::operation::Class;

/// A request of a client.
pub(super) const REQUEST: u8 = 0x31;
/// A response of a controller.
pub(super) const RESPONSE: u8 = 0x32;
/// A notification of a controller, for a subscription.
pub(super) const NOTIFICATION: u8 = 0x33;
/// A response of an S7-1200 while it serves a cyclic subscription.
pub(super) const RESPONSE_2: u8 = 0x02;

pub(super) const ERROR: u16 = 0x04B1;
pub(super) const EXPLORE: u16 = 0x04BB;
pub(super) const CREATE_OBJECT: u16 = 0x04CA;
pub(super) const DELETE_OBJECT: u16 = 0x04D4;
pub(super) const SET_VARIABLE: u16 = 0x04F2;
pub(super) const GET_VARIABLE: u16 = 0x04FC;
pub(super) const ADD_LINK: u16 = 0x0506;
pub(super) const REMOVE_LINK: u16 = 0x051A;
pub(super) const GET_LINK: u16 = 0x0524;
pub(super) const SET_MULTI_VARIABLES: u16 = 0x0542;
pub(super) const GET_MULTI_VARIABLES: u16 = 0x054C;
pub(super) const BEGIN_SEQUENCE: u16 = 0x0556;
pub(super) const END_SEQUENCE: u16 = 0x0560;
pub(super) const INVOKE: u16 = 0x056B;
pub(super) const SET_VAR_SUB_STREAMED: u16 = 0x057C;
pub(super) const GET_VAR_SUB_STREAMED: u16 = 0x0586;
pub(super) const GET_VARIABLES_ADDRESS: u16 = 0x0590;
pub(super) const ABORT: u16 = 0x059A;
/// The other code of an error.
pub(super) const ERROR_2: u16 = 0x05A9;
/// The start of TLS.
pub(super) const INIT_SSL: u16 = 0x05B3;

/// A notification; its code is its opcode.
pub(super) const NOTIFIED: Function = row(NOTIFICATION as u32, "notification", Class::Report);
/// A system event of a controller; its code is its protocol version.
pub(super) const SYSTEM_EVENT: Function = row(0xFE, "system_event", Class::Report);
/// An unknown function; its code is replaced by that on the wire.
const UNKNOWN: Function = row(0, "unknown_function", Class::Unknown);

const fn row(code: u32, name: &'static str, class: Class) -> Function {
    Function { name, code, class }
}

/// Functions with a code, and the class that applies unless their target requires another one.
const CODED: [Function; 20] = [
    row(ERROR as u32, "error", Class::Session),
    row(EXPLORE as u32, "explore", Class::Browse),
    row(CREATE_OBJECT as u32, "create_object", Class::Program),
    row(DELETE_OBJECT as u32, "delete_object", Class::Program),
    row(SET_VARIABLE as u32, "set_variable", Class::Write),
    row(GET_VARIABLE as u32, "get_variable", Class::Read),
    row(ADD_LINK as u32, "add_link", Class::Program),
    row(REMOVE_LINK as u32, "remove_link", Class::Program),
    row(GET_LINK as u32, "get_link", Class::Browse),
    row(SET_MULTI_VARIABLES as u32, "set_multi_variables", Class::Write),
    row(GET_MULTI_VARIABLES as u32, "get_multi_variables", Class::Read),
    row(BEGIN_SEQUENCE as u32, "begin_sequence", Class::Program),
    row(END_SEQUENCE as u32, "end_sequence", Class::Program),
    row(INVOKE as u32, "invoke", Class::Control),
    row(SET_VAR_SUB_STREAMED as u32, "set_var_sub_streamed", Class::Program),
    row(GET_VAR_SUB_STREAMED as u32, "get_var_sub_streamed", Class::ProgramUpload),
    row(GET_VARIABLES_ADDRESS as u32, "get_variables_address", Class::Browse),
    row(ABORT as u32, "abort", Class::Session),
    row(ERROR_2 as u32, "error", Class::Session),
    row(INIT_SSL as u32, "init_ssl", Class::Security),
];

/// Every function.
pub(super) static ALL: [Function; 30] = {
    let [s7comm, s7comm_plus, tls, mms, session, other] = CONTENTS;
    let mut all = [UNKNOWN; 30];
    let (coded, rest) = all.split_at_mut(CODED.len());
    coded.copy_from_slice(&CODED);
    rest.copy_from_slice(&[NOTIFIED, SYSTEM_EVENT, UNKNOWN, CONNECT, s7comm, s7comm_plus, tls, mms, session, other]);
    all
};

/// The function of a code.
pub(super) fn of(code: u16) -> Function {
    let code = u32::from(code);
    let known = CODED.iter().find(|function| function.code == code);
    known.copied().unwrap_or(Function { code, ..UNKNOWN })
}

/// The function of a request whose function cannot be read.
pub(super) const fn unread(code: u32) -> Function {
    Function { code, ..UNKNOWN }
}

/// Whether an answer with this code only reports a failure.
pub(super) const fn is_error(code: u16) -> bool {
    matches!(code, ERROR | ERROR_2)
}

/// The name of an answer's error code, as known from the field.
pub(super) const fn error_name(code: i16) -> &'static str {
    match code {
        -12 => "object_not_found",
        -17 => "invalid_crc",
        -134 => "multi_es_not_supported",
        -255 => "invalid_lid",
        _ => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_finds_its_row_and_no_other() {
        for function in CODED {
            assert_eq!(of(function.code as u16).name, function.name);
        }
        assert!(ALL.iter().skip(CODED.len()).all(|function| of(function.code as u16).name == "unknown_function"));
        let strange = of(0x0533);
        assert_eq!((strange.name, strange.code, strange.class), ("unknown_function", 0x0533, Class::Unknown));
    }
}
