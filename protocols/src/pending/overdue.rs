//! Reports the items of an overdue request.

use crate::dissector::{Anomaly, Identity, Outcome, RequestRef, Sink, Stamp};
use crate::operation::Operation;
use crate::security::Security;

/// Turns the outcomes of a request into [`Sink::overdue`]. Untracked operations are not reported here: they are counted
/// when they end.
pub(super) struct Overdue<'s>(pub(super) &'s mut dyn Sink);

impl Sink for Overdue<'_> {
    fn operation(&mut self, _: RequestRef, _: &Operation<'_>, _: &Stamp) -> bool {
        false
    }

    fn request_unseen(&mut self, _: RequestRef, _: &Operation<'_>, _: &Stamp) {}

    fn outcome(&mut self, at: RequestRef, operation: &Operation<'_>, _: Outcome, _: &Stamp, stamp: &Stamp) {
        self.0.overdue(at, operation, stamp);
    }

    fn ended(&mut self, _: Outcome, _: u32) {}

    fn identity(&mut self, _: &Identity<'_>, _: &Stamp) {}

    fn security(&mut self, _: &Security<'_>, _: &Stamp) {}

    fn anomaly(&mut self, _: Anomaly, _: &Stamp) {}

    fn pdu(&mut self, _: usize, _: u32) {}

    fn lost(&mut self, _: usize) {}
}
