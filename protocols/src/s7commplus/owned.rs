//! Objects that a conversation made for itself: deleting them harms nobody else.

use crate::operation::Class;

/// The latest sessions and subscriptions of one flow.
#[derive(Debug, Default)]
pub(super) struct Owned {
    objects: [Option<(u32, Class)>; MAX_OWNED],
    next: usize,
}

impl Owned {
    /// Remembers a session or subscription; the oldest gives way.
    pub(super) fn learn(&mut self, object: u32, class: Class) {
        if !matches!(class, Class::Session | Class::Subscribe) || self.class(object).is_some() {
            return;
        }
        if let Some(slot) = self.objects.get_mut(self.next) {
            *slot = Some((object, class));
            self.next = (self.next + 1) % MAX_OWNED;
        }
    }

    /// What it is, if it is one of them.
    pub(super) fn class(&self, object: u32) -> Option<Class> {
        self.objects.iter().flatten().find(|(id, _)| *id == object).map(|(_, class)| *class)
    }
}

/// Objects that are remembered. One that was forgotten counts as part of the program: rather an alert too many.
const MAX_OWNED: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way_and_programs_are_never_owned() {
        let mut owned = Owned::default();
        owned.learn(0x8A32_0001, Class::Program);
        assert_eq!(owned.class(0x8A32_0001), None);
        for id in 1..=33 {
            owned.learn(id, Class::Subscribe);
        }
        assert_eq!((owned.class(1), owned.class(33)), (None, Some(Class::Subscribe)));
    }
}
