//! Whole conversations through the decoder, in annotated hex.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod anomalies;
mod echo;
mod framing;
mod functions;
mod identification;
mod matching;

use std::vec::Vec;

use crate::Side;

/// An MBAP frame around a PDU.
pub(super) fn frame(transaction: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
    let mut frame = Vec::from(transaction.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend((pdu.len() as u16 + 1).to_be_bytes());
    frame.push(unit);
    frame.extend(pdu);
    frame
}

/// A request and its answer, in transaction 1 with unit 1.
pub(super) fn exchange(request: &[u8], answer: &[u8]) -> crate::testing::Log {
    let (request, answer) = (frame(1, 1, request), frame(1, 1, answer));
    crate::testing::decode(&super::TCP, &[(Side::Client, &request), (Side::Server, &answer)])
}

/// A request without an answer.
pub(super) fn ask(request: &[u8]) -> crate::testing::Log {
    crate::testing::decode(&super::TCP, &[(Side::Client, &frame(1, 1, request))])
}
