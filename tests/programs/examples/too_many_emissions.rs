//! Emits an entity, and refresh keys: as many together as its configuration says, one more than is allowed if it says nothing.

use greenroom_test_programs::{
    Answer, Emission, EmittedEntity, LocationKey, Program, Request, emit, program,
};

const CHILD: &str = r#"{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{"name":"one-of-many"},"spec":{"type":"service","lifecycle":"production","owner":"team-a"}}"#;

struct TooManyEmissions;

impl Program for TooManyEmissions {
    fn pre_process(request: Request) -> Answer {
        let count: usize = request.config.parse().unwrap_or(10_001);
        let mut emissions = vec![Emission::RefreshKey("k".to_owned()); count.max(1)];
        emissions[0] = Emission::Entity(EmittedEntity {
            entity: CHILD.to_owned(),
            location: None,
            location_key: LocationKey::FromLocation,
            position: None,
        });
        emit(emissions)
    }
}

program!(TooManyEmissions);
