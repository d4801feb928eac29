//! What a child leaves behind: how it ended, its last words, and which turns it was in the middle of.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use greenroom_sandbox_child::Note;

use crate::supervisor::SandboxEnd;

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

/// Why a child is gone: for metrics, and for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) end: SandboxEnd,
    pub(super) text: String,
}

impl Reason {
    pub(super) fn new(end: SandboxEnd, text: impl Into<String>) -> Reason {
        Reason {
            end,
            text: text.into(),
        }
    }

    /// How a process ended by itself.
    pub(super) fn of_exit(status: std::io::Result<ExitStatus>) -> Reason {
        match status {
            Ok(status) if status.signal() == Some(SIGSYS) => Reason::new(
                SandboxEnd::Hostile,
                "it was killed for a forbidden system call: whatever ran in it tried to get out",
            ),
            Ok(status) => Reason::new(SandboxEnd::Died, format!("it ended with {status}")),
            Err(error) => Reason::new(
                SandboxEnd::Died,
                format!("how it ended is not known: {error}"),
            ),
        }
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
        let forbidden = Reason::of_exit(Ok(ExitStatus::from_raw(SIGSYS)));
        assert!(forbidden.text.contains("forbidden system call"));
        assert_eq!(forbidden.end, SandboxEnd::Hostile);
        let killed = Reason::of_exit(Ok(ExitStatus::from_raw(9)));
        assert!(killed.text.contains("SIGKILL"));
        assert_eq!(killed.end, SandboxEnd::Died);
    }
}
