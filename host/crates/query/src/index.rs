//! The index: entities and the dictionary of their terms, kept in step.
//!
//! Changes come through `&mut self`, one entity at a time; an entity whose terms did not change
//! costs a lookup for each and touches nothing. Questions are asked through `&self`
//! ([`list`](Index::list), [`walk`](Index::walk), [`query`](Index::query),
//! [`facets`](Index::facets)); what they build on the way is kept in once-cells, so the first of
//! several askers builds and the others wait.

mod by_query;
mod evaluate;
mod facets;
mod list;
mod rows;
mod walk;

use greenroom_model::EntityRef;

use crate::dictionary::Dictionary;
use crate::documents::Documents;
use crate::{IndexEntry, IndexError};

/// What can be asked of the final entities of one tenant. See the crate's head.
#[derive(Debug, Default)]
pub struct Index {
    docs: Documents,
    dictionary: Dictionary,
    seq: u64,
    epoch: String,
}

impl Index {
    /// An empty index.
    #[must_use]
    pub fn new() -> Index {
        Index::default()
    }

    /// Adds an entity, or replaces the one with the same ref.
    ///
    /// # Errors
    /// [`IndexError`] when the index is full; the entity is then not in it, neither old nor new.
    pub fn upsert(&mut self, entry: IndexEntry) -> Result<(), IndexError> {
        let known = self.docs.find(&entry.entity_ref);
        // A uid is part of every order: an entity that came back under a new one starts over.
        let same = known.filter(|doc| self.docs.uid(*doc) == entry.uid.as_str());
        if same.is_none() {
            self.remove(&entry.entity_ref);
        }
        let terms = match self.intern(&entry) {
            Ok(terms) => terms,
            Err(error) => {
                self.remove(&entry.entity_ref);
                return Err(error);
            }
        };
        let doc = match same {
            Some(doc) => doc,
            None => match self.docs.insert(entry.entity_ref, entry.uid) {
                Ok(doc) => doc,
                Err(error) => {
                    self.release(&terms);
                    return Err(error);
                }
            },
        };
        self.replace_terms(doc, terms);
        self.dictionary.compact();
        Ok(())
    }

    /// Removes an entity; `false` if it was not there.
    pub fn remove(&mut self, entity_ref: &EntityRef) -> bool {
        let Some(doc) = self.docs.find(entity_ref) else {
            return false;
        };
        self.replace_terms(doc, Vec::new());
        self.docs.remove(doc);
        self.dictionary.compact();
        true
    }

    /// The ids of an entry's terms, ascending, each once.
    fn intern(&mut self, entry: &IndexEntry) -> Result<Vec<u32>, IndexError> {
        let mut ids = Vec::with_capacity(entry.terms.len());
        for term in &entry.terms {
            let value = term.value.as_deref().zip(term.original.as_deref());
            match self.dictionary.intern(&term.key, value) {
                Ok(id) => ids.push(id),
                Err(error) => {
                    self.release(&ids);
                    return Err(error);
                }
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    fn release(&mut self, terms: &[u32]) {
        for term in terms {
            self.dictionary.release(*term);
        }
    }

    fn replace_terms(&mut self, doc: u32, terms: Vec<u32>) {
        let old = self.docs.replace_terms(doc, Box::default());
        let keys = self.keys_of(&terms);
        for term in old.iter().filter(|term| terms.binary_search(term).is_err()) {
            self.dictionary.detach(*term, doc, &self.docs, &keys);
        }
        for term in terms.iter().filter(|term| old.binary_search(term).is_err()) {
            self.dictionary.attach(*term, doc, &self.docs);
        }
        self.docs.replace_terms(doc, terms.into_boxed_slice());
    }

    /// The keys of some terms, in order, with whether any of the key's terms has a value.
    fn keys_of(&self, terms: &[u32]) -> Vec<(u32, bool)> {
        let mut keys: Vec<(u32, bool)> = terms
            .iter()
            .map(|term| {
                let has_value = self.dictionary.value(*term).is_some();
                (self.dictionary.term(*term).key, has_value)
            })
            .collect();
        // The larger of two entries of one key is the one with a value: it is the one to keep.
        keys.sort_unstable_by(|left, right| right.cmp(left));
        keys.dedup_by_key(|(key, _)| *key);
        keys.reverse();
        keys
    }

    /// Number of entities.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.docs.all().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.docs.all().is_empty()
    }

    /// Estimate of the memory held, in bytes, what queries built included. Walks the dictionary:
    /// for the bound on all indexes after a batch of changes, not per request.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Index>() + self.docs.bytes() + self.dictionary.bytes()
    }

    /// The last change applied (`changes.seq`).
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Notes the last change applied.
    pub fn set_seq(&mut self, seq: u64) {
        self.seq = seq;
    }

    /// The epoch of the change log that `seq` belongs to.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Notes the epoch of the change log.
    pub fn set_epoch(&mut self, epoch: impl Into<String>) {
        self.epoch = epoch.into();
    }
}
