//! What the operator's commands have in common: they are clients of a running host, show what it says, and end with the exit
//! codes of the commands for authors, so that one script can use both.

use std::process::ExitCode;

use serde_json::Value;

use super::client::HostError;
use super::exit::Exit;
use super::screen::Screen;
use crate::config::reject_unknown_variables;

/// Every exit code, as `--help` shows them. 2 is the parser's.
pub(super) const EXIT_HELP: &str = "Exit codes:\n  \
    0  it did what was asked\n  \
    1  it could not: a file, this machine\n  \
    2  wrong arguments\n  \
    6  the host refused, or could not be reached";

/// Runs a command.
pub(super) fn run(json: bool, command: impl FnOnce(&Screen) -> anyhow::Result<()>) -> ExitCode {
    let screen = Screen::standard(json);
    let result = reject_unknown_variables()
        .map_err(anyhow::Error::from)
        .and_then(|()| command(&screen));
    let exit = match result {
        Ok(()) => Exit::Done,
        Err(error) => {
            let exit = if error.is::<HostError>() {
                Exit::Refused
            } else {
                Exit::Failed
            };
            screen.failure(exit, &error);
            exit
        }
    };
    exit.into()
}

/// The items of a list that a host sent.
pub(super) fn items(listed: &Value) -> &[Value] {
    listed["items"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// A text of an item; empty where there is none.
pub(super) fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_and_the_page_list_every_code() {
        let page = include_str!("../../../docs/backup-and-move.md");
        for exit in [Exit::Done, Exit::Failed, Exit::Refused] {
            let code = exit.code();
            assert!(EXIT_HELP.contains(&format!("  {code}  ")), "{exit:?}");
            assert!(page.contains(&format!("| {code} | ")), "{exit:?}");
        }
    }
}
