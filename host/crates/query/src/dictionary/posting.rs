//! A set of ids, sized for the common case of one.
//!
//! Eighty per cent of all terms occur in one entity only, so one id costs nothing beyond the enum;
//! a few are a sorted list; more are a roaring bitmap. The thresholds differ going up and down, so
//! that one entity flapping does not rebuild a bitmap each time.

use std::borrow::Cow;

use roaring::RoaringBitmap;

const MOST_LISTED: usize = 64;
const LEAST_IN_BITMAP: u64 = 32;

#[derive(Debug, Default)]
pub(crate) enum Posting {
    #[default]
    Empty,
    One(u32),
    Few(Box<Few>),
    Many(Box<RoaringBitmap>),
}

/// Two or more ids in order.
#[derive(Debug)]
pub(crate) struct Few {
    ids: Vec<u32>,
}

impl Posting {
    pub(crate) fn insert(&mut self, id: u32) {
        match self {
            Posting::Empty => *self = Posting::One(id),
            Posting::One(one) if *one == id => {}
            Posting::One(one) => {
                let ids = vec![id.min(*one), id.max(*one)];
                *self = Posting::Few(Box::new(Few { ids }));
            }
            Posting::Few(few) => {
                if let Err(at) = few.ids.binary_search(&id) {
                    few.ids.insert(at, id);
                }
                if few.ids.len() > MOST_LISTED {
                    *self = Posting::Many(Box::new(few.ids.iter().copied().collect()));
                }
            }
            Posting::Many(many) => {
                many.insert(id);
            }
        }
    }

    pub(crate) fn remove(&mut self, id: u32) {
        match self {
            Posting::Empty => {}
            Posting::One(one) => {
                if *one == id {
                    *self = Posting::Empty;
                }
            }
            Posting::Few(few) => {
                if let Ok(at) = few.ids.binary_search(&id) {
                    few.ids.remove(at);
                }
                if let [one] = few.ids[..] {
                    *self = Posting::One(one);
                }
            }
            Posting::Many(many) => {
                many.remove(id);
                if many.len() < LEAST_IN_BITMAP {
                    let ids = many.iter().collect();
                    *self = Posting::Few(Box::new(Few { ids }));
                }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Posting::Empty)
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Posting::Empty => 0,
            Posting::One(_) => 1,
            Posting::Few(few) => few.ids.len() as u64,
            Posting::Many(many) => many.len(),
        }
    }

    /// The ids, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let bitmap = match self {
            Posting::Many(many) => Some(many.iter()),
            _ => None,
        };
        let listed = self.listed().iter().copied();
        listed.chain(bitmap.into_iter().flatten())
    }

    /// Adds all ids to a bitmap.
    pub(crate) fn union_into(&self, bitmap: &mut RoaringBitmap) {
        match self {
            Posting::Many(many) => *bitmap |= &**many,
            small => bitmap.extend(small.listed().iter().copied()),
        }
    }

    pub(crate) fn to_bitmap(&self) -> Cow<'_, RoaringBitmap> {
        match self {
            Posting::Many(many) => Cow::Borrowed(many),
            small => Cow::Owned(small.listed().iter().copied().collect()),
        }
    }

    /// How many ids are in the bitmap too.
    pub(crate) fn intersection_len(&self, bitmap: &RoaringBitmap) -> u64 {
        match self {
            Posting::Many(many) => many.intersection_len(bitmap),
            small => {
                let inside = small.listed().iter().filter(|id| bitmap.contains(**id));
                inside.count() as u64
            }
        }
    }

    fn listed(&self) -> &[u32] {
        match self {
            Posting::One(one) => std::slice::from_ref(one),
            Posting::Few(few) => &few.ids,
            Posting::Empty | Posting::Many(_) => &[],
        }
    }

    /// Bytes behind the enum itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Posting::Empty | Posting::One(_) => 0,
            Posting::Few(few) => size_of::<Few>() + few.ids.capacity() * size_of::<u32>(),
            Posting::Many(many) => size_of::<RoaringBitmap>() + many.serialized_size() + 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_as_a_set_through_all_its_shapes() {
        let mut posting = Posting::default();
        let mut expected = std::collections::BTreeSet::new();
        let mut seed = 7u32;
        for step in 0..4_000u32 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let id = (seed >> 16) % 150;
            // Grows for the first half, shrinks in the second.
            let insert = (seed >> 8) % 100 < if step < 2_000 { 70 } else { 20 };
            if insert {
                posting.insert(id);
                expected.insert(id);
            } else {
                posting.remove(id);
                expected.remove(&id);
            }
            assert_eq!(posting.len(), expected.len() as u64);
            assert!(posting.iter().eq(expected.iter().copied()));
            assert!(posting.to_bitmap().iter().eq(expected.iter().copied()));
        }
    }

    #[test]
    fn stays_as_small_as_two_words() {
        assert_eq!(size_of::<Posting>(), 16);
    }
}
