//! The one way out to the terminal. Whatever is given to it is escaped, so no command can forget to; colours are added here
//! and nowhere else.
//!
//! People read standard output; progress and failures are on standard error. With `--json` standard output holds one JSON
//! document for each result and nothing else. A reader that has gone (`| head`) is no error.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal as _, Write};

use serde_json::{Value, json};

use super::escape::{SHOWN_CHARS, json_text, one_line};
use super::exit::Exit;
use crate::config::plain_terminal;

/// Cells of the bar of a progress line.
const BAR_CELLS: usize = 20;

/// How a piece of text looks where there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Ink::Plain => "",
            Ink::Bold => "\u{1b}[1m",
            Ink::Dim => "\u{1b}[2m",
            Ink::Good => "\u{1b}[32m",
            Ink::Warn => "\u{1b}[33m",
            Ink::Bad => "\u{1b}[31m",
        }
    }
}

/// What its streams are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looks {
    /// `--json`.
    pub(super) json: bool,
    /// Colours on standard output.
    pub(super) colour: bool,
    /// Progress on standard error.
    pub(super) progress: bool,
}

/// Standard output and standard error of a command.
pub(super) struct Screen {
    looks: Looks,
    out: RefCell<Box<dyn Write>>,
    err: RefCell<Box<dyn Write>>,
    drawn: Cell<bool>,
}

impl Screen {
    /// The streams of this process; colours where it is a terminal and `NO_COLOR` is not set.
    pub(super) fn standard(json: bool) -> Screen {
        let plain = plain_terminal();
        let looks = Looks {
            json,
            colour: !json && !plain && std::io::stdout().is_terminal(),
            progress: !json && std::io::stderr().is_terminal(),
        };
        Screen::new(
            looks,
            Box::new(std::io::stdout()),
            Box::new(std::io::stderr()),
        )
    }

    pub(super) fn new(looks: Looks, out: Box<dyn Write>, err: Box<dyn Write>) -> Screen {
        Screen {
            looks,
            out: RefCell::new(out),
            err: RefCell::new(err),
            drawn: Cell::new(false),
        }
    }

    /// One line for people, from pieces. Nothing with `--json`.
    pub(super) fn line(&self, pieces: &[(Ink, &str)]) {
        if self.looks.json {
            return;
        }
        self.clear_progress();
        let mut line = String::new();
        for (ink, text) in pieces {
            let text = one_line(text, SHOWN_CHARS);
            if self.looks.colour && *ink != Ink::Plain {
                line.push_str(ink.code());
                line.push_str(&text);
                line.push_str("\u{1b}[0m");
            } else {
                line.push_str(&text);
            }
        }
        let mut out = self.out.borrow_mut();
        let _ = writeln!(out, "{}", line.trim_end());
        let _ = out.flush();
    }

    /// One plain line for people.
    pub(super) fn say(&self, text: &str) {
        self.line(&[(Ink::Plain, text)]);
    }

    /// A line that begins a part.
    pub(super) fn heading(&self, text: &str) {
        self.line(&[(Ink::Bold, text)]);
    }

    /// The command that makes sense now.
    pub(super) fn next(&self, command: &str) {
        self.line(&[(Ink::Dim, "next: "), (Ink::Plain, command)]);
    }

    /// One result for programs. Nothing without `--json`.
    pub(super) fn json(&self, value: &Value) {
        if self.looks.json {
            let mut out = self.out.borrow_mut();
            let _ = writeln!(out, "{}", json_text(&value.to_string()));
            let _ = out.flush();
        }
    }

    /// A failure: for people on standard error, for programs as a document of its own.
    pub(super) fn failure(&self, exit: Exit, error: &anyhow::Error) {
        let message = format!("{error:#}");
        self.json(
            &json!({"error": {"kind": exit.name(), "code": exit.code(), "message": message}}),
        );
        self.note(&message);
    }

    /// One line on standard error, in both ways of output.
    pub(super) fn note(&self, text: &str) {
        self.clear_progress();
        let mut err = self.err.borrow_mut();
        let _ = writeln!(err, "greenroom: {}", one_line(text, SHOWN_CHARS));
    }

    /// Draws how far something is, over the line drawn before. `of` is 0 where the end is not known.
    pub(super) fn progress(&self, what: &str, done: u64, of: u64) {
        if !self.looks.progress {
            return;
        }
        let what = one_line(what, 60);
        let line = match (done.min(of) * BAR_CELLS as u64).checked_div(of) {
            None => format!("{what} … {done} s"),
            Some(cells) => {
                let bar = "#".repeat(usize::try_from(cells).unwrap_or(0));
                format!("{what} [{bar:<BAR_CELLS$}] {done}/{of}")
            }
        };
        let mut err = self.err.borrow_mut();
        let _ = write!(err, "\r\u{1b}[K{line}");
        let _ = err.flush();
        self.drawn.set(true);
    }

    /// Takes the progress line away.
    pub(super) fn clear_progress(&self) {
        if self.drawn.replace(false) {
            let mut err = self.err.borrow_mut();
            let _ = write!(err, "\r\u{1b}[K");
            let _ = err.flush();
        }
    }
}

/// A count with its thousands apart, as people read it.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(' ');
        }
        shown.push(digit);
    }
    shown
}

/// `part` of `whole` in percent, with as many digits as say something.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let share = part as f64 * 100.0 / whole as f64;
    if share >= 10.0 {
        format!("{share:.0} %")
    } else if share >= 0.1 {
        format!("{share:.1} %")
    } else if part == 0 {
        "0 %".to_owned()
    } else {
        "< 0.1 %".to_owned()
    }
}

/// Bytes as people read them.
pub(super) fn bytes(count: u64) -> String {
    const KIB: u64 = 1024;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let scaled = |unit: u64| count as f64 / unit as f64;
    match count {
        0..KIB => format!("{count} B"),
        KIB..0x10_0000 => format!("{:.0} KiB", scaled(KIB)),
        _ => format!("{:.1} MiB", scaled(KIB * KIB)),
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! A screen whose streams are kept.

    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::{Looks, Screen};

    #[derive(Clone, Default)]
    pub(in crate::commands) struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub(in crate::commands) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The screen, its standard output and its standard error.
    pub(in crate::commands) fn screen(looks: Looks) -> (Screen, Kept, Kept) {
        let (out, err) = (Kept::default(), Kept::default());
        let screen = Screen::new(looks, Box::new(out.clone()), Box::new(err.clone()));
        (screen, out, err)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::screen;
    use super::*;

    const HOSTILE: &str = "x\u{1b}[2J\ny\u{9b}\u{202e}";

    #[test]
    fn l05_hostile_text_reaches_no_stream_raw() {
        for looks in [
            Looks::default(),
            Looks {
                colour: true,
                progress: true,
                ..Looks::default()
            },
            Looks {
                json: true,
                ..Looks::default()
            },
        ] {
            let (screen, out, err) = screen(looks);
            screen.line(&[(Ink::Bad, HOSTILE), (Ink::Plain, HOSTILE)]);
            screen.next(HOSTILE);
            screen.json(&json!({ HOSTILE: HOSTILE }));
            screen.progress(HOSTILE, 1, 2);
            screen.failure(Exit::Failed, &anyhow::anyhow!("{HOSTILE}"));
            let ours = [
                "\u{1b}[0m",
                "\u{1b}[31m",
                "\u{1b}[2m",
                "\u{1b}[K",
                "\r",
                "\n",
            ];
            let mut text = out.text() + &err.text();
            for piece in ours {
                text = text.replace(piece, "");
            }
            assert!(!text.chars().any(char::is_control), "{text:?}");
            assert!(!text.contains('\u{202e}'), "{text:?}");
        }
    }

    #[test]
    fn colours_are_for_terminals_and_json_is_alone_on_its_stream() {
        let (plain, out, _) = screen(Looks::default());
        plain.line(&[(Ink::Bad, "bad")]);
        assert_eq!(out.text(), "bad\n");
        let (coloured, out, _) = screen(Looks {
            colour: true,
            ..Looks::default()
        });
        coloured.line(&[(Ink::Bad, "bad"), (Ink::Plain, " x")]);
        assert_eq!(out.text(), "\u{1b}[31mbad\u{1b}[0m x\n");
        let (json, out, err) = screen(Looks {
            json: true,
            ..Looks::default()
        });
        json.say("for people");
        json.progress("waiting", 1, 2);
        json.json(&serde_json::json!({"a": 1}));
        assert_eq!(
            (out.text(), err.text()),
            ("{\"a\":1}\n".to_owned(), String::new())
        );
    }

    #[test]
    fn progress_is_drawn_over_itself_and_taken_away() {
        let (screen, out, err) = screen(Looks {
            progress: true,
            ..Looks::default()
        });
        screen.progress("sampling", 10, 20);
        screen.say("done");
        assert!(
            err.text().contains("sampling [##########          ] 10/20"),
            "{}",
            err.text()
        );
        assert!(err.text().ends_with("\r\u{1b}[K"));
        assert_eq!(out.text(), "done\n");
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(grouped(1_234_567), "1 234 567");
        assert_eq!(
            (percent(0, 5), percent(1, 100_000), percent(1, 40)),
            ("0 %".into(), "< 0.1 %".into(), "2.5 %".into())
        );
        assert_eq!(
            (bytes(12), bytes(2048), bytes(3 << 20)),
            ("12 B".into(), "2 KiB".into(), "3.0 MiB".into())
        );
    }
}
