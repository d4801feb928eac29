//! All text of the dictionary in one string, addressed by offset.
//!
//! A boxed string per value would cost 16 bytes of pointer and a malloc header each; there are some
//! ten distinct values per entity. Freed text stays until the owner compacts ([`Arena::is_sparse`]).

use crate::IndexError;

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) at: u32,
    pub(crate) len: u16,
}

#[derive(Debug, Default)]
pub(crate) struct Arena {
    text: String,
    dead_bytes: usize,
}

impl Arena {
    /// Takes a text.
    ///
    /// # Errors
    /// [`IndexError`] when offsets run out, or for a single text over 64 KiB.
    pub(crate) fn push(&mut self, text: &str) -> Result<Span, IndexError> {
        let at = u32::try_from(self.text.len()).map_err(|_| IndexError)?;
        let len = u16::try_from(text.len()).map_err(|_| IndexError)?;
        if self.text.capacity() - self.text.len() < text.len() {
            // An eighth at a time: doubling would leave half of the largest allocation unused.
            let spare = self.text.len() / 8 + 1024;
            self.text.reserve_exact(spare.max(text.len()));
        }
        self.text.push_str(text);
        Ok(Span { at, len })
    }

    pub(crate) fn get(&self, span: Span) -> &str {
        let at = span.at as usize;
        &self.text[at..at + usize::from(span.len)]
    }

    /// Notes that a text is not used any more.
    pub(crate) fn free(&mut self, span: Span) {
        self.dead_bytes += usize::from(span.len);
    }

    /// Whether more than half of a noteworthy amount is dead.
    pub(crate) fn is_sparse(&self) -> bool {
        self.dead_bytes > 64 * 1024 && self.dead_bytes > self.text.len() / 2
    }

    pub(crate) fn bytes(&self) -> usize {
        self.text.capacity()
    }
}
