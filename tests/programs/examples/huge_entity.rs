//! Emits entities: count and bytes of padding of each come as `count bytes` in the configuration.

use greenroom_test_programs::{
    Answer, Emission, EmittedEntity, LocationKey, Program, Request, emit, program,
};

struct HugeEntity;

impl Program for HugeEntity {
    fn pre_process(request: Request) -> Answer {
        let mut numbers = request
            .config
            .split(' ')
            .map(|number| number.parse().unwrap_or(0));
        let (count, bytes) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let padding = "x".repeat(bytes);
        let child = |_: usize| {
            Emission::Entity(EmittedEntity {
                entity: format!("{{\"padding\":\"{padding}\"}}"),
                location: None,
                location_key: LocationKey::FromLocation,
                position: None,
            })
        };
        emit((0..count).map(child).collect())
    }
}

program!(HugeEntity);
