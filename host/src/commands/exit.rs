//! Exit codes of `greenroom processor`, so that a script can tell its own mistake from the processor's.

use std::process::ExitCode;

/// How a command ended. Codes are a promise: documented in docs/authoring.md, never given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// It did what was asked.
    Done,
    /// It could not: a file, a compiler, this machine.
    Failed,
    /// A component that would be rejected at upload, an entity that was rejected, or one that waits for a read.
    Rejected,
    /// The processor faulted.
    Faulted,
    /// A result, or its fuel, is not what was expected.
    Differs,
    /// The host refused, or could not be reached.
    Refused,
}

impl Exit {
    /// Every code with its meaning, as `--help` shows them. 2 is the parser's.
    pub(super) const HELP: &str = "Exit codes:\n  \
        0  it did what was asked\n  \
        1  it could not: a file, a compiler, this machine\n  \
        2  wrong arguments\n  \
        3  a component or an entity was rejected, or an entity waits for a read\n  \
        4  the processor faulted\n  \
        5  a result, or its fuel, is not what was expected\n  \
        6  the host refused, or could not be reached";

    /// The number.
    pub(super) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Rejected => 3,
            Exit::Faulted => 4,
            Exit::Differs => 5,
            Exit::Refused => 6,
        }
    }

    /// The name in JSON output.
    pub(super) fn name(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::Failed => "failed",
            Exit::Rejected => "rejected",
            Exit::Faulted => "faulted",
            Exit::Differs => "differs",
            Exit::Refused => "refused",
        }
    }

    /// Of two ends of one command, the one a script must hear about: a fault before a rejection before a difference.
    pub(super) fn worst(self, other: Exit) -> Exit {
        let rank = |exit| match exit {
            Exit::Done => 0,
            Exit::Differs => 1,
            Exit::Rejected => 2,
            Exit::Faulted => 3,
            Exit::Refused => 4,
            Exit::Failed => 5,
        };
        if rank(other) > rank(self) {
            other
        } else {
            self
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_and_the_page_list_every_code() {
        let page = include_str!("../../../docs/authoring.md");
        for exit in [
            Exit::Done,
            Exit::Failed,
            Exit::Rejected,
            Exit::Faulted,
            Exit::Differs,
            Exit::Refused,
        ] {
            assert!(
                Exit::HELP.contains(&format!("\n  {}  ", exit.code())),
                "{exit:?}"
            );
            assert!(page.contains(&format!("| {} | ", exit.code())), "{exit:?}");
        }
    }

    #[test]
    fn the_worst_end_is_told() {
        assert_eq!(Exit::Done.worst(Exit::Differs), Exit::Differs);
        assert_eq!(Exit::Faulted.worst(Exit::Rejected), Exit::Faulted);
        assert_eq!(Exit::Rejected.worst(Exit::Refused), Exit::Refused);
    }
}
