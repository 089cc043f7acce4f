//! Violations of the specification are reported and never fatal.

use super::{ask, exchange};
use crate::testing::Log;
use std::vec::Vec;

fn anomalies(log: &Log) -> Vec<&str> {
    log.lines.iter().filter_map(|line| line.strip_prefix("Malformed ")).collect()
}

#[test]
fn quantities_have_limits() {
    for (function, limit) in [(1u8, 2000u16), (2, 2000), (3, 125), (4, 125)] {
        let ask = |count: u16| ask(&[function, 0, 0, (count >> 8) as u8, count as u8]);
        assert!(anomalies(&ask(1)).is_empty() && anomalies(&ask(limit)).is_empty());
        assert_eq!(anomalies(&ask(0)), ["quantity_out_of_range 0 from Client"]);
        assert_eq!(anomalies(&ask(limit + 1)), [std::format!("quantity_out_of_range {} from Client", limit + 1)]);
    }
}

#[test]
fn a_range_ends_with_its_table() {
    assert!(anomalies(&ask(&[3, 0xFF, 0xFF, 0, 1])).is_empty());
    assert_eq!(anomalies(&ask(&[3, 0xFF, 0xFF, 0, 2])), ["address_out_of_range 65537 from Client"]);
}

#[test]
fn written_quantities_byte_counts_and_bytes_agree() {
    assert_eq!(anomalies(&ask(&[16, 0, 0, 0, 2, 2, 0, 1])), ["byte_count_mismatch 2 from Client"]);
    assert_eq!(anomalies(&ask(&[16, 0, 0, 0, 1, 2, 0])), ["byte_count_mismatch 2 from Client"]);
    assert_eq!(anomalies(&ask(&[15, 0, 0, 0, 9, 1, 0])), ["byte_count_mismatch 1 from Client"]);
    let log = ask(&[15, 0, 0, 0, 9, 1, 0xFF]);
    assert!(log.lines.last().is_some_and(|line| line.contains("count=9")), "the target is what was asked");
    assert!(log.lines[1].ends_with("[1, 1, 1, 1, 1, 1, 1, 1]"), "the values are what was there");
}

#[test]
fn a_coil_is_on_or_off_and_nothing_else() {
    let log = ask(&[5, 0, 1, 0, 1]);
    assert_eq!(anomalies(&log), ["coil_value_invalid 1 from Client"]);
    assert!(log.lines[1].ends_with("write write_single_coil 5 unit=1 table=coil address=1 count=1 = 0x0001"));
}

#[test]
fn a_request_that_ends_too_early_still_is_an_operation() {
    let log = ask(&[16, 0, 0]);
    assert_eq!(anomalies(&log), ["truncated_request 2 from Client"]);
    assert_eq!(log.lines[1], "0 asks 0.0 write write_multiple_registers 16 unit=1");
    for function in 0..=255 {
        assert_eq!(ask(&[function]).lines.iter().filter(|line| line.contains(" asks ")).count(), 1);
    }
}

#[test]
fn bytes_after_the_end_are_reported() {
    assert_eq!(anomalies(&ask(&[11, 0, 0, 0, 0])), ["trailing_bytes 4 from Client"]);
    assert_eq!(anomalies(&exchange(&[7], &[7, 0, 0])), ["trailing_bytes 1 from Server"]);
}

#[test]
fn file_requests_have_a_reference_type_a_length_and_at_least_one_record() {
    assert_eq!(anomalies(&ask(&[20, 0])), ["byte_count_mismatch 0 from Client"]);
    assert_eq!(anomalies(&ask(&[20, 7, 5, 0, 1, 0, 1, 0, 1])), ["reference_type_invalid 5 from Client"]);
    assert_eq!(anomalies(&ask(&[20, 7, 6, 0, 0, 0, 1, 0, 1])), ["file_number_invalid 0 from Client"]);
    assert_eq!(anomalies(&ask(&[20, 7, 6, 0, 1, 0x27, 0x10, 0, 1])), ["address_out_of_range 10000 from Client"]);
    // A length that claims more than there is must not keep the decoder (CVE-2022-20685).
    assert_eq!(anomalies(&ask(&[21, 7, 6, 0, 1, 0, 1, 0xFF, 0xFF])), ["truncated_request 7 from Client"]);
}

#[test]
fn a_function_code_with_an_exception_bit_is_not_a_request() {
    let log = ask(&[0x86, 0, 1, 0, 2]);
    assert_eq!(anomalies(&log), ["function_code_invalid 134 from Client"]);
    assert!(log.lines[1].contains("asks 0.0 unknown invalid_function 6 unit=1"));
    assert_eq!(anomalies(&ask(&[0])), ["function_code_invalid 0 from Client"]);
}

#[test]
fn an_exception_has_one_code() {
    let log = exchange(&[3, 0, 0, 0, 1], &[0x83, 6, 0]);
    assert_eq!(anomalies(&log), ["exception_length 2 from Server"]);
    assert!(log.lines.iter().any(|line| line.contains("refused(6 server_device_busy)")));
    assert_eq!(anomalies(&exchange(&[3, 0, 0, 0, 1], &[0x83])), ["exception_length 0 from Server"]);
}

#[test]
fn short_and_odd_answers_give_what_they_hold() {
    let log = exchange(&[1, 0, 0, 0, 16], &[1, 2, 0xFF]);
    assert_eq!(anomalies(&log), ["byte_count_mismatch 2 from Server"]);
    assert!(log.lines.last().is_some_and(|line| line.ends_with("[1, 1, 1, 1, 1, 1, 1, 1]")));
    let log = exchange(&[3, 0, 0, 0, 2], &[3, 3, 0, 1, 2]);
    assert_eq!(anomalies(&log), ["answer_differs_from_request from Server", "byte_count_odd 3 from Server"]);
    assert!(log.lines.last().is_some_and(|line| line.ends_with("= [1]")));
}

#[test]
fn a_fifo_queue_holds_no_more_than_31() {
    let mut answer = std::vec![24, 0, 66, 0, 32];
    answer.extend([0; 64]);
    assert_eq!(anomalies(&exchange(&[24, 0, 0], &answer)), ["quantity_out_of_range 32 from Server"]);
}

#[test]
fn identification_objects_that_do_not_fit_are_reported() {
    let log = exchange(&[43, 14, 1, 0], &[43, 14, 1, 1, 0, 0, 1, 0, 9, b'A']);
    assert_eq!(anomalies(&log), ["truncated_answer 8 from Server"]);
    assert!(log.lines_of("identity").is_empty());
    assert_eq!(anomalies(&ask(&[43, 14, 9, 0])), ["read_device_code_invalid 9 from Client"]);
}
