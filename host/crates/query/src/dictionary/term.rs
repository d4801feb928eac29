//! One term, packed: 32 bytes, because there are ten and more per entity.

use super::Posting;
use super::arena::Span;

/// The length that marks a null value; no text is as long.
const NULL: u16 = u16::MAX;

#[derive(Debug)]
pub(crate) struct TermSlot {
    pub(crate) key: u32,
    value_at: u32,
    original_at: u32,
    value_len: u16,
    original_len: u16,
    /// The entities that have the term.
    pub(crate) docs: Posting,
}

impl TermSlot {
    pub(super) fn null(key: u32) -> TermSlot {
        TermSlot {
            key,
            value_at: 0,
            original_at: 0,
            value_len: NULL,
            original_len: NULL,
            docs: Posting::Empty,
        }
    }

    pub(super) fn new(key: u32, value: Span, original: Span) -> TermSlot {
        TermSlot {
            key,
            value_at: value.at,
            original_at: original.at,
            value_len: value.len,
            original_len: original.len,
            docs: Posting::Empty,
        }
    }

    /// `None` for null.
    pub(super) fn value_span(&self) -> Option<Span> {
        (self.value_len != NULL).then_some(Span {
            at: self.value_at,
            len: self.value_len,
        })
    }

    /// Meaningless for null.
    pub(super) fn original_span(&self) -> Span {
        Span {
            at: self.original_at,
            len: self.original_len,
        }
    }

    /// The texts it owns: none, one, or two where the spelling differs.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        let value = self.value_span();
        let original = value.and(Some(self.original_span()));
        value
            .into_iter()
            .chain(original.filter(|_| value != original))
    }

    pub(super) fn move_text(&mut self, mut moved: impl FnMut(Span) -> Span) {
        let Some(value) = self.value_span() else {
            return;
        };
        let shared = value == self.original_span();
        self.value_at = moved(value).at;
        self.original_at = if shared {
            self.value_at
        } else {
            moved(self.original_span()).at
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_packed() {
        assert_eq!(size_of::<TermSlot>(), 32);
    }
}
