//! Entities of catalog files on this disk. Files are parsed where the host parses them: by the bundled `url-reader`, in the
//! sandbox, under its limits. This process has no YAML parser.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};
use greenroom_model::annotations::{MANAGED_BY_LOCATION, MANAGED_BY_ORIGIN_LOCATION};
use greenroom_model::location::generated;
use greenroom_model::{Entity, Level, LocationRef, Presence};
use greenroom_sandbox::{
    CallOutcome, CallProcessor as _, Emission, GivenEntity, LocationRequest, Read, Request,
    StageAnswer, StageCall,
};
use serde_json::Value;

use super::reads::Reads;
use super::workshop::Workshop;
use crate::commands::files;

/// Most steps a file is read in, as the host has it.
const MAX_STEPS: usize = 1_000;

/// One file with its place in the repository it stands for.
#[derive(Debug, PartialEq)]
pub(super) struct EntityFile {
    pub(super) path: PathBuf,
    /// The folder that stands for the repository.
    pub(super) root: PathBuf,
    /// Its URL.
    pub(super) url: String,
}

/// The files named: each itself, or every `.yaml`, `.yml` and `.json` below a folder.
pub(super) fn find(paths: &[PathBuf], base: &str) -> anyhow::Result<Vec<EntityFile>> {
    let mut found = Vec::new();
    for path in paths {
        if files::is_folder(path) {
            let inside = files::below(path, &|name| {
                [".yaml", ".yml", ".json"]
                    .iter()
                    .any(|ending| name.ends_with(ending))
            })?;
            if inside.is_empty() {
                bail!(
                    "there is no .yaml, .yml or .json file below `{}`",
                    path.display()
                );
            }
            for file in inside {
                found.push(placed(&file, path, base));
            }
        } else {
            // A path below the working directory keeps its folders, so that `../` of its targets finds its neighbours.
            let plain = path.is_relative()
                && path
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)));
            let root = if plain {
                Path::new("")
            } else {
                path.parent().unwrap_or(Path::new(""))
            };
            found.push(placed(path, root, base));
        }
    }
    Ok(found)
}

fn placed(path: &Path, root: &Path, base: &str) -> EntityFile {
    let inside = path.strip_prefix(root).unwrap_or(path);
    let inside: Vec<_> = inside
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    EntityFile {
        path: path.to_owned(),
        root: root.to_owned(),
        url: format!("{base}{}", inside.join("/")),
    }
}

/// The entities of a file, with the annotations that say where they are from.
pub(super) fn read(workshop: &Workshop, file: &EntityFile) -> anyhow::Result<Vec<Entity>> {
    let shown = file.path.display();
    // What is wrong with the file itself is said by this read, in words of this machine.
    files::read(&file.path, files::TEXT_BYTES)?;
    let folder = &file.url[..file.url.rfind('/').map_or(0, |at| at + 1)];
    let reads =
        Reads::default().with_folder(folder, file.path.parent().unwrap_or(Path::new("")))?;
    let location = LocationRef::new("url", file.url.clone());
    let emissions = emitted(workshop, &location, &reads)
        .with_context(|| format!("read the entities of `{shown}`"))?;
    let mut entities = Vec::new();
    for emission in emissions {
        if let Emission::Entity { value, .. } = emission {
            let mut entity = Entity::from_value(Value::Object(value)).map_err(|error| {
                anyhow::anyhow!("`{shown}` has something that is no entity: {error}")
            })?;
            for annotation in [MANAGED_BY_LOCATION, MANAGED_BY_ORIGIN_LOCATION] {
                entity.set_annotation(annotation, location.to_string());
            }
            entities.push(entity);
        }
    }
    if entities.is_empty() {
        bail!("there is no entity in `{shown}`");
    }
    Ok(entities)
}

fn emitted(
    workshop: &Workshop,
    location: &LocationRef,
    reads: &Reads,
) -> anyhow::Result<Vec<Emission>> {
    let reader = workshop.bundled("url-reader")?;
    let entity = generated(location, Some(Presence::Required), None)?;
    let mut request = Request {
        entity: GivenEntity::new(&entity),
        location: location.clone(),
        origin_location: location.clone(),
        config: "{}".into(),
        cache: None,
        reads: Vec::new(),
        integrations: [].into(),
        now_ms: None,
    };
    let (mut carry, mut kept) = (None, Vec::new());
    for _ in 0..MAX_STEPS {
        let call = StageCall::ReadLocation(LocationRequest {
            request: request.clone(),
            target: location.clone(),
            presence: Presence::Required,
            carry: carry.clone(),
        });
        let sandbox = workshop.sandbox.for_scope(None);
        let called = sandbox.call(&reader.revision, &call, &reader.limits, [0; 32])?;
        let answer = match called.outcome {
            CallOutcome::Answered(answer) => answer,
            CallOutcome::Faulted(fault) => bail!("{}", fault.message),
        };
        match answer {
            StageAnswer::LocationRead {
                emissions,
                diagnostics,
                ..
            } => {
                let wrong: Vec<String> = diagnostics
                    .into_iter()
                    .filter(|one| one.level == Level::Error)
                    .map(|one| one.message)
                    .collect();
                if !wrong.is_empty() {
                    bail!("{}", wrong.join("; "));
                }
                kept.extend(emissions);
                return Ok(kept);
            }
            StageAnswer::Pending {
                wants,
                carry: next,
                emissions,
            } => {
                if next.is_some() {
                    request.reads.clear();
                }
                carry = next.or(carry);
                kept.extend(emissions);
                for want in wants {
                    let Some(outcome) = reads.answer(&want) else {
                        bail!("it names another document")
                    };
                    request.reads.push(Read { want, outcome });
                }
            }
            StageAnswer::Processed(_) | StageAnswer::Validated { .. } => {
                bail!("the reader answered another stage")
            }
        }
    }
    bail!("it takes more than {MAX_STEPS} steps to read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_their_place_below_the_base() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/b.yaml", "c.json", "d.txt"] {
            let path = folder.path().join(name);
            files::make_folder(path.parent().unwrap()).unwrap();
            files::write(&path, b"").unwrap();
        }
        let found = find(&[folder.path().to_owned()], "https://h/").unwrap();
        let urls: Vec<_> = found.iter().map(|file| file.url.as_str()).collect();
        assert_eq!(urls, ["https://h/a/b.yaml", "https://h/c.json"]);
        let one = find(&[folder.path().join("a/b.yaml")], "https://h/").unwrap();
        assert_eq!(one[0].url, "https://h/b.yaml");
        assert_eq!(
            find(&[PathBuf::from("x/y.yaml")], "https://h/").unwrap()[0].url,
            "https://h/x/y.yaml"
        );
    }

    #[test]
    fn the_sandbox_reads_yaml_and_json_and_says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let workshop = Workshop::open().unwrap();
        let entities = |text: &str| {
            let path = folder.path().join("c.yaml");
            files::write(&path, text.as_bytes()).unwrap();
            read(&workshop, &find(&[path], "https://h/").unwrap()[0])
        };
        let yaml = "apiVersion: v1\nkind: Component\nmetadata: {name: a}\n---\napiVersion: v1\nkind: API\nmetadata: {name: b}\n";
        let found = entities(yaml).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[1].annotation(MANAGED_BY_LOCATION),
            Some("url:https://h/c.yaml")
        );
        assert_eq!(
            entities(r#"{"apiVersion":"v1","kind":"X","metadata":{"name":"n"}}"#)
                .unwrap()
                .len(),
            1
        );
        for wrong in ["a: {% b", "", "- 1"] {
            let error = format!("{:#}", entities(wrong).unwrap_err());
            assert!(error.contains("c.yaml"), "{error}");
        }
        assert!(
            read(
                &workshop,
                &find(&[folder.path().join("none.yaml")], "https://h/").unwrap()[0]
            )
            .is_err()
        );
    }
}
