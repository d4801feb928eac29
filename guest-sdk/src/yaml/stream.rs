//! Cuts a stream into documents at its marker lines.
//!
//! `---` or `...` at the start of a line, followed by white space or the end, is a marker wherever
//! it stands: the grammar forbids it inside every scalar. So cutting needs no parser, and a parser
//! that fails in one document resumes at the next.

/// One document: its directives, marker and content.
pub(super) struct Chunk<'a> {
    pub(super) text: &'a str,
    /// Line of the stream its text starts on, from 1.
    pub(super) first_line: u32,
}

/// The documents of a stream; text without any node or marker is none.
pub(super) fn chunks(text: &str) -> Chunks<'_> {
    Chunks {
        rest: text,
        line: 1,
    }
}

pub(super) struct Chunks<'a> {
    rest: &'a str,
    line: u32,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let (text, first_line) = (self.rest, self.line);
        let mut started = false;
        let mut end = 0;
        for line in text.split_inclusive('\n') {
            if is_marker(line, "---") && started {
                break;
            }
            end += line.len();
            self.line = self.line.saturating_add(1);
            if is_marker(line, "...") && started {
                break;
            }
            started |= is_content(line);
        }
        self.rest = &text[end..];
        started.then_some(Chunk {
            text: &text[..end],
            first_line,
        })
    }
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

/// Whether a line belongs to a document, as `---` does; comments and directives may precede one.
fn is_content(line: &str) -> bool {
    let text = line.trim_start_matches([' ', '\t', '\u{FEFF}']);
    !(text.trim_end().is_empty()
        || text.starts_with('#')
        || line.starts_with('%')
        || is_marker(line, "..."))
}
