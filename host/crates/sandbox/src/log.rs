//! Collects what a guest says, up to the call's log budget.
//!
//! Three sources end here: the `log` import, standard error and standard output. Over the budget the
//! log is cut with a mark, which is no fault; what every line costs in fuel is charged by the caller
//! before anything is copied, so that a flood ends by itself (c09). Each line takes
//! [`LINE_BYTES`] of the budget beside its text: empty lines are not free to keep.

use crate::printable::printable;
use crate::{CallLog, LogLevel, LogLine};

/// What a line takes of the budget beside its text.
pub(crate) const LINE_BYTES: u64 = 16;
/// Fields kept of one line.
pub(crate) const MAX_FIELDS: usize = 64;

/// Where a raw text came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// The log of a call that is running.
#[derive(Debug)]
pub(crate) struct Collector {
    log: CallLog,
    left: u64,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Collector {
    pub(crate) fn new(log_bytes: u64) -> Collector {
        Collector {
            log: CallLog::default(),
            left: log_bytes,
            out: Vec::new(),
            err: Vec::new(),
        }
    }

    /// Bytes of text that would still be kept. More need not be copied.
    pub(crate) fn room(&self) -> usize {
        let pending = (self.out.len() + self.err.len()) as u64;
        usize::try_from(self.left.saturating_sub(pending)).unwrap_or(usize::MAX)
    }

    /// Marks that something was left out.
    pub(crate) fn cut(&mut self) {
        self.log.truncated = true;
    }

    /// Keeps one line, or as much of it as there is room for.
    pub(crate) fn line(&mut self, level: LogLevel, message: &str, fields: &[(String, String)]) {
        let Some(room) = self.left.checked_sub(LINE_BYTES) else {
            return self.cut();
        };
        let mut room = usize::try_from(room).unwrap_or(usize::MAX);
        let before = room;
        let message = self.fitting(message, &mut room);
        let mut kept = Vec::new();
        for (key, value) in fields {
            let (key, value) = (self.fitting(key, &mut room), self.fitting(value, &mut room));
            if !key.is_empty() {
                kept.push((key, value));
            }
        }
        let bytes = LINE_BYTES + (before - room) as u64;
        self.left -= bytes;
        self.log.bytes += bytes;
        self.log.lines.push(LogLine {
            level,
            message,
            fields: kept,
        });
    }

    /// Takes what was written to an output, line by line.
    pub(crate) fn write(&mut self, output: Output, bytes: &[u8]) {
        let kept = &bytes[..bytes.len().min(self.room())];
        if kept.len() < bytes.len() {
            self.cut();
        }
        for &byte in kept {
            if byte == b'\n' {
                self.end_line(output);
            } else {
                self.pending(output).push(byte);
            }
        }
    }

    /// The log, with unfinished lines.
    pub(crate) fn finish(mut self) -> CallLog {
        self.end_line(Output::Out);
        self.end_line(Output::Err);
        self.log
    }

    fn pending(&mut self, output: Output) -> &mut Vec<u8> {
        match output {
            Output::Out => &mut self.out,
            Output::Err => &mut self.err,
        }
    }

    fn end_line(&mut self, output: Output) {
        let bytes = std::mem::take(self.pending(output));
        if bytes.is_empty() {
            return;
        }
        let level = match output {
            Output::Out => LogLevel::Info,
            Output::Err => LogLevel::Warning,
        };
        self.line(level, &String::from_utf8_lossy(&bytes), &[]);
    }

    fn fitting(&mut self, text: &str, room: &mut usize) -> String {
        let kept = crate::printable::start_of(text, *room);
        if kept.len() < text.len() {
            self.cut();
        }
        *room -= kept.len();
        printable(kept, usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c09_a_flood_of_lines_is_cut_with_a_mark() {
        let mut log = Collector::new(64 * 1024);
        for _ in 0..1_000_000 {
            log.line(LogLevel::Info, "x", &[]);
        }
        let log = log.finish();
        assert!(log.truncated);
        assert!(log.bytes <= 64 * 1024);
        assert_eq!(log.lines.len(), 64 * 1024 / 17);
    }

    #[test]
    fn c09_one_long_line_is_cut_at_a_character() {
        let mut log = Collector::new(20);
        log.line(LogLevel::Info, "aéé", &[]);
        let log = log.finish();
        assert_eq!(log.lines[0].message, "aé");
        assert!(log.truncated);
    }

    #[test]
    fn output_is_split_into_lines() {
        let mut log = Collector::new(1000);
        log.write(Output::Err, b"one\ntw");
        log.write(Output::Err, b"o");
        log.write(Output::Out, b"\n\nthree");
        let lines = log.finish().lines;
        let texts: Vec<_> = lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(texts, ["one", "three", "two"]);
    }
}
