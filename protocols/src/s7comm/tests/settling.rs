//! Outcomes of untracked items are counted at once; from the first tracked item on, each is reported.

use super::*;
use crate::dissector::{Anomaly, Identity, Limits, Outcome, RequestRef, Sink, Stamp, Transport};
use crate::operation::{Area, Operation, Target};
use crate::s7comm::S7COMM;
use crate::security::Security;
use crate::session::Session;
use crate::testing::at;

/// How many items were accepted, refused, and left open.
#[derive(Debug, Default, PartialEq, Eq)]
struct Endings([u32; 3]);

impl Endings {
    fn count(&mut self, outcome: Outcome, count: u32) {
        let place = match outcome {
            Outcome::Accepted => 0,
            Outcome::Refused { .. } => 1,
            Outcome::NoResponse | Outcome::Pending => 2,
        };
        self.0[place] += count;
    }
}

/// Tracks the items whose bit is set in `awaits`.
struct Listener {
    awaits: u8,
    endings: Endings,
}

impl Sink for Listener {
    fn operation(&mut self, at: RequestRef, _: &Operation<'_>, _: &Stamp) -> bool {
        self.awaits >> at.item & 1 == 1
    }

    fn outcome(&mut self, at: RequestRef, operation: &Operation<'_>, outcome: Outcome, _: &Stamp, _: &Stamp) {
        assert_eq!(operation.target, Self::target(at.item));
        self.endings.count(outcome, 1);
    }

    fn request_unseen(&mut self, _: RequestRef, _: &Operation<'_>, _: &Stamp) {}

    fn ended(&mut self, outcome: Outcome, count: u32) {
        self.endings.count(outcome, count);
    }

    fn identity(&mut self, _: &Identity<'_>, _: &Stamp) {}
    fn security(&mut self, _: &Security<'_>, _: &Stamp) {}
    fn anomaly(&mut self, _: Anomaly, _: &Stamp) {}
    fn pdu(&mut self, _: usize, _: u32) {}
    fn lost(&mut self, _: usize) {}
}

impl Listener {
    fn target(item: u32) -> Target<'static> {
        Target::Memory { area: Area::DataBlock, db: 1, first: item * 8, count: 8 }
    }
}

/// A read of six items, whose answer refuses those that a bit of `refused` stands for and has no more than `answered`.
fn endings(awaits: u8, refused: u8, answered: u8) -> Endings {
    const ITEMS: u8 = 6;
    let items: Vec<u8> = (0..ITEMS).flat_map(|item| db(1, item.into(), 1)).collect();
    let read = job(1, &[&[4, ITEMS], &items[..]].concat(), &[]);
    // Return code, transport size, length in bits or none, the byte and a fill byte.
    let result =
        |item: u8| if refused >> item & 1 == 0 { std::vec![0xFF, 4, 0, 8, 0x2A, 0] } else { std::vec![0x0A, 0, 0, 0] };
    let data: Vec<u8> = (0..answered).flat_map(result).collect();
    let answer = ack_data(1, &[4, answered], &data);
    let mut listener = Listener { awaits, endings: Endings::default() };
    let mut session = Session::new(&S7COMM, Transport::Tcp, &Limits::default(), false);
    session.feed_stream(Client, &read, &at(0), &mut listener);
    session.feed_stream(Server, &answer, &at(1), &mut listener);
    session.finish(&mut listener);
    listener.endings
}

#[test]
fn whatever_mixture_of_items_is_refused_and_waited_for_every_one_has_one_end() {
    for answered in 0..=6 {
        for refused in 0..1_u8 << answered {
            let bad = refused.count_ones();
            let expected = Endings([u32::from(answered) - bad, bad, u32::from(6 - answered)]);
            for awaits in 0..1_u8 << 6 {
                let found = endings(awaits, refused, answered);
                assert_eq!(found, expected, "{refused:06b} refused of {answered}, {awaits:06b} waited for");
            }
        }
    }
}
