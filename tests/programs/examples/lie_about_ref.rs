//! Returns an entity of another name.

use greenroom_test_programs::{Answer, Program, Request, entity, program};

struct LieAboutRef;

impl Program for LieAboutRef {
    fn pre_process(request: Request) -> Answer {
        entity(request.entity.replace("\"web\"", "\"other\""))
    }
}

program!(LieAboutRef);
