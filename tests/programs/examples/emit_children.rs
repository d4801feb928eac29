//! Behaves: emits as many children as the annotation `example.com/children` says, each with the version of its parent.

use greenroom_test_programs::{
    Answer, Emission, EmittedEntity, LocationKey, ProcessingError, Program, Request, emit, program,
};
use serde_json::{Value, json};

struct EmitChildren;

impl Program for EmitChildren {
    fn pre_process(request: Request) -> Answer {
        let parent: Value = serde_json::from_str(&request.entity)
            .map_err(|error| ProcessingError::Invalid(error.to_string()))?;
        let annotations = &parent["metadata"]["annotations"];
        let count = annotations["example.com/children"].as_str();
        let count: usize = count.and_then(|text| text.parse().ok()).unwrap_or(0);
        emit((0..count).map(|number| child(&parent, number)).collect())
    }
}

fn child(parent: &Value, number: usize) -> Emission {
    let metadata = &parent["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let entity = json!({
        "apiVersion": parent["apiVersion"],
        "kind": parent["kind"],
        "metadata": {
            "name": format!("{name}.{number}"),
            "annotations": {"example.com/version": metadata["annotations"]["example.com/version"]},
        },
        "spec": parent["spec"],
    });
    Emission::Entity(EmittedEntity {
        entity: entity.to_string(),
        location: None,
        location_key: LocationKey::FromLocation,
        position: None,
    })
}

program!(EmitChildren);
