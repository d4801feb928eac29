//! Keeps what it was given as cache, with one more `x`.

use greenroom_test_programs::{
    Answer, ProcessAnswer, Processed, Program, Request, nothing, program,
};

struct CacheEcho;

impl Program for CacheEcho {
    fn pre_process(request: Request) -> Answer {
        let cache = Some(request.cache.unwrap_or_default() + "x");
        Ok(ProcessAnswer::Done(Processed { cache, ..nothing() }))
    }
}

program!(CacheEcho);
