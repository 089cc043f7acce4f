//! Sets of operation classes, and the words of `op` that stand for them.

use lockkeeper_protocols::Class;

/// A set of operation classes, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u32);

impl Classes {
    /// No class.
    pub const NONE: Self = Self(0);

    /// Operations that read or change a controller's logic, or start and stop it.
    pub const OF_LOGIC: Self =
        Self::only(Class::Control).with(Self::only(Class::ProgramUpload)).with(Self::only(Class::Program));

    /// Operations that change nothing, on any target: those of the role `observe`, and diagnostics.
    pub const HARMLESS: Self = Self::only(Class::Session)
        .with(Self::only(Class::Discover))
        .with(Self::only(Class::Identify))
        .with(Self::only(Class::Browse))
        .with(Self::only(Class::Read))
        .with(Self::only(Class::Subscribe))
        .with(Self::only(Class::Report))
        .with(Self::only(Class::Diagnostic));

    /// This class alone.
    pub const fn only(class: Class) -> Self {
        Self(1 << class as u32)
    }

    /// The union of both sets.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The classes of this set that are not in the other.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The intersection of both sets.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether the class is in the set.
    pub const fn contains(self, class: Class) -> bool {
        self.0 & (1 << class as u32) != 0
    }

    /// Whether no class is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The classes of the set, in the order of the design.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(move |&class| self.contains(class))
    }

    /// Every class, `unknown` included: the classes of an entry that names functions and no `op`.
    pub fn all() -> Self {
        Class::ALL.into_iter().collect()
    }

    /// The classes of a word of `op`: a class or a role. `any` excludes `unknown`, which is permitted only where it is named.
    pub fn from_word(word: &str) -> Option<Self> {
        use Class::{
            Alarm, Browse, Control, Diagnostic, DiagnosticClear, Discover, Firmware, Identify, Program, ProgramUpload,
            Read, Report, Security, Session, Subscribe, Time, Write,
        };
        let observe: Self = [Session, Discover, Identify, Browse, Read, Subscribe, Report].into_iter().collect();
        let operate = observe.with([Write, Alarm].into_iter().collect());
        let engineering =
            [Diagnostic, DiagnosticClear, Time, Control, ProgramUpload, Program, Firmware, Security].into_iter();
        match word {
            "observe" => Some(observe),
            "operate" => Some(operate),
            "engineer" => Some(operate.with(engineering.collect())),
            "any" => Some(Class::ALL.into_iter().filter(|&class| class != Class::Unknown).collect()),
            _ => Class::from_name(word).map(Self::only),
        }
    }
}

impl FromIterator<Class> for Classes {
    fn from_iter<T: IntoIterator<Item = Class>>(classes: T) -> Self {
        classes.into_iter().fold(Self::NONE, |set, class| set.with(Self::only(class)))
    }
}

/// The roles, each including the one before it.
pub(super) const ROLES: [&str; 4] = ["observe", "operate", "engineer", "any"];

/// Every word that `op` may be.
pub(super) fn operation_words() -> Vec<&'static str> {
    Class::ALL.into_iter().map(Class::name).chain(ROLES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_includes_the_one_before_it_and_none_includes_unknown() {
        let sets: Vec<_> = ROLES.iter().filter_map(|role| Classes::from_word(role)).collect();
        assert_eq!(sets.len(), 4);
        for pair in sets.windows(2) {
            assert_eq!(pair[0].with(pair[1]), pair[1]);
            assert_ne!(pair[0], pair[1]);
        }
        assert!(sets.iter().all(|set| !set.contains(Class::Unknown)));
        assert!(Classes::from_word("unknown").is_some_and(|set| set.contains(Class::Unknown)));
    }

    #[test]
    fn what_observers_may_do_is_harmless_and_nothing_that_is_hidden_or_changes_something_is() {
        let observe = Classes::from_word("observe").unwrap_or_default();
        assert_eq!(Classes::HARMLESS, observe.with(Classes::only(Class::Diagnostic)));
        assert!(![Class::Write, Class::Opaque, Class::Unknown].into_iter().any(|one| Classes::HARMLESS.contains(one)));
    }

    #[test]
    fn observing_does_not_include_writing() {
        let observe = Classes::from_word("observe").unwrap_or_default();
        assert!(observe.contains(Class::Read) && !observe.contains(Class::Write));
        let operate = Classes::from_word("operate").unwrap_or_default();
        assert!(operate.contains(Class::Write) && !operate.contains(Class::Control));
    }
}
