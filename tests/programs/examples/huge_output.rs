//! Returns a cache of as many bytes as its configuration says.

use greenroom_test_programs::{
    Answer, ProcessAnswer, Processed, Program, Request, nothing, program,
};

struct HugeOutput;

impl Program for HugeOutput {
    fn pre_process(request: Request) -> Answer {
        let bytes: usize = request.config.parse().unwrap_or(0);
        let cache = Some("x".repeat(bytes));
        Ok(ProcessAnswer::Done(Processed { cache, ..nothing() }))
    }
}

program!(HugeOutput);
