//! A hash table of ids: eight bytes a slot, the things themselves elsewhere.
//!
//! Linear probing; a slot holds 32 bits of hash beside the id, so that growing and removing never
//! look at the things, and a probe looks at them only when the hash agrees. Hashes must be keyed:
//! tenants choose the text.

const EMPTY: u64 = u64::MAX;

#[derive(Debug, Default)]
pub(crate) struct Table {
    /// `hash << 32 | id`; the length is zero or a power of two.
    slots: Vec<u64>,
    len: usize,
}

impl Table {
    /// The ids whose hash agrees; the caller compares what they stand for.
    pub(crate) fn candidates(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let tag = tag(hash);
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = if self.slots.is_empty() {
            0
        } else {
            tag as usize & mask
        };
        std::iter::from_fn(move || {
            loop {
                let slot = *self.slots.get(at)?;
                if slot == EMPTY {
                    return None;
                }
                at = (at + 1) & mask;
                if slot_tag(slot) == tag {
                    return Some(slot_id(slot));
                }
            }
        })
    }

    /// Adds an id that is not there yet. Ids are below `u32::MAX`.
    pub(crate) fn insert(&mut self, hash: u64, id: u32) {
        if (self.len + 1) * 5 > self.slots.len() * 4 {
            self.grow();
        }
        self.place(u64::from(tag(hash)) << 32 | u64::from(id));
        self.len += 1;
    }

    /// Removes an id that is there, closing the gap so that later probes need no tombstones.
    pub(crate) fn remove(&mut self, hash: u64, id: u32) {
        let wanted = u64::from(tag(hash)) << 32 | u64::from(id);
        let mask = self.slots.len().wrapping_sub(1);
        let mut gap = tag(hash) as usize & mask;
        while self.slots.get(gap).is_some_and(|slot| *slot != wanted) {
            if self.slots[gap] == EMPTY {
                return;
            }
            gap = (gap + 1) & mask;
        }
        if self.slots.is_empty() {
            return;
        }
        self.len -= 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot == EMPTY {
                break;
            }
            let home = slot_tag(slot) as usize & mask;
            // Moves only if the gap lies between its home and where it stands, going round.
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap] = EMPTY;
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(16);
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; size]);
        for slot in old.into_iter().filter(|slot| *slot != EMPTY) {
            self.place(slot);
        }
    }

    fn place(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = slot_tag(slot) as usize & mask;
        while self.slots[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn slot_tag(slot: u64) -> u32 {
    (slot >> 32) as u32
}

fn slot_id(slot: u64) -> u32 {
    (slot & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few distinct hashes, so that runs collide and wrap.
    fn hash(id: u32) -> u64 {
        u64::from(id.wrapping_mul(2_654_435_761) % 7 + 0xffff_fff0) << 32
    }

    #[test]
    fn finds_what_is_in_after_any_removals() {
        let mut table = Table::default();
        let mut inside = std::collections::BTreeSet::new();
        let mut seed = 1u32;
        for _ in 0..5_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let id = (seed >> 16) % 100;
            if inside.insert(id) {
                table.insert(hash(id), id);
            } else {
                inside.remove(&id);
                table.remove(hash(id), id);
            }
            for id in 0..100 {
                let found = table.candidates(hash(id)).any(|candidate| candidate == id);
                assert_eq!(found, inside.contains(&id));
            }
        }
    }

    #[test]
    fn an_empty_table_answers() {
        let mut table = Table::default();
        assert_eq!(table.candidates(5).count(), 0);
        table.remove(5, 1);
    }
}
