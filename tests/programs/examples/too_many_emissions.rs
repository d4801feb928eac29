//! Emits as many refresh keys as its configuration says.

use greenroom_test_programs::{Answer, Emission, Program, Request, emit, program};

struct TooManyEmissions;

impl Program for TooManyEmissions {
    fn pre_process(request: Request) -> Answer {
        let count: usize = request.config.parse().unwrap_or(10_001);
        emit(vec![Emission::RefreshKey("k".to_owned()); count])
    }
}

program!(TooManyEmissions);
