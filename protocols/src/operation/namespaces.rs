//! Sets of namespaces.

/// A set of namespaces of an address space, by index. It holds indices below [`Namespaces::END`], which no known server
/// exceeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Namespaces(u64);

impl Namespaces {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// The set of all indices below [`Namespaces::END`].
    pub const ALL: Self = Self(u64::MAX);

    /// The first index that a set cannot hold.
    pub const END: u16 = 64;

    /// The set of this one index; the empty set if it is [`Namespaces::END`] or more.
    #[inline]
    pub const fn only(index: u16) -> Self {
        if index < Self::END { Self(1 << index) } else { Self::NONE }
    }

    /// The union.
    #[inline]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether this set contains all of the others.
    #[inline]
    pub const fn hold(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }

    /// Whether the sets have a namespace in common.
    #[inline]
    pub const fn meet(self, others: Self) -> bool {
        others.0 & self.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_into_it_and_nothing_beyond_its_end() {
        let set = Namespaces::only(0).with(Namespaces::only(63));
        assert!(set.hold(Namespaces::only(63)) && set.hold(Namespaces::NONE) && set.meet(Namespaces::only(0)));
        assert!(!set.hold(Namespaces::only(63).with(Namespaces::only(1))) && !set.meet(Namespaces::only(1)));
        assert_eq!(Namespaces::only(Namespaces::END), Namespaces::NONE);
    }
}
