//! Parses arguments, runs one subcommand, and maps its error to an exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    greenroom::commands::main()
}
