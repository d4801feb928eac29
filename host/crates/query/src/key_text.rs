//! The values of a key in one piece: what a full-text search reads.
//!
//! Looking at each value where it stands is a cache miss each. Here they lie behind each other in
//! blocks of about a kilobyte, and a block is asked first: the standard library searches one with
//! vector instructions, and only the values of a block that has the text are looked at. A text that
//! spans two neighbours makes a block a false candidate, never a false answer.

use crate::dictionary::{Dictionary, Posting};

const BLOCK_BYTES: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct KeyText {
    text: String,
    /// One for each value that is not null.
    values: Vec<Value>,
    /// One past the last value of each block.
    blocks: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Value {
    end: u32,
    term: u32,
}

impl KeyText {
    /// The text of these terms, which are all of one key. The arena bounds text to 4 GiB.
    pub(crate) fn build(dictionary: &Dictionary, terms: &Posting) -> KeyText {
        let mut built = KeyText::default();
        let mut block_start = 0;
        for term in terms.iter() {
            let Some(value) = dictionary.value(term) else {
                continue;
            };
            built.text.push_str(value);
            let end = u32::try_from(built.text.len()).unwrap_or(u32::MAX);
            built.values.push(Value { end, term });
            if built.text.len() - block_start >= BLOCK_BYTES {
                block_start = built.text.len();
                built.end_block();
            }
        }
        built.end_block();
        built.text.shrink_to_fit();
        built.values.shrink_to_fit();
        built
    }

    fn end_block(&mut self) {
        let end = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        if self.blocks.last() != Some(&end) {
            self.blocks.push(end);
        }
    }

    /// Calls with each term whose value has the text in it.
    pub(crate) fn find(&self, wanted: &str, mut found: impl FnMut(u32)) {
        let mut first = 0;
        let mut start = 0;
        for block in &self.blocks {
            let values = &self.values[first..*block as usize];
            first = *block as usize;
            let Some(last) = values.last() else {
                continue;
            };
            let end = last.end as usize;
            if self.text[start..end].contains(wanted) {
                let mut from = start;
                for value in values {
                    let to = value.end as usize;
                    if self.text[from..to].contains(wanted) {
                        found(value.term);
                    }
                    from = to;
                }
            }
            start = end;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.text.capacity()
            + self.values.capacity() * size_of::<Value>()
            + self.blocks.capacity() * size_of::<u32>()
    }
}
