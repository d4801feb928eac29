//! The binary as people and scripts use it: a command in a folder of the test's, without the settings of whoever runs the
//! tests, and what became of it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::binary;

/// `greenroom <subcommand> <arguments>` in that folder. Nothing of `GREENROOM_…`, nor that this is GitHub Actions, reaches it.
pub fn command(folder: &Path, subcommand: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GREENROOM_") {
            command.env_remove(name);
        }
    }
    command
        .arg(subcommand)
        .args(arguments)
        .env_remove("GITHUB_ACTIONS")
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

/// A command that ended.
#[derive(Debug)]
pub struct Done {
    /// Its exit code.
    pub code: i32,
    /// What it wrote to standard output.
    pub out: String,
    /// What it wrote to standard error.
    pub err: String,
}

impl Done {
    /// Of the output of a command that ended by itself and wrote text.
    pub fn of(output: Output) -> Done {
        Done {
            code: output.status.code().expect("it ended by itself"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// It ended with that code.
    #[track_caller]
    pub fn ends(self, code: i32) -> Done {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    /// The text is on one of its streams.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Done {
        let said = self.out.contains(text) || self.err.contains(text);
        assert!(said, "`{text}` is not in:\n{}\n{}", self.out, self.err);
        self
    }

    /// Its one document, with nothing beside it.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// Its documents, one a line.
    #[track_caller]
    pub fn documents(&self) -> Vec<Value> {
        let document =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(document).collect()
    }

    /// Nothing but text and line ends went to the terminal.
    #[track_caller]
    pub fn is_tame(&self) -> &Done {
        for text in [&self.out, &self.err] {
            let wild = text
                .chars()
                .find(|c| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c));
            assert_eq!(wild, None, "{text:?}");
        }
        self
    }
}
