//! Objects that a flow created for itself: deleting them affects no other client.

use crate::operation::Class;

/// The latest sessions and subscriptions of one flow.
#[derive(Debug, Default)]
pub(super) struct Owned {
    objects: [Option<(u32, Class)>; MAX_OWNED],
    next: usize,
}

impl Owned {
    /// Adds a session or subscription, at the limit in place of the oldest. Ignores other classes and ids added before.
    pub(super) fn add(&mut self, object: u32, class: Class) {
        if !matches!(class, Class::Session | Class::Subscribe) || self.class_of(object).is_some() {
            return;
        }
        if let Some(slot) = self.objects.get_mut(self.next) {
            *slot = Some((object, class));
            self.next = (self.next + 1) % MAX_OWNED;
        }
    }

    /// The class of an object, if the flow created it.
    pub(super) fn class_of(&self, object: u32) -> Option<Class> {
        self.objects.iter().flatten().find(|(id, _)| *id == object).map(|(_, class)| *class)
    }
}

/// Objects that are kept. One that was dropped counts as part of the program: a false alert is preferred to a missed
/// one.
const MAX_OWNED: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_replaced_and_programs_are_never_owned() {
        let mut owned = Owned::default();
        owned.add(0x8A32_0001, Class::Program);
        assert_eq!(owned.class_of(0x8A32_0001), None);
        for id in 1..=33 {
            owned.add(id, Class::Subscribe);
        }
        assert_eq!((owned.class_of(1), owned.class_of(33)), (None, Some(Class::Subscribe)));
    }
}
