//! A sorted list that takes single changes cheaply: blocks of at most a thousand items.
//!
//! An order over a million entities must take a change without being built again and without moving
//! eight megabytes; it is only read in runs from a position. The order itself is the caller's: it
//! hands the same comparison to every call.

use std::cmp::Ordering;

const MOST_IN_BLOCK: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Sorted<T> {
    /// None of them empty.
    blocks: Vec<Vec<T>>,
    len: usize,
}

/// A place between two items.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    block: usize,
    at: usize,
}

impl<T: Copy> Sorted<T> {
    /// Takes items that are in order.
    pub(crate) fn from_sorted(items: &[T]) -> Sorted<T> {
        Sorted {
            blocks: items.chunks(MOST_IN_BLOCK / 2).map(<[T]>::to_vec).collect(),
            len: items.len(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The place after all items for which `before` holds; it holds for a prefix of the list.
    pub(crate) fn partition_point(&self, before: impl Fn(T) -> bool) -> Position {
        let block = self
            .blocks
            .partition_point(|block| block.last().is_some_and(|last| before(*last)));
        let at = match self.blocks.get(block) {
            Some(items) => items.partition_point(|item| before(*item)),
            None => 0,
        };
        Position { block, at }
    }

    /// The place before all items.
    pub(crate) fn start(&self) -> Position {
        Position { block: 0, at: 0 }
    }

    /// The place after all items.
    pub(crate) fn end(&self) -> Position {
        Position {
            block: self.blocks.len(),
            at: 0,
        }
    }

    /// The items after a place, in order.
    pub(crate) fn after(&self, place: Position) -> impl Iterator<Item = T> + '_ {
        let first = self.blocks.get(place.block).map(|items| &items[place.at..]);
        let rest = self.blocks.iter().skip(place.block + 1);
        first.into_iter().flatten().chain(rest.flatten()).copied()
    }

    /// The items before a place, last first.
    pub(crate) fn before(&self, place: Position) -> impl Iterator<Item = T> + '_ {
        let first = self.blocks.get(place.block).map(|items| &items[..place.at]);
        let rest = self.blocks[..place.block].iter().rev();
        first
            .into_iter()
            .flat_map(|items| items.iter().rev())
            .chain(rest.flat_map(|items| items.iter().rev()))
            .copied()
    }

    /// Adds an item.
    pub(crate) fn insert(&mut self, item: T, compare: impl Fn(T, T) -> Ordering) {
        let place = self.partition_point(|other| compare(other, item).is_lt());
        self.len += 1;
        // Behind everything: into the last block, so that a new one is only made by a split.
        let last = self.blocks.len().saturating_sub(1);
        let (block, at) = match self.blocks.get(place.block) {
            Some(_) => (place.block, place.at),
            None => (last, self.blocks.last().map_or(0, Vec::len)),
        };
        let Some(items) = self.blocks.get_mut(block) else {
            self.blocks.push(vec![item]);
            return;
        };
        items.insert(at, item);
        if items.len() > MOST_IN_BLOCK {
            let upper = items.split_off(MOST_IN_BLOCK / 2);
            self.blocks.insert(block + 1, upper);
        }
    }

    /// Removes the item that compares equal, if there is one.
    pub(crate) fn remove(&mut self, item: T, compare: impl Fn(T, T) -> Ordering) {
        let place = self.partition_point(|other| compare(other, item).is_lt());
        let Some(items) = self.blocks.get_mut(place.block) else {
            return;
        };
        if items
            .get(place.at)
            .is_some_and(|found| compare(*found, item).is_eq())
        {
            items.remove(place.at);
            self.len -= 1;
            if items.is_empty() {
                self.blocks.remove(place.block);
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let items: usize = self.blocks.iter().map(Vec::capacity).sum();
        items * size_of::<T>() + self.blocks.capacity() * size_of::<Vec<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_in_order_and_reads_both_ways() {
        let compare = |left: u32, right: u32| left.cmp(&right);
        let mut sorted = Sorted::from_sorted(&[]);
        let mut expected = std::collections::BTreeSet::new();
        let mut seed = 3u32;
        for step in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let item = (seed >> 12) % 6_000;
            if step < 12_000 || seed & 1 == 0 {
                if expected.insert(item) {
                    sorted.insert(item, compare);
                }
            } else {
                expected.remove(&item);
                sorted.remove(item, compare);
            }
        }
        assert_eq!(sorted.len(), expected.len());
        assert!(sorted.after(sorted.start()).eq(expected.iter().copied()));
        assert!(
            sorted
                .before(sorted.end())
                .eq(expected.iter().rev().copied())
        );
        for bound in [0, 1, 2_999, 3_000, 5_999, 7_000] {
            let place = sorted.partition_point(|item| item < bound);
            assert!(sorted.after(place).eq(expected.range(bound..).copied()));
            assert!(
                sorted
                    .before(place)
                    .eq(expected.range(..bound).rev().copied())
            );
        }
    }
}
