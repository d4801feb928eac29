//! The term dictionary: keys, their values, and which entities have them.
//!
//! A *term* here is one (key, spelling): `Java` and `java` under one key are two terms with one
//! value, so that facets can count spellings (DESIGN §6) while filters, hashed by value, find both.
//! Ids of keys and terms are dense and reused.
//!
//! Invariant: a term exists exactly while an entity has it, a key while it has a term. What is
//! built lazily for a key ([`KeyOrder`], presence) either is absent or is equal to what building it
//! now would give.

mod arena;
mod posting;
mod slab;
mod spelling;
mod table;
mod term;

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use roaring::RoaringBitmap;

use self::arena::{Arena, Span};
pub(crate) use self::posting::Posting;
use self::slab::Slab;
pub(crate) use self::table::Table;
use self::term::Spelling;
pub(crate) use self::term::TermSlot;
use crate::IndexError;
use crate::documents::Documents;
use crate::key_order::{KeyOrder, Row};
use crate::key_text::KeyText;

#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    hasher: RandomState,
    text: Arena,
    keys: Slab<Key>,
    key_table: Table,
    terms: Slab<TermSlot>,
    term_table: Table,
}

/// A key and what was built for it.
#[derive(Debug)]
pub(crate) struct Key {
    name: Span,
    /// Its terms.
    pub(crate) terms: Posting,
    lazy: OnceLock<Box<Lazy>>,
}

#[derive(Debug, Default)]
struct Lazy {
    order: OnceLock<KeyOrder>,
    /// The entities that have any term of the key, null ones too.
    present: OnceLock<RoaringBitmap>,
    /// Dropped whenever the key gains or loses a term.
    text: OnceLock<KeyText>,
}

/// The keys of one entity's terms, with whether one of the key's terms is not null; in order.
pub(crate) type KeysOfEntity = [(u32, bool)];

impl Dictionary {
    /// The id of a key, by its lower-cased name.
    pub(crate) fn key(&self, name: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        self.key_table
            .candidates(hash)
            .find(|id| self.text.get(self.keys.get(*id).name) == name)
    }

    /// The terms of a key.
    pub(crate) fn terms_of(&self, key: u32) -> &Posting {
        &self.keys.get(key).terms
    }

    /// The postings of a (key, value): one for each spelling.
    pub(crate) fn postings<'a, 'v>(
        &'a self,
        key: u32,
        value: &'v str,
    ) -> impl Iterator<Item = &'a Posting> + use<'a, 'v> {
        self.term_table
            .candidates(self.term_hash(key, Some(value)))
            .map(|id| self.terms.get(id))
            .filter(move |term| term.key == key && self.value_of(term) == Some(value))
            .map(|term| &term.docs)
    }

    pub(crate) fn term(&self, id: u32) -> &TermSlot {
        self.terms.get(id)
    }

    /// The lower-cased value of a term; `None` if it is null.
    pub(crate) fn value(&self, id: u32) -> Option<&str> {
        self.value_of(self.terms.get(id))
    }

    /// The value of a term as written; `None` if it is null.
    pub(crate) fn original(&self, id: u32) -> Option<Cow<'_, str>> {
        let term = self.terms.get(id);
        let value = self.value_of(term)?;
        Some(match term.spelling() {
            Spelling::Same => Cow::Borrowed(value),
            Spelling::Capitals(mask) => Cow::Owned(spelling::spelled(value, self.text.get(mask))),
            Spelling::Whole(original) => Cow::Borrowed(self.text.get(original)),
        })
    }

    fn value_of(&self, term: &TermSlot) -> Option<&str> {
        term.value_span().map(|span| self.text.get(span))
    }

    /// The order of a key, built now if nobody asked before.
    pub(crate) fn order(&self, key: u32, docs: &Documents) -> &KeyOrder {
        self.lazy(key)
            .order
            .get_or_init(|| KeyOrder::build(self, docs, &self.keys.get(key).terms))
    }

    /// The entities that have the key, built now if nobody asked before.
    pub(crate) fn present(&self, key: u32) -> &RoaringBitmap {
        self.lazy(key).present.get_or_init(|| {
            let mut docs: Vec<u32> = Vec::new();
            let mut present = RoaringBitmap::new();
            for term in self.keys.get(key).terms.iter() {
                match &self.terms.get(term).docs {
                    Posting::One(doc) => docs.push(*doc),
                    posting => posting.union_into(&mut present),
                }
            }
            docs.sort_unstable();
            present.extend(docs);
            present
        })
    }

    /// The values of a key in one piece, built now if nobody asked before.
    pub(crate) fn text_of(&self, key: u32) -> &KeyText {
        self.lazy(key)
            .text
            .get_or_init(|| KeyText::build(self, &self.keys.get(key).terms))
    }

    fn lazy(&self, key: u32) -> &Lazy {
        self.keys.get(key).lazy.get_or_init(Box::default)
    }

    /// The id of a term, made now if it is new. A new one has no entity: attach one, or release it.
    ///
    /// # Errors
    /// [`IndexError`] when text runs out of offsets.
    pub(crate) fn intern(
        &mut self,
        key: &str,
        value: Option<(&str, &str)>,
    ) -> Result<u32, IndexError> {
        let value = value.filter(|(value, original)| TermSlot::fits(value, original));
        let key = self.intern_key(key)?;
        let hash = self.term_hash(key, value.map(|(value, _)| value));
        let known = self.term_table.candidates(hash).find(|id| {
            let term = self.terms.get(*id);
            term.key == key
                && match (term.value_span(), value) {
                    (None, None) => true,
                    (Some(span), Some((value, original))) => {
                        self.text.get(span) == value
                            && self.original(*id).as_deref() == Some(original)
                    }
                    _ => false,
                }
        });
        if let Some(id) = known {
            return Ok(id);
        }
        let slot = match value {
            None => TermSlot::null(key),
            Some((value, original)) => {
                let span = self.text.push(value)?;
                let spelling = if original == value {
                    Spelling::Same
                } else if let Some(mask) = spelling::capitals(value, original) {
                    Spelling::Capitals(self.text.push(&mask)?)
                } else {
                    Spelling::Whole(self.text.push(original)?)
                };
                TermSlot::new(key, span, spelling)
            }
        };
        let id = self.terms.insert(slot)?;
        self.term_table.insert(hash, id);
        let key = self.keys.get_mut(key);
        key.terms.insert(id);
        key.drop_text();
        Ok(id)
    }

    fn intern_key(&mut self, name: &str) -> Result<u32, IndexError> {
        if let Some(key) = self.key(name) {
            return Ok(key);
        }
        let span = self.text.push(name)?;
        let id = self.keys.insert(Key {
            name: span,
            terms: Posting::Empty,
            lazy: OnceLock::new(),
        })?;
        self.key_table.insert(self.hasher.hash_one(name), id);
        Ok(id)
    }

    /// Notes that an entity has a term.
    pub(crate) fn attach(&mut self, term: u32, doc: u32, docs: &Documents) {
        let slot = self.terms.get_mut(term);
        slot.docs.insert(doc);
        let (key, has_value) = (slot.key, slot.value_span().is_some());
        let Some(mut lazy) = self.keys.get_mut(key).lazy.take() else {
            return;
        };
        if let Some(present) = lazy.present.get_mut() {
            present.insert(doc);
        }
        if has_value && let Some(order) = lazy.order.get_mut() {
            order.insert(Row { term, doc }, self, docs);
        }
        self.put_back(key, lazy);
    }

    /// Notes that an entity no longer has a term; `remaining` is what the entity will still have.
    pub(crate) fn detach(
        &mut self,
        term: u32,
        doc: u32,
        docs: &Documents,
        remaining: &KeysOfEntity,
    ) {
        let slot = self.terms.get_mut(term);
        slot.docs.remove(doc);
        let (key, has_value) = (slot.key, slot.value_span().is_some());
        if let Some(mut lazy) = self.keys.get_mut(key).lazy.take() {
            let still = remaining.binary_search_by_key(&key, |(key, _)| *key);
            let still = still.ok().map(|at| remaining[at].1);
            if let Some(present) = lazy.present.get_mut()
                && still.is_none()
            {
                present.remove(doc);
            }
            if has_value && let Some(order) = lazy.order.get_mut() {
                order.remove(Row { term, doc }, still == Some(true), self, docs);
            }
            self.put_back(key, lazy);
        }
        self.release(term);
    }

    fn put_back(&mut self, key: u32, lazy: Box<Lazy>) {
        self.keys.get_mut(key).lazy = OnceLock::from(lazy);
    }

    /// Drops a term that no entity has, and its key if it was the last.
    pub(crate) fn release(&mut self, term: u32) {
        if !self.terms.get(term).docs.is_empty() {
            return;
        }
        let hash = {
            let slot = self.terms.get(term);
            self.term_hash(slot.key, self.value_of(slot))
        };
        self.term_table.remove(hash, term);
        let Some(slot) = self.terms.remove(term) else {
            return;
        };
        for span in slot.spans() {
            self.text.free(span);
        }
        let key = self.keys.get_mut(slot.key);
        key.terms.remove(term);
        key.drop_text();
        if key.terms.is_empty() {
            let name = key.name;
            let hash = self.hasher.hash_one(self.text.get(name));
            self.key_table.remove(hash, slot.key);
            self.text.free(name);
            self.keys.remove(slot.key);
        }
    }

    /// Moves the living text together when most of it is dead.
    pub(crate) fn compact(&mut self) {
        if !self.text.is_sparse() {
            return;
        }
        let old = std::mem::take(&mut self.text);
        let text = &mut self.text;
        // Less text than before fits below the same offsets: pushing cannot fail.
        let mut moved = |span: Span| text.push(old.get(span)).unwrap_or(span);
        for key in self.keys.iter_mut() {
            key.name = moved(key.name);
        }
        for term in self.terms.iter_mut() {
            term.move_text(&mut moved);
        }
    }

    fn term_hash(&self, key: u32, value: Option<&str>) -> u64 {
        self.hasher.hash_one((key, value))
    }

    pub(crate) fn bytes(&self) -> usize {
        let postings: usize = self.terms.iter().map(|term| term.docs.heap_bytes()).sum();
        let keys: usize = self.keys.iter().map(Key::heap_bytes).sum();
        self.text.bytes()
            + self.keys.bytes()
            + self.key_table.bytes()
            + self.terms.bytes()
            + self.term_table.bytes()
            + postings
            + keys
    }
}

impl Key {
    fn drop_text(&mut self) {
        if let Some(lazy) = self.lazy.get_mut() {
            lazy.text.take();
        }
    }

    fn heap_bytes(&self) -> usize {
        let lazy = self.lazy.get().map_or(0, |lazy| {
            size_of::<Lazy>()
                + lazy.order.get().map_or(0, KeyOrder::bytes)
                + lazy.present.get().map_or(0, RoaringBitmap::serialized_size)
                + lazy.text.get().map_or(0, KeyText::bytes)
        });
        self.terms.heap_bytes() + lazy
    }
}
