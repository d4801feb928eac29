//! Emits 10⁶ relations, small ones (c08).

use greenroom_test_programs::{Answer, Emission, Program, Relation, Request, emit, program};

struct MillionRelations;

impl Program for MillionRelations {
    fn pre_process(_request: Request) -> Answer {
        let relation = || {
            Emission::Relation(Relation {
                source: String::new(),
                type_: String::new(),
                target: String::new(),
            })
        };
        emit(std::iter::repeat_with(relation).take(1_000_000).collect())
    }
}

program!(MillionRelations);
