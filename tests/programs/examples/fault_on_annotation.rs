//! Healthy, but for entities that have the annotation `example.com/fault`.

use greenroom_test_programs::{Answer, Program, Request, program, unchanged};

struct FaultOnAnnotation;

impl Program for FaultOnAnnotation {
    fn pre_process(request: Request) -> Answer {
        if request.entity.contains("\"example.com/fault\"") {
            panic!("the entity asked for it");
        }
        unchanged()
    }
}

program!(FaultOnAnnotation);
