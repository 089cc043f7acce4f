//! Sets of namespaces.

/// Namespaces of an address space, by index: those below [`Namespaces::END`], which are all that servers have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Namespaces(u64);

impl Namespaces {
    /// None at all.
    pub const NONE: Self = Self(0);

    /// All that a set can hold.
    pub const ALL: Self = Self(u64::MAX);

    /// The first index that no set can hold.
    pub const END: u16 = 64;

    /// The one of this index; none of them if it is beyond what a set can hold.
    #[inline]
    pub const fn only(index: u16) -> Self {
        if index < Self::END { Self(1 << index) } else { Self::NONE }
    }

    /// These and others.
    #[inline]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of the others are among these.
    #[inline]
    pub const fn hold(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }

    /// Whether one of the others is among these.
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
