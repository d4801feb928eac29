//! What a child leaves behind: how it ended, its last words, and which turns it was in the middle of.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use greenroom_sandbox_child::Note;

/// Last words that are kept, in bytes.
const LAST_WORDS: usize = 2048;
/// Signal of a system call that kills.
const SIGSYS: i32 = 31;

/// The end of a child as one of its turns sees it.
#[derive(Debug, Clone)]
pub(super) struct Death {
    /// Why, for a person.
    pub(super) reason: String,
    /// Whether the child was in the middle of this turn, by its own notes.
    pub(super) noted: bool,
    /// The last call of this turn that was announced, as the child sent it.
    pub(super) announced: Option<Vec<u8>>,
}

/// How the process ended, for a person.
pub(super) fn said(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) if status.signal() == Some(SIGSYS) => {
            "it was killed for a forbidden system call: whatever ran in it tried to get out"
                .to_owned()
        }
        Ok(status) => format!("it ended with {status}"),
        Err(error) => format!("how it ended is not known: {error}"),
    }
}

/// Whether a turn is among those the child noted.
pub(super) fn is_noted(notes: &[Note], run: u64) -> bool {
    notes.iter().any(|note| note.run == run)
}

/// What the child wrote to standard error, safe to be logged: the end of it, in printable characters. The child is gone
/// and the pipe never waits, so this does not either.
pub(super) fn last_words(from: std::io::PipeReader) -> String {
    let mut words = Vec::new();
    // What was read before an error is there all the same.
    let _ = from.take(64 << 10).read_to_end(&mut words);
    let end = &words[words.len().saturating_sub(LAST_WORDS)..];
    String::from_utf8_lossy(end)
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn last_words_are_bounded_and_printable() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(&vec![b'a'; 5000]).unwrap();
        writer.write_all(b"\x1b[31mthe end\xff\n").unwrap();
        drop(writer);
        let words = last_words(reader);
        assert!(words.len() <= LAST_WORDS + 8);
        assert!(words.ends_with(" [31mthe end\u{fffd}"), "{words}");
    }

    #[test]
    fn a_forbidden_call_is_called_by_its_name() {
        assert!(said(Ok(ExitStatus::from_raw(SIGSYS))).contains("forbidden system call"));
        assert!(said(Ok(ExitStatus::from_raw(9))).contains("SIGKILL"));
    }
}
