//! Things by dense id, ids reused.

use crate::IndexError;

#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    /// Takes a thing and gives its id.
    ///
    /// # Errors
    /// [`IndexError`] after 2³² − 1 of them.
    pub(crate) fn insert(&mut self, thing: T) -> Result<u32, IndexError> {
        if let Some(id) = self.free.pop() {
            self.slots[id as usize] = Some(thing);
            return Ok(id);
        }
        let id = u32::try_from(self.slots.len()).map_err(|_| IndexError)?;
        if id == u32::MAX {
            return Err(IndexError);
        }
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(self.slots.len() / 8 + 16);
        }
        self.slots.push(Some(thing));
        Ok(id)
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        let thing = self.slots.get_mut(id as usize)?.take();
        if thing.is_some() {
            self.free.push(id);
        }
        thing
    }

    /// The thing of an id that is in use.
    pub(crate) fn get(&self, id: u32) -> &T {
        self.slots[id as usize]
            .as_ref()
            .expect("ids are only kept while in use")
    }

    /// The thing of an id that is in use.
    pub(crate) fn get_mut(&mut self, id: u32) -> &mut T {
        self.slots[id as usize]
            .as_mut()
            .expect("ids are only kept while in use")
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().flatten()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Option<T>>() + self.free.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_dense_and_reused() {
        let mut slab = Slab::default();
        let first = slab.insert("a").unwrap();
        let second = slab.insert("b").unwrap();
        assert_eq!((first, second), (0, 1));
        assert_eq!(slab.remove(first), Some("a"));
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.insert("c"), Ok(first));
        assert_eq!(slab.iter().copied().collect::<Vec<_>>(), ["c", "b"]);
    }

    #[test]
    fn terms_need_no_room_for_absence() {
        use crate::dictionary::TermSlot;
        assert_eq!(size_of::<Option<TermSlot>>(), size_of::<TermSlot>());
    }
}
