//! Looks for anything of the machine: arguments, variables, a terminal (c12). Directories need imports that are refused at upload.

use greenroom_test_programs::{Answer, Program, Request, program, say};
use std::io::{IsTerminal, stderr, stdin, stdout};

struct LookAround;

impl Program for LookAround {
    fn pre_process(_request: Request) -> Answer {
        let terminal = stdin().is_terminal() || stdout().is_terminal() || stderr().is_terminal();
        let arguments = std::env::args().count();
        let variables = std::env::vars().count() + usize::from(std::env::var("PATH").is_ok());
        say(format!("{arguments} {variables} {terminal}"))
    }
}

program!(LookAround);
