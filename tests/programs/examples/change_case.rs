//! Returns the entity with the kind in capitals, which is the same ref (c15).

use greenroom_test_programs::{Answer, Program, Request, entity, program};

struct ChangeCase;

impl Program for ChangeCase {
    fn pre_process(request: Request) -> Answer {
        entity(request.entity.replace("\"Component\"", "\"COMPONENT\""))
    }
}

program!(ChangeCase);
