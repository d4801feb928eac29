//! Emits one Location from each: `self` itself, `ping` and `pong` each other, and any other the one with the next number (c19).

use greenroom_test_programs::{
    Answer, Emission, EmittedEntity, LocationKey, ProcessingError, Program, Request, emit, program,
};
use serde_json::{Value, json};

struct EmitChain;

impl Program for EmitChain {
    fn pre_process(request: Request) -> Answer {
        let entity: Value = serde_json::from_str(&request.entity)
            .map_err(|error| ProcessingError::Invalid(error.to_string()))?;
        let name = entity["metadata"]["name"].as_str().unwrap_or_default();
        let next = match name {
            "self" => "self".to_owned(),
            "ping" => "pong".to_owned(),
            "pong" => "ping".to_owned(),
            numbered => {
                let number = numbered
                    .rsplit('-')
                    .next()
                    .and_then(|text| text.parse().ok());
                format!("endless-{}", number.unwrap_or(0_u64) + 1)
            }
        };
        let location = json!({
            "apiVersion": "backstage.io/v1alpha1",
            "kind": "Location",
            "metadata": {"name": next},
            "spec": {"targets": []},
        });
        emit(vec![Emission::Entity(EmittedEntity {
            entity: location.to_string(),
            location: None,
            location_key: LocationKey::FromLocation,
            position: None,
        })])
    }
}

program!(EmitChain);
