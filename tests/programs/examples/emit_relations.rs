//! Emits one relation, one location and one refresh key.

use greenroom_test_programs::{
    Answer, Emission, EmittedLocation, Location, Presence, Program, Relation, Request, emit,
    program,
};

struct EmitRelations;

impl Program for EmitRelations {
    fn pre_process(_request: Request) -> Answer {
        emit(vec![
            Emission::Relation(Relation {
                source: "component:default/web".to_owned(),
                type_: "ownedBy".to_owned(),
                target: "group:default/core".to_owned(),
            }),
            Emission::Location(EmittedLocation {
                location: Location {
                    type_: "url".to_owned(),
                    target: "https://example.com/catalog-info.yaml".to_owned(),
                },
                presence: Presence::Optional,
            }),
            Emission::RefreshKey("key".to_owned()),
        ])
    }
}

program!(EmitRelations);
