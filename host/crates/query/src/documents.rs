//! The entities by dense id: ref, uid, terms, and their orders by uid and by ref.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use greenroom_model::{EntityRef, EntityUid};
use roaring::RoaringBitmap;

use crate::dictionary::Table;
use crate::key_order::{NO_TERM, Row};
use crate::sorted::Sorted;
use crate::{Hit, IndexError};

#[derive(Debug, Default)]
pub(crate) struct Documents {
    hasher: RandomState,
    slots: Vec<Option<Document>>,
    free: Vec<u32>,
    by_ref: Table,
    all: RoaringBitmap,
    uid_order: OnceLock<Sorted<Row>>,
    ref_order: OnceLock<Sorted<Row>>,
}

#[derive(Debug)]
pub(crate) struct Document {
    entity_ref: EntityRef,
    uid: EntityUid,
    /// Ids of its terms, ascending.
    pub(crate) terms: Box<[u32]>,
}

impl Documents {
    pub(crate) fn find(&self, entity_ref: &EntityRef) -> Option<u32> {
        self.by_ref
            .candidates(self.hash(entity_ref))
            .find(|id| self.get(*id).entity_ref == *entity_ref)
    }

    /// The entity of an id that is in use.
    pub(crate) fn get(&self, id: u32) -> &Document {
        self.slots[id as usize]
            .as_ref()
            .expect("ids are only kept while in use")
    }

    pub(crate) fn uid(&self, id: u32) -> &str {
        self.get(id).uid.as_str()
    }

    pub(crate) fn entity_ref(&self, id: u32) -> &EntityRef {
        &self.get(id).entity_ref
    }

    pub(crate) fn hit(&self, id: u32) -> Hit {
        let document = self.get(id);
        Hit {
            entity_ref: document.entity_ref.clone(),
            uid: document.uid.clone(),
        }
    }

    /// All ids in use.
    pub(crate) fn all(&self) -> &RoaringBitmap {
        &self.all
    }

    /// Adds an entity that is not there, without terms.
    ///
    /// # Errors
    /// [`IndexError`] after 2³² − 1 of them.
    pub(crate) fn insert(
        &mut self,
        entity_ref: EntityRef,
        uid: EntityUid,
    ) -> Result<u32, IndexError> {
        let hash = self.hash(&entity_ref);
        let document = Document {
            entity_ref,
            uid,
            terms: Box::default(),
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = Some(document);
                id
            }
            None => {
                let id = u32::try_from(self.slots.len()).map_err(|_| IndexError)?;
                if id == NO_TERM {
                    return Err(IndexError);
                }
                if self.slots.len() == self.slots.capacity() {
                    self.slots.reserve_exact(self.slots.len() / 8 + 16);
                }
                self.slots.push(Some(document));
                id
            }
        };
        self.by_ref.insert(hash, id);
        self.all.insert(id);
        self.reorder(id, |order, row, compare| order.insert(row, compare));
        Ok(id)
    }

    /// Forgets an entity, whose terms were detached before.
    pub(crate) fn remove(&mut self, id: u32) {
        self.reorder(id, |order, row, compare| order.remove(row, compare));
        let hash = self.hash(self.entity_ref(id));
        self.by_ref.remove(hash, id);
        self.all.remove(id);
        self.slots[id as usize] = None;
        self.free.push(id);
    }

    /// Sets the terms of an entity and gives those it had.
    pub(crate) fn replace_terms(&mut self, id: u32, terms: Box<[u32]>) -> Box<[u32]> {
        match &mut self.slots[id as usize] {
            Some(document) => std::mem::replace(&mut document.terms, terms),
            None => Box::default(),
        }
    }

    /// Applies one change to both orders, those that were built.
    fn reorder(
        &mut self,
        doc: u32,
        change: impl Fn(&mut Sorted<Row>, Row, &dyn Fn(Row, Row) -> std::cmp::Ordering),
    ) {
        let row = Row { term: NO_TERM, doc };
        let (uid_order, ref_order) = (self.uid_order.take(), self.ref_order.take());
        if let Some(mut order) = uid_order {
            change(&mut order, row, &|left, right| {
                self.compare_uids(left, right)
            });
            self.uid_order = OnceLock::from(order);
        }
        if let Some(mut order) = ref_order {
            change(&mut order, row, &|left, right| {
                self.compare_refs(left, right)
            });
            self.ref_order = OnceLock::from(order);
        }
    }

    /// All entities by uid, built now if nobody asked before.
    pub(crate) fn uid_order(&self) -> &Sorted<Row> {
        self.uid_order
            .get_or_init(|| self.sorted(|left, right| self.compare_uids(left, right)))
    }

    /// All entities by ref, built now if nobody asked before.
    pub(crate) fn ref_order(&self) -> &Sorted<Row> {
        self.ref_order
            .get_or_init(|| self.sorted(|left, right| self.compare_refs(left, right)))
    }

    pub(crate) fn compare_uids(&self, left: Row, right: Row) -> std::cmp::Ordering {
        let uids = self.uid(left.doc).cmp(self.uid(right.doc));
        uids.then_with(|| left.doc.cmp(&right.doc))
    }

    pub(crate) fn compare_refs(&self, left: Row, right: Row) -> std::cmp::Ordering {
        self.entity_ref(left.doc).cmp(self.entity_ref(right.doc))
    }

    fn sorted(&self, compare: impl Fn(Row, Row) -> std::cmp::Ordering) -> Sorted<Row> {
        let rows = self.all.iter().map(|doc| Row { term: NO_TERM, doc });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort_unstable_by(|left, right| compare(*left, *right));
        Sorted::from_sorted(&rows)
    }

    fn hash(&self, entity_ref: &EntityRef) -> u64 {
        self.hasher.hash_one(entity_ref.as_str())
    }

    pub(crate) fn bytes(&self) -> usize {
        // Allocations are rounded up; 16 bytes stand for header and rounding.
        let texts = |document: &Document| {
            document.entity_ref.as_str().len()
                + document.uid.as_str().len()
                + document.terms.len() * size_of::<u32>()
                + 3 * 16
        };
        let heap: usize = self.slots.iter().flatten().map(texts).sum();
        let orders = [self.uid_order.get(), self.ref_order.get()];
        let orders: usize = orders.into_iter().flatten().map(Sorted::bytes).sum();
        self.slots.capacity() * size_of::<Option<Document>>()
            + self.free.capacity() * size_of::<u32>()
            + self.by_ref.bytes()
            + self.all.serialized_size()
            + heap
            + orders
    }
}
