//! Returns its configuration as the entity, whatever it is.

use greenroom_test_programs::{Answer, Program, Request, entity, program};

struct InvalidJson;

impl Program for InvalidJson {
    fn pre_process(request: Request) -> Answer {
        entity(request.config)
    }
}

program!(InvalidJson);
