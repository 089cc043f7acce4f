//! Verdicts, and the reasons of denials.

use lockkeeper_protocols::{Class, UserKind};

use super::dialect::Channel;
use super::{Policy, Rule};

/// The verdict on a flow or an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// A declared flow permits it.
    Permit {
        /// The flow (index), where a flow is the reason.
        flow: Option<u16>,
    },
    /// Only recorded: inside one zone, or exempt by the policy.
    Observe,
    /// Not judged: there is no policy, or neither end is in a zone.
    NotJudged,
    /// Not permitted.
    Deny(Denial),
}

/// Why a flow or an operation is not permitted. [`Policy::detail`] makes the sentence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Denial {
    /// The rule that is violated.
    pub rule: Rule,
    /// The declared flow (index) that comes closest to permitting it.
    pub flow: Option<u16>,
    /// The particulars.
    pub reason: Reason,
}

/// The particulars of a denial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// None beyond the rule.
    Plain,
    /// The class that is not permitted, or not on this address.
    Class(Class),
    /// The request does not show the value that a point with limits would get.
    Unreadable {
        /// The point (index).
        point: u16,
    },
    /// A value has another type than its point.
    Type {
        /// The point (index).
        point: u16,
    },
    /// The protection of the channel.
    Channel(Channel),
    /// The protection of the channel, and a better one that was offered or used before.
    Weaker {
        /// The present protection.
        now: Channel,
        /// The better one.
        than: Channel,
    },
    /// The kind of identity of the user.
    User(UserKind),
    /// The begin or the end of a certificate's validity, seconds since 1970-01-01 UTC.
    Time(i64),
    /// The length of a key, bits.
    Bits(u32),
    /// The certificate belongs to another application than the one that presents it.
    Application,
    /// A value is beyond a limit of a point.
    Value {
        /// The point (index), or none for limits written in the flow itself.
        point: Option<u16>,
        /// The value, as the point's type reads it.
        value: f64,
        /// The limit.
        limit: Limit,
    },
}

/// The limit of a point that a value violates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// The value is below `min`.
    Min(f64),
    /// The value is above `max`.
    Max(f64),
    /// The value is not one of `values`.
    List,
    /// The value differs from the one before by more than `max_step`.
    Step {
        /// The largest step allowed.
        max: f64,
        /// The value before.
        from: f64,
    },
}

/// The last value of each point that limits its step, for one flow.
#[derive(Clone, Debug, Default)]
#[expect(clippy::box_collection, reason = "most flows have none, and it costs them one pointer")]
pub struct LastValues(pub(super) Option<Box<Vec<(u16, f64)>>>);

impl LastValues {
    /// Moves the values to a policy that replaces `before`. A point keeps its value if the new policy has one of its name.
    pub fn carry_over(&mut self, before: &Policy, policy: &Policy) {
        let Some(values) = &mut self.0 else { return };
        values.retain_mut(|(point, _)| {
            let now = policy.point_named(before.point_name(*point));
            *point = now.unwrap_or(*point);
            now.is_some()
        });
    }
}
