//! Functions: codes, names and classes of everything that a PDU can request.

use crate::dissector::Function;
use crate::iso;
use crate::operation::Class;

pub(super) const READ_VAR: u8 = 0x04;
pub(super) const WRITE_VAR: u8 = 0x05;
pub(super) const REQUEST_DOWNLOAD: u8 = 0x1A;
pub(super) const DOWNLOAD_BLOCK: u8 = 0x1B;
pub(super) const DOWNLOAD_ENDED: u8 = 0x1C;
pub(super) const START_UPLOAD: u8 = 0x1D;
pub(super) const UPLOAD: u8 = 0x1E;
pub(super) const END_UPLOAD: u8 = 0x1F;
pub(super) const PI_SERVICE: u8 = 0x28;
pub(super) const PLC_STOP: u8 = 0x29;
pub(super) const SETUP: u8 = 0xF0;

/// Every function, the most frequent ones first.
pub(super) static ALL: [Function; COUNT] = all();

const COUNT: usize = JOBS.len() + USERDATA.len() + SERVICES.len() + SPECIALS.len() + iso::CONTENTS.len();

/// Jobs, by the first byte of their parameters.
const JOBS: [Function; 11] = [
    READ,
    WRITE,
    of("setup_communication", 0xF0, Class::Session),
    of("cpu_services", 0x00, Class::Diagnostic),
    of("request_download", 0x1A, Class::Program),
    of("download_block", 0x1B, Class::Program),
    of("download_ended", 0x1C, Class::Program),
    of("start_upload", 0x1D, Class::ProgramUpload),
    of("upload", 0x1E, Class::ProgramUpload),
    of("end_upload", 0x1F, Class::ProgramUpload),
    of("plc_stop", 0x29, Class::Control),
];

/// PI services, in the order of [`NAMES`](super::service::NAMES); [`PI_SERVICE`] is the function of all. File services
/// move programs in either direction and count as the stricter one.
const SERVICES: [Function; 66] = [
    of("pi_p_program", 0x28, Class::Control),
    of("pi_inse", 0x28, Class::Program),
    of("pi_ins2", 0x28, Class::Program),
    of("pi_dele", 0x28, Class::Program),
    of("pi_modu", 0x28, Class::Program),
    of("pi_garb", 0x28, Class::Program),
    of("pi_n_login", 0x28, Class::Security),
    of("pi_n_logout", 0x28, Class::Security),
    of("pi_n_newpwd", 0x28, Class::Security),
    of("pi_n_f_prot", 0x28, Class::Security),
    of("pi_n_cancel", 0x28, Class::Alarm),
    of("pi_n_dasave", 0x28, Class::Program),
    of("pi_n_config", 0x28, Class::Program),
    of("pi_n_digiof", 0x28, Class::Control),
    of("pi_n_digion", 0x28, Class::Control),
    of("pi_n_dzero", 0x28, Class::Write),
    of("pi_n_endext", 0x28, Class::Program),
    of("pi_n_extern", 0x28, Class::Control),
    of("pi_n_extmod", 0x28, Class::Control),
    of("pi_n_findbl", 0x28, Class::Control),
    of("pi_n_ibn_ss", 0x28, Class::Control),
    of("pi_n_nckmod", 0x28, Class::Control),
    of("pi_n_ost_of", 0x28, Class::Control),
    of("pi_n_ost_on", 0x28, Class::Control),
    of("pi_n_scale", 0x28, Class::Control),
    of("pi_n_sel_bl", 0x28, Class::Control),
    of("pi_n_select", 0x28, Class::Control),
    of("pi_n_setufr", 0x28, Class::Control),
    of("pi_n_strtlk", 0x28, Class::Control),
    of("pi_n_strtul", 0x28, Class::Control),
    of("pi_n_asup", 0x28, Class::Control),
    of("pi_n_f_dele", 0x28, Class::Program),
    of("pi_n_f_delr", 0x28, Class::Program),
    of("pi_n_f_dmda", 0x28, Class::Program),
    of("pi_n_delvar", 0x28, Class::Program),
    of("pi_n_f_copy", 0x28, Class::Program),
    of("pi_n_f_rena", 0x28, Class::Program),
    of("pi_n_f_xfer", 0x28, Class::Program),
    of("pi_n_f_open", 0x28, Class::Program),
    of("pi_n_f_oper", 0x28, Class::Program),
    of("pi_n_f_clos", 0x28, Class::Program),
    of("pi_n_f_seek", 0x28, Class::Program),
    of("pi_n_locke", 0x28, Class::Program),
    of("pi_n_srtext", 0x28, Class::Program),
    of("pi_n_chekdm", 0x28, Class::Write),
    of("pi_n_chkdno", 0x28, Class::Write),
    of("pi_n_crcedn", 0x28, Class::Write),
    of("pi_n_creace", 0x28, Class::Write),
    of("pi_n_creato", 0x28, Class::Write),
    of("pi_n_crtoce", 0x28, Class::Write),
    of("pi_n_delece", 0x28, Class::Write),
    of("pi_n_deleto", 0x28, Class::Write),
    of("pi_n_mmcsem", 0x28, Class::Write),
    of("pi_n_settst", 0x28, Class::Write),
    of("pi_n_tmawco", 0x28, Class::Write),
    of("pi_n_tmcrtc", 0x28, Class::Write),
    of("pi_n_tmcrto", 0x28, Class::Write),
    of("pi_n_tmfdpl", 0x28, Class::Write),
    of("pi_n_tmfpbp", 0x28, Class::Write),
    of("pi_n_tmgett", 0x28, Class::Write),
    of("pi_n_tmmvtl", 0x28, Class::Write),
    of("pi_n_tmpcit", 0x28, Class::Write),
    of("pi_n_tmposm", 0x28, Class::Write),
    of("pi_n_tmrass", 0x28, Class::Write),
    of("pi_n_tresmo", 0x28, Class::Write),
    of("pi_n_tsearc", 0x28, Class::Write),
];

/// Userdata, by group (upper byte) and sub-function. Those of the group of CPU functions that only controllers send are
/// reports when they do.
const USERDATA: [Function; 61] = [
    of("block_status", 0x0101, Class::Diagnostic),
    of("variable_status", 0x0102, Class::Diagnostic),
    of("output_istack", 0x0103, Class::Diagnostic),
    of("output_bstack", 0x0104, Class::Diagnostic),
    of("output_lstack", 0x0105, Class::Diagnostic),
    of("time_measurement", 0x0106, Class::Diagnostic),
    of("force_selection", 0x0107, Class::Control),
    of("modify_variable", 0x0108, Class::Write),
    of("force", 0x0109, Class::Control),
    of("breakpoint", 0x010A, Class::Control),
    of("exit_hold", 0x010B, Class::Control),
    of("memory_reset", 0x010C, Class::Control),
    of("disable_job", 0x010D, Class::Control),
    of("enable_job", 0x010E, Class::Control),
    of("delete_job", 0x010F, Class::Control),
    of("read_job_list", 0x0110, Class::Diagnostic),
    of("read_job", 0x0111, Class::Diagnostic),
    of("replace_job", 0x0112, Class::Control),
    of("block_status_v2", 0x0113, Class::Diagnostic),
    of("flash_led", 0x0116, Class::Diagnostic),
    of("cyclic_transfer", 0x0201, Class::Subscribe),
    of("cyclic_unsubscribe", 0x0204, Class::Subscribe),
    of("change_driven_transfer", 0x0205, Class::Subscribe),
    of("change_driven_modify", 0x0207, Class::Subscribe),
    of("read_record", 0x0208, Class::Read),
    of("list_blocks", 0x0301, Class::Browse),
    of("list_blocks_of_type", 0x0302, Class::Browse),
    of("get_block_info", 0x0303, Class::Browse),
    of("read_szl", 0x0401, Class::Identify),
    of("message_service", 0x0402, Class::Subscribe),
    of("diagnostic_message", 0x0403, Class::Report),
    of("alarm_8_indication", 0x0405, Class::Report),
    of("notify_indication", 0x0406, Class::Report),
    of("alarm_8_lock", 0x0407, Class::Alarm),
    of("alarm_8_unlock", 0x0408, Class::Alarm),
    of("scan_indication", 0x0409, Class::Report),
    of("alarm_ack", 0x040B, Class::Alarm),
    of("alarm_ack_indication", 0x040C, Class::Alarm),
    of("alarm_lock_indication", 0x040D, Class::Alarm),
    of("alarm_unlock_indication", 0x040E, Class::Alarm),
    of("alarm_sq_indication", 0x0411, Class::Report),
    of("alarm_s_indication", 0x0412, Class::Report),
    of("alarm_query", 0x0413, Class::Read),
    of("notify_8_indication", 0x0416, Class::Report),
    of("plc_password", 0x0501, Class::Security),
    of("clear_plc_password", 0x0502, Class::Security),
    of("bsend", 0x0601, Class::Write),
    of("read_clock", 0x0701, Class::Read),
    of("set_clock", 0x0702, Class::Time),
    of("read_clock_following", 0x0703, Class::Read),
    of("set_clock_following", 0x0704, Class::Time),
    of("record_routing_init", 0x2001, Class::Session),
    of("record_routing_finish", 0x2002, Class::Session),
    of("record_routing_data", 0x2003, Class::Write),
    of("nc_request_download", 0x3F01, Class::Program),
    of("nc_download_block", 0x3F02, Class::Program),
    of("nc_continue_download", 0x3F03, Class::Program),
    of("nc_download_ended", 0x3F04, Class::Program),
    of("nc_start_upload", 0x3F06, Class::ProgramUpload),
    of("nc_upload", 0x3F07, Class::ProgramUpload),
    of("nc_continue_upload", 0x3F08, Class::ProgramUpload),
];

/// Functions that more than a number decides.
const SPECIALS: [Function; 10] = [
    WARM_START,
    COLD_START,
    UNKNOWN_SERVICE,
    UNKNOWN_JOB,
    UNKNOWN_USERDATA,
    DIAGNOSTIC_BUFFER,
    MODE_TRANSITION,
    UNKNOWN_SECURITY,
    UNKNOWN_BLOCK_SEND,
    iso::CONNECT,
];

pub(super) const READ: Function = of("read_var", READ_VAR as u32, Class::Read);
pub(super) const WRITE: Function = of("write_var", WRITE_VAR as u32, Class::Write);
pub(super) const WARM_START: Function = of("plc_warm_start", PI_SERVICE as u32, Class::Control);
pub(super) const COLD_START: Function = of("plc_cold_start", PI_SERVICE as u32, Class::Control);
/// An unknown PI service: judged by the worst that it is likely to do.
pub(super) const UNKNOWN_SERVICE: Function = of("pi_unknown", PI_SERVICE as u32, Class::Program);
pub(super) const UNKNOWN_JOB: Function = of("unknown_job", 0, Class::Unknown);
pub(super) const UNKNOWN_USERDATA: Function = of("unknown_userdata", 0, Class::Unknown);
/// A security function other than the password.
const UNKNOWN_SECURITY: Function = of("security", 0x0500, Class::Security);
/// Data that partners send to each other in other ways.
const UNKNOWN_BLOCK_SEND: Function = of("block_send", 0x0600, Class::Write);
/// The status list with past events.
pub(super) const DIAGNOSTIC_BUFFER: Function = of("read_diagnostic_buffer", 0x0401, Class::Diagnostic);
/// A controller reports a change of its operating mode.
pub(super) const MODE_TRANSITION: Function = of("mode_transition", 0, Class::Report);

/// The function of a job.
#[inline]
pub(super) fn job(code: u8) -> &'static Function {
    JOBS.iter().find(|job| job.code == u32::from(code)).unwrap_or(&UNKNOWN_JOB)
}

/// The PI service at a position of [`NAMES`](super::service::NAMES).
pub(super) fn service(position: usize) -> Option<&'static Function> {
    SERVICES.get(position)
}

/// The function of a group and a sub-function of userdata.
pub(super) fn userdata(group: u8, sub: u8) -> &'static Function {
    let code = u32::from(u16::from_be_bytes([group, sub]));
    let known = USERDATA.iter().find(|function| function.code == code);
    known.unwrap_or(match group {
        MODE_GROUP => &MODE_TRANSITION,
        SECURITY_GROUP => &UNKNOWN_SECURITY,
        BLOCK_SEND_GROUP => &UNKNOWN_BLOCK_SEND,
        _ => &UNKNOWN_USERDATA,
    })
}

/// Whether a userdata function with this group and sub-function is known.
pub(super) fn is_userdata(group: u8, sub: u8) -> bool {
    let code = u32::from(u16::from_be_bytes([group, sub]));
    USERDATA.iter().any(|function| function.code == code)
}

pub(super) const MODE_GROUP: u8 = 0;
pub(super) const TEST_GROUP: u8 = 1;
pub(super) const CYCLIC_GROUP: u8 = 2;
pub(super) const BLOCK_GROUP: u8 = 3;
pub(super) const CPU_GROUP: u8 = 4;
pub(super) const SECURITY_GROUP: u8 = 5;
pub(super) const BLOCK_SEND_GROUP: u8 = 6;
pub(super) const TIME_GROUP: u8 = 7;

const fn of(name: &'static str, code: u32, class: Class) -> Function {
    Function { name, code, class }
}

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler: a wrong index does not build")]
const fn all() -> [Function; COUNT] {
    let parts: [&[Function]; 5] = [&JOBS, &USERDATA, &SERVICES, &SPECIALS, &iso::CONTENTS];
    let mut all = [UNKNOWN_JOB; COUNT];
    let (mut part, mut at) = (0, 0);
    while part < parts.len() {
        let mut index = 0;
        while index < parts[part].len() {
            all[at] = parts[part][index];
            (at, index) = (at + 1, index + 1);
        }
        part += 1;
    }
    all
}
