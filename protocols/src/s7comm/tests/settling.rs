//! Outcomes of untracked items are counted at once; from the first tracked item on, each is reported.

use std::boxed::Box;

use super::*;
use crate::dissector::{Limits, RequestRef, Transport};
use crate::s7comm::S7COMM;
use crate::session::Session;
use crate::testing::{Answers, Detail, Log, at};

/// How many items of a read of six are accepted, refused, and left without a result. The answer refuses those that a bit
/// of `refused` stands for and has no more than `answered`; the outcome of those that a bit of `awaits` stands for is
/// tracked.
fn endings(awaits: u8, refused: u8, answered: u8) -> [u32; 3] {
    const ITEMS: u8 = 6;
    let items: Vec<u8> = (0..ITEMS).flat_map(|item| db(1, item.into(), 1)).collect();
    let read = job(1, &[&[4, ITEMS], &items[..]].concat(), &[]);
    // Return code, transport size, length in bits or none, the byte and a fill byte.
    let result =
        |item: u8| if refused >> item & 1 == 0 { std::vec![0xFF, 4, 0, 8, 0x2A, 0] } else { std::vec![0x0A, 0, 0, 0] };
    let data: Vec<u8> = (0..answered).flat_map(result).collect();
    let answer = ack_data(1, &[4, answered], &data);
    let awaits = Box::new(move |at: RequestRef| awaits >> at.item & 1 == 1);
    let mut log = Log::answering(Answers { awaits, detail: Detail::NoOperations, ..Answers::default() });
    let mut session = Session::new(&S7COMM, Transport::Tcp, &Limits::default(), false);
    session.feed_stream(Client, &read, &at(0), &mut log);
    session.feed_stream(Server, &answer, &at(1), &mut log);
    session.finish(&mut log);
    log.assert_settled();
    let [accepted, refused, unanswered, open] = log.endings;
    [accepted, refused, unanswered + open]
}

#[test]
fn whatever_mixture_of_items_is_refused_and_waited_for_every_one_has_one_end() {
    for answered in 0..=6 {
        for refused in 0..1_u8 << answered {
            let bad = refused.count_ones();
            let expected = [u32::from(answered) - bad, bad, u32::from(6 - answered)];
            for awaits in 0..1_u8 << 6 {
                let found = endings(awaits, refused, answered);
                assert_eq!(found, expected, "{refused:06b} refused of {answered}, {awaits:06b} waited for");
            }
        }
    }
}
