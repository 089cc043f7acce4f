//! UMAS, the engineering protocol inside function code 90: a reservation key, a function, its data.
//!
//! The vendor has not published it; numbers and classes are those on which reverse engineering agrees.

use super::function;
use crate::dissector::Function;
use crate::operation::Class;

/// Second byte of a response: the request was executed.
pub(super) const OK: u8 = 0xFE;
/// Second byte of a response: the request was refused.
pub(super) const ERROR: u8 = 0xFD;
/// Longest MBAP length of a frame with UMAS: unit and function code, then the size that a controller announces in its
/// answer to `INIT_COMM`, at most 1021 bytes (M340, M580; others 253, which gives 255 and exceeds the standard as
/// well). Rounded up, as not all sizes are known.
pub(super) const MAX_LENGTH: u16 = 1024;
/// Function that asks for the controller's identity.
pub(super) const READ_ID: u16 = 0x02;

/// A UMAS function with its number.
#[derive(Debug)]
pub(super) struct Row {
    number: u8,
    pub(super) function: Function,
}

const fn row(number: u8, name: &'static str, class: Class) -> Row {
    Row { number, function: Function { name, code: function::UMAS as u32, class } }
}

/// Any function that is not in the table.
pub(super) static OTHER: Function = Function { name: "umas_other", code: function::UMAS as u32, class: Class::Vendor };

/// The function of that number.
pub(super) fn find(number: u16) -> &'static Function {
    FUNCTIONS.iter().find(|row| u16::from(row.number) == number).map_or(&OTHER, |row| &row.function)
}

/// Whether the number is in the table: a hint that function code 90 carries UMAS.
pub(super) fn is_known(number: u8) -> bool {
    FUNCTIONS.iter().any(|row| row.number == number)
}

/// The controller's name in the answer to `READ_ID`: the layout differs between families, so it is the longest run of
/// printable characters, if that is long enough to be a name.
pub(super) fn name_in_identity(data: &[u8]) -> Option<&[u8]> {
    data.split(|byte| !(b' '..=b'~').contains(byte))
        .max_by_key(|run| run.len())
        .filter(|run| run.len() >= SHORTEST_NAME)
}

const SHORTEST_NAME: usize = 4;

/// The known functions, by number.
pub(super) static FUNCTIONS: [Row; 28] = [
    row(0x01, "umas_init_comm", Class::Session),
    row(0x02, "umas_read_id", Class::Identify),
    row(0x03, "umas_read_project_info", Class::Identify),
    row(0x04, "umas_read_plc_info", Class::Identify),
    row(0x06, "umas_read_card_info", Class::Identify),
    row(0x0A, "umas_repeat", Class::Diagnostic),
    row(0x10, "umas_take_plc_reservation", Class::Security),
    row(0x11, "umas_release_plc_reservation", Class::Security),
    row(0x12, "umas_keep_alive", Class::Session),
    row(0x20, "umas_read_memory_block", Class::ProgramUpload),
    row(0x22, "umas_read_variables", Class::Read),
    row(0x23, "umas_write_variables", Class::Write),
    row(0x24, "umas_read_coils_registers", Class::Read),
    row(0x25, "umas_write_coils_registers", Class::Write),
    row(0x30, "umas_initialize_upload", Class::ProgramUpload),
    row(0x31, "umas_upload_block", Class::ProgramUpload),
    row(0x32, "umas_end_strategy_upload", Class::ProgramUpload),
    row(0x33, "umas_initialize_download", Class::Program),
    row(0x34, "umas_download_block", Class::Program),
    row(0x35, "umas_end_strategy_download", Class::Program),
    row(0x39, "umas_read_eth_master_data", Class::Read),
    row(0x40, "umas_start_plc", Class::Control),
    row(0x41, "umas_stop_plc", Class::Control),
    row(0x50, "umas_monitor_plc", Class::Read),
    row(0x58, "umas_check_plc", Class::Diagnostic),
    row(0x70, "umas_read_io_object", Class::Read),
    row(0x71, "umas_write_io_object", Class::Write),
    row(0x73, "umas_get_status_module", Class::Diagnostic),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_controller_is_found_whatever_stands_around_it() {
        let answer = b"\x06\x20\x00\x00\x0bBMX P34 2020\x00\x01";
        assert_eq!(name_in_identity(answer), Some(b"BMX P34 2020".as_slice()));
        assert_eq!(name_in_identity(b"\x01ab\x02"), None);
    }
}
