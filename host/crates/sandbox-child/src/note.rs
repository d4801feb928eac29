//! Notes: what each guest thread is doing, written before it does it into memory that outlives the process (DESIGN §3.3).
//!
//! A page that worker and child share, one slot for each thread. The worker reads it when the child has died, to know
//! which runs were in a call and which only waited, and now and then before, to see a call that does not end in its time.
//! A memory file that is written and read by position, and not memory mapped by both: a call costs a third of a
//! microsecond, and neither side touches memory that the other may change under it. The file cannot grow or shrink.
//!
//! Notes are a child's word, and an escaped guest may write anything into them: they decide in which order runs are tried
//! again, never who is to blame. Blame takes two deaths of a run that ran alone.

use std::os::fd::AsFd;

use greenroom_model::Digest;
use rustix::io::{pread, pwrite};
use rustix::time::{ClockId, clock_gettime};

/// Size of one slot.
pub const NOTE_BYTES: usize = 64;

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The turn; 0 while there is none.
    pub run: u64,
    /// When the call began, as [`now_ms`]; 0 between calls.
    pub began_ms: u64,
    /// How long the call may take.
    pub wall_ms: u64,
    /// The revision that is called; all zero between calls.
    pub revision: Digest,
}

impl Note {
    /// A turn between two calls.
    pub(crate) fn between_calls(run: u64) -> Note {
        Note {
            run,
            began_ms: 0,
            wall_ms: 0,
            revision: Digest::from_bytes([0; 32]),
        }
    }

    fn to_bytes(self) -> [u8; NOTE_BYTES] {
        let mut bytes = [0; NOTE_BYTES];
        bytes[..8].copy_from_slice(&self.run.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.began_ms.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.wall_ms.to_le_bytes());
        bytes[24..56].copy_from_slice(self.revision.as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; NOTE_BYTES]) -> Note {
        let number = |from: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[from..from + 8]);
            u64::from_le_bytes(number)
        };
        let mut revision = [0; 32];
        revision.copy_from_slice(&bytes[24..56]);
        Note {
            run: number(0),
            began_ms: number(8),
            wall_ms: number(16),
            revision: Digest::from_bytes(revision),
        }
    }

    /// Whether it is a call that has taken `grace_ms` longer than it may.
    #[must_use]
    pub fn is_overdue(&self, now_ms: u64, grace_ms: u64) -> bool {
        self.run != 0
            && self.began_ms != 0
            && now_ms
                > self
                    .began_ms
                    .saturating_add(self.wall_ms)
                    .saturating_add(grace_ms)
    }
}

/// Size of the page of `threads` threads.
#[must_use]
pub fn page_bytes(threads: usize) -> u64 {
    (threads * NOTE_BYTES) as u64
}

/// Milliseconds of the clock that both processes share.
#[must_use]
pub fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(now.tv_sec) * 1000 + part(now.tv_nsec) / 1_000_000
}

/// The turns that threads are in, with what they do.
#[must_use]
pub fn read_notes(page: impl AsFd, threads: usize) -> Vec<Note> {
    let mut notes = Vec::new();
    for thread in 0..threads {
        let mut bytes = [0; NOTE_BYTES];
        if pread(&page, &mut bytes, page_bytes(thread)) == Ok(NOTE_BYTES) {
            notes.push(Note::from_bytes(&bytes));
        }
    }
    notes.retain(|note| note.run != 0);
    notes
}

/// Writes the note of a thread. That it cannot be written is no reason not to run: notes are a help.
pub(crate) fn write_note(page: impl AsFd, thread: usize, note: Note) {
    let _ = pwrite(page, &note.to_bytes(), page_bytes(thread));
}

/// Says that a thread does nothing.
pub(crate) fn clear_note(page: impl AsFd, thread: usize) {
    let _ = pwrite(page, &[0; NOTE_BYTES], page_bytes(thread));
}

#[cfg(test)]
mod tests {
    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written() {
        let page = memfd_create("notes", MemfdFlags::empty()).unwrap();
        ftruncate(&page, page_bytes(3)).unwrap();
        let call = Note {
            run: 7,
            began_ms: 1_000,
            wall_ms: 30_000,
            revision: Digest::of("wasm"),
        };
        write_note(&page, 1, call);
        write_note(&page, 2, Note::between_calls(9));
        assert_eq!(read_notes(&page, 3), [call, Note::between_calls(9)]);
        clear_note(&page, 1);
        assert_eq!(read_notes(&page, 3), [Note::between_calls(9)]);
    }

    #[test]
    fn a_call_is_overdue_after_its_time_and_the_grace() {
        let call = Note {
            run: 1,
            began_ms: 1_000,
            wall_ms: 100,
            revision: Digest::of("wasm"),
        };
        assert!(!call.is_overdue(1_150, 50));
        assert!(call.is_overdue(1_151, 50));
        assert!(!Note::between_calls(1).is_overdue(u64::MAX, 0));
        let forged = Note {
            wall_ms: u64::MAX,
            ..call
        };
        assert!(!forged.is_overdue(u64::MAX, u64::MAX));
    }
}
