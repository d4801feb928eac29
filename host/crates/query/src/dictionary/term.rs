//! One term, packed: 32 bytes, because there are ten and more per entity.

use super::Posting;
use super::arena::Span;

/// The length that marks a null value; no text is as long.
const NULL: u16 = u16::MAX;
/// Set in the length of a spelling that is a mask of capitals.
const IS_MASK: u16 = 1 << 15;

#[derive(Debug)]
pub(crate) struct TermSlot {
    pub(crate) key: u32,
    value_at: u32,
    /// The value's own place if it was written in lower case.
    spelling_at: u32,
    value_len: u16,
    spelling_len: u16,
    /// The entities that have the term.
    pub(crate) docs: Posting,
}

/// How the value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As the value.
    Same,
    /// With these ASCII capitals.
    Capitals(Span),
    /// So.
    Whole(Span),
}

impl TermSlot {
    /// Whether the texts are short enough to be held; ref §5.7 allows far shorter ones only.
    pub(super) fn fits(value: &str, original: &str) -> bool {
        value.len().max(original.len()) < usize::from(IS_MASK)
    }

    pub(super) fn null(key: u32) -> TermSlot {
        TermSlot {
            key,
            value_at: 0,
            spelling_at: 0,
            value_len: NULL,
            spelling_len: NULL,
            docs: Posting::Empty,
        }
    }

    pub(super) fn new(key: u32, value: Span, spelling: Spelling) -> TermSlot {
        let (spelling, mark) = match spelling {
            Spelling::Same => (value, 0),
            Spelling::Capitals(mask) => (mask, IS_MASK),
            Spelling::Whole(original) => (original, 0),
        };
        TermSlot {
            key,
            value_at: value.at,
            spelling_at: spelling.at,
            value_len: value.len,
            spelling_len: spelling.len | mark,
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
    pub(super) fn spelling(&self) -> Spelling {
        let span = Span {
            at: self.spelling_at,
            len: self.spelling_len & !IS_MASK,
        };
        if self.spelling_len & IS_MASK != 0 {
            Spelling::Capitals(span)
        } else if Some(span) == self.value_span() {
            Spelling::Same
        } else {
            Spelling::Whole(span)
        }
    }

    /// The texts it owns: none, one, or two where the spelling differs.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        let value = self.value_span();
        let spelling = value.and(match self.spelling() {
            Spelling::Same => None,
            Spelling::Capitals(span) | Spelling::Whole(span) => Some(span),
        });
        value.into_iter().chain(spelling)
    }

    pub(super) fn move_text(&mut self, mut moved: impl FnMut(Span) -> Span) {
        let Some(value) = self.value_span() else {
            return;
        };
        let spelling = self.spelling();
        self.value_at = moved(value).at;
        self.spelling_at = match spelling {
            Spelling::Same => self.value_at,
            Spelling::Capitals(span) | Spelling::Whole(span) => moved(span).at,
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
