//! ATT&CK techniques by function code and sub-function; the class decides about all others.

use super::function::{self, MEI_CANOPEN};
use crate::operation::{Operation, Target};
use crate::techniques::Techniques;

/// The techniques of an operation, where they differ from those of its class.
pub(super) fn of(operation: &Operation<'_>) -> Option<Techniques> {
    let sub_function = match operation.target {
        Target::Sub { number, .. } => Some(number),
        _ => None,
    };
    let code = u8::try_from(operation.code).ok()?;
    Some(match (code, sub_function) {
        (function::READ_COILS | function::READ_DISCRETE_INPUTS | function::READ_INPUT_REGISTERS, _) => {
            &["T0801", "T0877"]
        }
        (function::WRITE_SINGLE_COIL, _) => &["T1692.001"],
        (function::WRITE_MULTIPLE_COILS, _) => &["T1692.001", "T0806"],
        (function::READ_EXCEPTION_STATUS, _) => &["T0868", "T0888"],
        (function::DIAGNOSTICS, Some(RESTART_COMMUNICATIONS)) => &["T0816", "T0814"],
        (function::DIAGNOSTICS, Some(CHANGE_ASCII_DELIMITER)) => &["T0836", "T0814"],
        (function::DIAGNOSTICS, Some(FORCE_LISTEN_ONLY)) => &["T0814", "T1691.001", "T1691.002"],
        (function::DIAGNOSTICS, _) => &[],
        (POLL_484 | POLL_584, _) => &["T0843"],
        (function::GET_COMM_EVENT_COUNTER | function::GET_COMM_EVENT_LOG, _) => &["T0888"],
        (function::REPORT_SERVER_ID, _) => &["T0888", "T0868"],
        (RESET_COMM_LINK, _) => &["T0814", "T0816"],
        (function::WRITE_FILE_RECORD, _) => &["T0836", "T1692.001"],
        (function::READ_WRITE_MULTIPLE_REGISTERS, _) => &["T1692.001", "T0836", "T0801"],
        (MULTIPLE_FUNCTION_CODES, _) => &["T1692.001"],
        (function::ENCAPSULATED_INTERFACE, Some(MEI_CANOPEN)) => &["T0836"],
        (function::UMAS, Some(number)) => return of_umas(number),
        (FIRMWARE_REPLACEMENT, _) => &["T1693.001", "T1693.002", "T0800"],
        _ => return None,
    })
}

/// By UMAS function (reverse-engineered): reserve, write variables, start, stop, write I/O objects.
fn of_umas(function: u16) -> Option<Techniques> {
    Some(match function {
        0x10 => &["T1692.001"],
        0x23 => &["T0836", "T1692.001"],
        0x40 => &["T0858"],
        0x41 => &["T0858", "T0816"],
        0x71 => &["T0835"],
        _ => return None,
    })
}

/// Sub-functions of Diagnostics (6.8).
const RESTART_COMMUNICATIONS: u16 = 1;
const CHANGE_ASCII_DELIMITER: u16 = 3;
const FORCE_LISTEN_ONLY: u16 = 4;

/// Function codes of Modicon's older protocol manuals.
const POLL_484: u8 = 10;
const POLL_584: u8 = 14;
const RESET_COMM_LINK: u8 = 19;
const MULTIPLE_FUNCTION_CODES: u8 = 41;
const FIRMWARE_REPLACEMENT: u8 = 125;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modbus::{RTU, TCP};
    use crate::operation::{Class, Values};

    fn operation(class: Class, code: u8, target: Target<'_>) -> Operation<'_> {
        let values = Values::None;
        Operation { class, function: "any", code: u32::from(code), ambiguous: false, target, values }
    }

    #[test]
    fn force_listen_only_blocks_commands_and_reports() {
        let target = Target::Sub { unit: 1, kind: "subfunction", number: FORCE_LISTEN_ONLY };
        let silenced = operation(Class::Control, function::DIAGNOSTICS, target);
        assert_eq!(TCP.techniques_of(&silenced), ["T0814", "T1691.001", "T1691.002"]);
        assert_eq!(RTU.techniques_of(&silenced), TCP.techniques_of(&silenced));
    }

    #[test]
    fn a_register_write_has_the_techniques_of_its_class() {
        let write = operation(Class::Write, function::WRITE_SINGLE_REGISTER, Target::None);
        assert_eq!((of(&write), TCP.techniques_of(&write)), (None, Class::Write.techniques()));
    }
}
