//! Function codes and sub-functions: names and classes (Modbus Application Protocol V1.1b3, chapter 6, annexes A and B;
//! reserved and vendor codes as known from the field).

use super::umas;
use crate::dissector::Function;
use crate::operation::Class;

/// Bit that the server sets in the function code of an exception response (chapter 7).
pub(super) const EXCEPTION: u8 = 0x80;

pub(super) const READ_COILS: u8 = 1;
pub(super) const READ_DISCRETE_INPUTS: u8 = 2;
pub(super) const READ_HOLDING_REGISTERS: u8 = 3;
pub(super) const READ_INPUT_REGISTERS: u8 = 4;
pub(super) const WRITE_SINGLE_COIL: u8 = 5;
pub(super) const WRITE_SINGLE_REGISTER: u8 = 6;
pub(super) const READ_EXCEPTION_STATUS: u8 = 7;
pub(super) const DIAGNOSTICS: u8 = 8;
pub(super) const GET_COMM_EVENT_COUNTER: u8 = 11;
pub(super) const GET_COMM_EVENT_LOG: u8 = 12;
pub(super) const WRITE_MULTIPLE_COILS: u8 = 15;
pub(super) const WRITE_MULTIPLE_REGISTERS: u8 = 16;
pub(super) const REPORT_SERVER_ID: u8 = 17;
pub(super) const READ_FILE_RECORD: u8 = 20;
pub(super) const WRITE_FILE_RECORD: u8 = 21;
pub(super) const MASK_WRITE_REGISTER: u8 = 22;
pub(super) const READ_WRITE_MULTIPLE_REGISTERS: u8 = 23;
pub(super) const READ_FIFO_QUEUE: u8 = 24;
pub(super) const ENCAPSULATED_INTERFACE: u8 = 43;
pub(super) const UMAS: u8 = 90;

/// MEI type of Read Device Identification (6.21).
pub(super) const MEI_DEVICE_IDENTIFICATION: u16 = 14;
/// MEI type of CANopen General Reference (6.20).
pub(super) const MEI_CANOPEN: u16 = 13;

const fn row(code: u32, name: &'static str, class: Class) -> Function {
    Function { name, code, class }
}

const fn diagnostic(name: &'static str, class: Class) -> Function {
    row(DIAGNOSTICS as u32, name, class)
}

const fn mei(name: &'static str, class: Class) -> Function {
    row(ENCAPSULATED_INTERFACE as u32, name, class)
}

/// The function of a code and, if the request has one, a sub-function.
#[inline]
pub(super) fn find(code: u8, sub: Option<u16>) -> &'static Function {
    match (code, sub) {
        (DIAGNOSTICS, Some(number)) => DIAGNOSTIC.get(usize::from(number)).unwrap_or(&DIAGNOSTIC_RESERVED),
        (ENCAPSULATED_INTERFACE, Some(MEI_CANOPEN)) => &CANOPEN,
        (ENCAPSULATED_INTERFACE, Some(MEI_DEVICE_IDENTIFICATION)) => &DEVICE_IDENTIFICATION,
        (ENCAPSULATED_INTERFACE, Some(_)) => &MEI_RESERVED,
        (UMAS, Some(number)) => umas::find(number),
        _ => CODES.get(usize::from(code)).unwrap_or(&INVALID),
    }
}

/// The kind of the number in a [`Target::Sub`](crate::Target::Sub).
pub(super) const fn sub_kind(code: u8) -> &'static str {
    match code {
        DIAGNOSTICS => "subfunction",
        UMAS => "umas",
        _ => "mei",
    }
}

/// Whether the standard (or the field, for UMAS) defines the structure of this function's requests and responses.
pub(super) const fn has_known_shape(code: u8) -> bool {
    matches!(code, 1..=8 | 11 | 12 | 15..=17 | 20..=24 | ENCAPSULATED_INTERFACE | UMAS)
}

/// The name of an exception code (chapter 7). Codes 5 and 6 announce a delay rather than a failure. They count as
/// refusals as well, because the requested answer does not follow in this transaction.
pub(super) const fn exception_name(code: u8) -> &'static str {
    match code {
        1 => "illegal_function",
        2 => "illegal_data_address",
        3 => "illegal_data_value",
        4 => "server_device_failure",
        5 => "acknowledge",
        6 => "server_device_busy",
        7 => "negative_acknowledge",
        8 => "memory_parity_error",
        10 => "gateway_path_unavailable",
        11 => "gateway_target_device_failed_to_respond",
        _ => "exception",
    }
}

static INVALID: Function = row(0, "invalid_function", Class::Unknown);
static DIAGNOSTIC_RESERVED: Function = diagnostic("diagnostics_reserved", Class::Unknown);
static CANOPEN: Function = mei("canopen_general_reference", Class::Write);
static DEVICE_IDENTIFICATION: Function = mei("read_device_identification", Class::Identify);
static MEI_RESERVED: Function = mei("reserved_mei", Class::Unknown);

/// Sub-functions of Diagnostics (6.8), by number. A number beyond them is reserved.
static DIAGNOSTIC: [Function; 22] = [
    diagnostic("return_query_data", Class::Diagnostic),
    diagnostic("restart_communications_option", Class::Control),
    diagnostic("return_diagnostic_register", Class::Diagnostic),
    diagnostic("change_ascii_input_delimiter", Class::Control),
    diagnostic("force_listen_only_mode", Class::Control),
    diagnostic("diagnostics_reserved_5", Class::Unknown),
    diagnostic("diagnostics_reserved_6", Class::Unknown),
    diagnostic("diagnostics_reserved_7", Class::Unknown),
    diagnostic("diagnostics_reserved_8", Class::Unknown),
    diagnostic("diagnostics_reserved_9", Class::Unknown),
    diagnostic("clear_counters_and_diagnostic_register", Class::DiagnosticClear),
    diagnostic("return_bus_message_count", Class::Diagnostic),
    diagnostic("return_bus_communication_error_count", Class::Diagnostic),
    diagnostic("return_bus_exception_error_count", Class::Diagnostic),
    diagnostic("return_server_message_count", Class::Diagnostic),
    diagnostic("return_server_no_response_count", Class::Diagnostic),
    diagnostic("return_server_nak_count", Class::Diagnostic),
    diagnostic("return_server_busy_count", Class::Diagnostic),
    diagnostic("return_bus_character_overrun_count", Class::Diagnostic),
    diagnostic("return_overrun_error_count", Class::Diagnostic),
    diagnostic("clear_overrun_counter_and_flag", Class::DiagnosticClear),
    diagnostic("get_clear_modbus_plus_statistics", Class::DiagnosticClear),
];

/// Every function that operations can name.
pub(super) static ALL: [Function; 128 + 22 + 4 + umas::FUNCTIONS.len() + 1] = collect();

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler: a wrong index does not build")]
const fn collect() -> [Function; 128 + 22 + 4 + umas::FUNCTIONS.len() + 1] {
    let mut all = [INVALID; 128 + 22 + 4 + umas::FUNCTIONS.len() + 1];
    let mut next = 0;
    while next < all.len() {
        all[next] = match next {
            0..128 => CODES[next],
            128..150 => DIAGNOSTIC[next - 128],
            150 => DIAGNOSTIC_RESERVED,
            151 => CANOPEN,
            152 => DEVICE_IDENTIFICATION,
            153 => MEI_RESERVED,
            154 => umas::OTHER,
            _ => umas::FUNCTIONS[next - 155].function,
        };
        next += 1;
    }
    all
}

/// The function codes 0 to 127. Those with a sub-function have the class that applies while it is unknown.
static CODES: [Function; 128] = [
    row(0, "invalid_function", Class::Unknown),
    row(1, "read_coils", Class::Read),
    row(2, "read_discrete_inputs", Class::Read),
    row(3, "read_holding_registers", Class::Read),
    row(4, "read_input_registers", Class::Read),
    row(5, "write_single_coil", Class::Write),
    row(6, "write_single_register", Class::Write),
    row(7, "read_exception_status", Class::Diagnostic),
    row(8, "diagnostics", Class::Unknown),
    row(9, "program_484", Class::Program),
    row(10, "poll_484", Class::Program),
    row(11, "get_comm_event_counter", Class::Diagnostic),
    row(12, "get_comm_event_log", Class::Diagnostic),
    row(13, "program_584", Class::Program),
    row(14, "poll_584", Class::Program),
    row(15, "write_multiple_coils", Class::Write),
    row(16, "write_multiple_registers", Class::Write),
    row(17, "report_server_id", Class::Identify),
    row(18, "program_884", Class::Program),
    row(19, "reset_comm_link", Class::Control),
    row(20, "read_file_record", Class::Read),
    row(21, "write_file_record", Class::Write),
    row(22, "mask_write_register", Class::Write),
    row(23, "read_write_multiple_registers", Class::Write),
    row(24, "read_fifo_queue", Class::Read),
    row(25, "unassigned_25", Class::Unknown),
    row(26, "unassigned_26", Class::Unknown),
    row(27, "unassigned_27", Class::Unknown),
    row(28, "unassigned_28", Class::Unknown),
    row(29, "unassigned_29", Class::Unknown),
    row(30, "unassigned_30", Class::Unknown),
    row(31, "unassigned_31", Class::Unknown),
    row(32, "unassigned_32", Class::Unknown),
    row(33, "unassigned_33", Class::Unknown),
    row(34, "unassigned_34", Class::Unknown),
    row(35, "unassigned_35", Class::Unknown),
    row(36, "unassigned_36", Class::Unknown),
    row(37, "unassigned_37", Class::Unknown),
    row(38, "unassigned_38", Class::Unknown),
    row(39, "unassigned_39", Class::Unknown),
    row(40, "program_concept", Class::Program),
    row(41, "multiple_function_codes", Class::Program),
    row(42, "reserved_42", Class::Unknown),
    row(43, "encapsulated_interface_transport", Class::Unknown),
    row(44, "unassigned_44", Class::Unknown),
    row(45, "unassigned_45", Class::Unknown),
    row(46, "unassigned_46", Class::Unknown),
    row(47, "unassigned_47", Class::Unknown),
    row(48, "unassigned_48", Class::Unknown),
    row(49, "unassigned_49", Class::Unknown),
    row(50, "unassigned_50", Class::Unknown),
    row(51, "unassigned_51", Class::Unknown),
    row(52, "unassigned_52", Class::Unknown),
    row(53, "unassigned_53", Class::Unknown),
    row(54, "unassigned_54", Class::Unknown),
    row(55, "unassigned_55", Class::Unknown),
    row(56, "unassigned_56", Class::Unknown),
    row(57, "unassigned_57", Class::Unknown),
    row(58, "unassigned_58", Class::Unknown),
    row(59, "unassigned_59", Class::Unknown),
    row(60, "unassigned_60", Class::Unknown),
    row(61, "unassigned_61", Class::Unknown),
    row(62, "unassigned_62", Class::Unknown),
    row(63, "unassigned_63", Class::Unknown),
    row(64, "unassigned_64", Class::Unknown),
    row(65, "user_defined_65", Class::Vendor),
    row(66, "user_defined_66", Class::Vendor),
    row(67, "user_defined_67", Class::Vendor),
    row(68, "user_defined_68", Class::Vendor),
    row(69, "user_defined_69", Class::Vendor),
    row(70, "user_defined_70", Class::Vendor),
    row(71, "user_defined_71", Class::Vendor),
    row(72, "user_defined_72", Class::Vendor),
    row(73, "unassigned_73", Class::Unknown),
    row(74, "unassigned_74", Class::Unknown),
    row(75, "unassigned_75", Class::Unknown),
    row(76, "unassigned_76", Class::Unknown),
    row(77, "unassigned_77", Class::Unknown),
    row(78, "unassigned_78", Class::Unknown),
    row(79, "unassigned_79", Class::Unknown),
    row(80, "unassigned_80", Class::Unknown),
    row(81, "unassigned_81", Class::Unknown),
    row(82, "unassigned_82", Class::Unknown),
    row(83, "unassigned_83", Class::Unknown),
    row(84, "unassigned_84", Class::Unknown),
    row(85, "unassigned_85", Class::Unknown),
    row(86, "unassigned_86", Class::Unknown),
    row(87, "unassigned_87", Class::Unknown),
    row(88, "unassigned_88", Class::Unknown),
    row(89, "unassigned_89", Class::Unknown),
    row(90, "umas", Class::Vendor),
    row(91, "object_messaging", Class::Vendor),
    row(92, "unassigned_92", Class::Unknown),
    row(93, "unassigned_93", Class::Unknown),
    row(94, "unassigned_94", Class::Unknown),
    row(95, "unassigned_95", Class::Unknown),
    row(96, "unassigned_96", Class::Unknown),
    row(97, "unassigned_97", Class::Unknown),
    row(98, "unassigned_98", Class::Unknown),
    row(99, "unassigned_99", Class::Unknown),
    row(100, "user_defined_100", Class::Vendor),
    row(101, "user_defined_101", Class::Vendor),
    row(102, "user_defined_102", Class::Vendor),
    row(103, "user_defined_103", Class::Vendor),
    row(104, "user_defined_104", Class::Vendor),
    row(105, "user_defined_105", Class::Vendor),
    row(106, "user_defined_106", Class::Vendor),
    row(107, "user_defined_107", Class::Vendor),
    row(108, "user_defined_108", Class::Vendor),
    row(109, "user_defined_109", Class::Vendor),
    row(110, "user_defined_110", Class::Vendor),
    row(111, "unassigned_111", Class::Unknown),
    row(112, "unassigned_112", Class::Unknown),
    row(113, "unassigned_113", Class::Unknown),
    row(114, "unassigned_114", Class::Unknown),
    row(115, "unassigned_115", Class::Unknown),
    row(116, "unassigned_116", Class::Unknown),
    row(117, "unassigned_117", Class::Unknown),
    row(118, "unassigned_118", Class::Unknown),
    row(119, "unassigned_119", Class::Unknown),
    row(120, "unassigned_120", Class::Unknown),
    row(121, "unassigned_121", Class::Unknown),
    row(122, "unassigned_122", Class::Unknown),
    row(123, "unassigned_123", Class::Unknown),
    row(124, "unassigned_124", Class::Unknown),
    row(125, "firmware_replacement", Class::Firmware),
    row(126, "program_126", Class::Program),
    row(127, "report_local_address", Class::Identify),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_stands_in_its_own_row() {
        for (index, function) in CODES.iter().enumerate() {
            assert_eq!(function.code as usize, index);
        }
    }

    #[test]
    fn every_name_is_unique_so_that_a_policy_can_name_one_function() {
        let names: BTreeSet<_> = ALL.iter().map(|function| function.name).collect();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn sub_functions_refine_name_and_class() {
        let force = find(DIAGNOSTICS, Some(4));
        assert_eq!((force.name, force.class, force.code), ("force_listen_only_mode", Class::Control, 8));
        assert_eq!(find(DIAGNOSTICS, Some(0x16)).class, Class::Unknown);
        assert_eq!(find(ENCAPSULATED_INTERFACE, Some(14)).class, Class::Identify);
        assert_eq!(find(ENCAPSULATED_INTERFACE, Some(13)).class, Class::Write);
        assert_eq!(find(UMAS, Some(0x41)).name, "umas_stop_plc");
        assert_eq!(find(UMAS, Some(0xEE)).class, Class::Vendor);
    }
}
