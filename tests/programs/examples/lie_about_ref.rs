//! Returns an entity of another kind, namespace or name, as its configuration says (c15).

use greenroom_test_programs::{Answer, Program, Request, entity, program};

struct LieAboutRef;

impl Program for LieAboutRef {
    fn pre_process(request: Request) -> Answer {
        let (from, to) = match request.config.as_str() {
            "kind" => ("\"Component\"", "\"API\""),
            "namespace" => ("\"name\":", "\"namespace\":\"other\",\"name\":"),
            _ => ("\"web\"", "\"other\""),
        };
        entity(request.entity.replace(from, to))
    }
}

program!(LieAboutRef);
