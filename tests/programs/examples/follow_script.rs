//! Behaves: does what the entity asks of it. `spec.script` holds, by the name in its configuration (`{"as": …}`) and by stage,
//! what to set, append, emit, say, remember and answer; without a script it does nothing.

use greenroom_test_programs::{
    Answer, Descriptor, Diagnostic, Emission, EmittedEntity, EmittedLocation, Level, Location,
    LocationAnswer, LocationKey, LocationRead, LocationRequest, Presence, ProcessAnswer, Processed,
    ProcessingError, Program, Relation, Request, Stage, ValidateAnswer, Validated, descriptor,
    nothing, program,
};
use serde_json::Value;

struct FollowScript;

/// What a stage does, and the entity that asks for it.
struct Scene {
    entity: Value,
    /// `Null` for nothing.
    script: Value,
    cache: Option<String>,
}

impl Scene {
    fn of(request: Request, stage: &str) -> Result<Scene, ProcessingError> {
        let read = |text: &str| {
            serde_json::from_str::<Value>(text)
                .map_err(|error| ProcessingError::Invalid(error.to_string()))
        };
        let (entity, config) = (read(&request.entity)?, read(&request.config)?);
        let name = config["as"].as_str().unwrap_or_default();
        let script = entity["spec"]["script"][name][stage].clone();
        match script["fail"].as_str() {
            Some(why) => Err(ProcessingError::Invalid(why.to_owned())),
            None => Ok(Scene {
                entity,
                script,
                cache: request.cache,
            }),
        }
    }

    fn list(&self, name: &str) -> Vec<Value> {
        self.script[name].as_array().cloned().unwrap_or_default()
    }

    fn emissions(&self) -> Vec<Emission> {
        self.list("emit").iter().map(emission).collect()
    }

    /// What it says: `[level, text]`, and what it was given as cache where it is to remember.
    fn diagnostics(&self) -> Vec<Diagnostic> {
        let remembered = self.remembers().then(|| Diagnostic {
            level: Level::Info,
            message: format!("remembered {:?}", self.cache.as_deref()),
            location: None,
            position: None,
        });
        let said = self.list("say").into_iter().map(|said| Diagnostic {
            level: match said[0].as_str() {
                Some("error") => Level::Error,
                Some("warning") => Level::Warning,
                _ => Level::Info,
            },
            message: text(&said[1]),
            location: None,
            position: None,
        });
        remembered.into_iter().chain(said).collect()
    }

    fn remembers(&self) -> bool {
        self.script["remember"].is_string()
    }

    /// The entity as the script changes it: `set` puts values at pointers that are there or one step below, `append` adds a
    /// word to an annotation.
    fn changed(&self) -> Option<String> {
        let mut entity = self.entity.clone();
        for (pointer, value) in self.script["set"].as_object().into_iter().flatten() {
            let (parent, key) = pointer.rsplit_once('/')?;
            entity.pointer_mut(parent)?[key.replace("~1", "/")] = value.clone();
        }
        if let Some(word) = self.script["append"].as_str() {
            let slot = &mut entity["metadata"]["annotations"]["example.com/trail"];
            let trail = slot.as_str().unwrap_or_default();
            *slot = format!("{trail} {word}").trim_start().into();
        }
        (entity != self.entity).then(|| entity.to_string())
    }

    fn processed(self) -> Answer {
        Ok(ProcessAnswer::Done(Processed {
            entity: self.changed(),
            emissions: self.emissions(),
            cache: self.cache_to_keep(),
            diagnostics: self.diagnostics(),
            ..nothing()
        }))
    }

    fn cache_to_keep(&self) -> Option<String> {
        self.script["remember"].as_str().map(str::to_owned)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn location(value: &Value) -> Option<Location> {
    let (r#type, target) = value.as_str()?.split_once(':')?;
    Some(Location {
        type_: r#type.to_owned(),
        target: target.to_owned(),
    })
}

fn emission(value: &Value) -> Emission {
    if let Some(relation) = value["relation"].as_array() {
        return Emission::Relation(Relation {
            source: text(&relation[0]),
            type_: text(&relation[1]),
            target: text(&relation[2]),
        });
    }
    if let Some(key) = value["refreshKey"].as_str() {
        return Emission::RefreshKey(key.to_owned());
    }
    let location = location(&value["location"]);
    match (value.get("entity"), location) {
        (None, Some(location)) => Emission::Location(EmittedLocation {
            location,
            presence: Presence::Optional,
        }),
        (entity, location) => Emission::Entity(EmittedEntity {
            entity: entity.cloned().unwrap_or_default().to_string(),
            location,
            location_key: match value.get("key") {
                None => LocationKey::FromLocation,
                Some(Value::String(key)) => LocationKey::Key(key.clone()),
                Some(_) => LocationKey::None,
            },
            position: None,
        }),
    }
}

impl Program for FollowScript {
    fn describe() -> Descriptor {
        Descriptor {
            stages: vec![
                Stage::PreProcess,
                Stage::ValidateKind,
                Stage::ReadLocation,
                Stage::PostProcess,
            ],
            location_types: vec!["url".to_owned()],
            ..descriptor()
        }
    }

    fn pre_process(request: Request) -> Answer {
        Scene::of(request, "pre-process")?.processed()
    }

    fn validate_kind(request: Request) -> Result<ValidateAnswer, ProcessingError> {
        let scene = Scene::of(request, "validate-kind")?;
        Ok(ValidateAnswer::Done(Validated {
            recognised: scene.script["recognise"] == true,
            diagnostics: scene.diagnostics(),
            extensions: Vec::new(),
        }))
    }

    fn read_location(request: LocationRequest) -> Result<LocationAnswer, ProcessingError> {
        let scene = Scene::of(request.request, "read-location")?;
        Ok(LocationAnswer::Done(LocationRead {
            handled: scene.script["handle"] == true,
            emissions: scene.emissions(),
            cache: scene.cache_to_keep(),
            diagnostics: scene.diagnostics(),
            extensions: Vec::new(),
        }))
    }

    fn post_process(request: Request) -> Answer {
        Scene::of(request, "post-process")?.processed()
    }
}

program!(FollowScript);
