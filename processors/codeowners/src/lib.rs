//! Bundled processor `codeowners`: gives an entity without an owner that of its file in CODEOWNERS.
//!
//! The file is looked for where the source host looks for it, in the repository of the entity itself;
//! the last line that matches the entity's own file decides, as the hosts have it, and its first owner
//! becomes `spec.owner`. An entity that names an owner is never touched, and nothing is read for it.
//!
//! CODEOWNERS is not the entity: what is wrong in it is a warning, and the entity goes on without an
//! owner, to be judged by whoever validates its kind.

mod file;
mod owner;
mod pattern;

use greenroom_sdk::url_arithmetic::{IntegrationType, Repository, resolve_url};
use greenroom_sdk::{
    Context, Descriptor, Document, Emitter, Entity, Level, Map, Processor, ProcessorError,
    ReadError, Stage, Value,
};

/// GitHub does not read a larger one, and no host needs one.
const MAX_BYTES: usize = 3 << 20;

/// The processor.
#[derive(Debug, Default)]
pub struct Codeowners;

impl Processor for Codeowners {
    fn describe(&self) -> Descriptor {
        Descriptor::new()
            .stages([Stage::PreProcess])
            .kinds([
                "API",
                "Component",
                "Domain",
                "Resource",
                "System",
                "Template",
            ])
            .priority(20)
            .summary("Gives entities without an owner that of their file in CODEOWNERS.")
    }

    fn pre_process(
        &self,
        mut entity: Entity,
        cx: &Context,
        out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        if !lacks_owner(&entity) || cx.location().r#type != "url" {
            return Ok(entity);
        }
        let target = &cx.location().target;
        let Some(file_path) = Repository::of_text(target).map(|found| found.decoded_file_path())
        else {
            return Ok(entity);
        };
        let Some(document) = codeowners(cx, target, out)? else {
            return Ok(entity);
        };
        match owner_of(document, &file_path, entity.namespace()) {
            Ok(Some(owner)) => set_owner(&mut entity, owner),
            Ok(None) => {}
            Err(wrong) => out.diagnostic(Level::Warning, format!("CODEOWNERS {wrong}")),
        }
        Ok(entity)
    }
}

/// Where each kind of host looks, in its order.
fn places(host: IntegrationType) -> &'static [&'static str] {
    match host {
        IntegrationType::Github => &["/.github/CODEOWNERS", "/CODEOWNERS", "/docs/CODEOWNERS"],
        IntegrationType::Gitlab => &["/CODEOWNERS", "/docs/CODEOWNERS", "/.gitlab/CODEOWNERS"],
        IntegrationType::BitbucketCloud | IntegrationType::BitbucketServer => {
            &["/CODEOWNERS", "/.bitbucket/CODEOWNERS"]
        }
        IntegrationType::Azure | IntegrationType::Gitea => &[],
    }
}

/// The first CODEOWNERS there is; all places are asked for at once. One that may not be read is an error
/// only where no other is found.
fn codeowners<'a>(
    cx: &'a Context,
    target: &str,
    out: &mut Emitter,
) -> Result<Option<&'a Document>, ProcessorError> {
    let Some(known) = cx.integrations().by_url(target) else {
        return Ok(None);
    };
    let urls: Vec<String> = places(known.r#type)
        .iter()
        .filter_map(|place| resolve_url(place, target, cx.integrations()).ok())
        .collect();
    let read = cx.read_each(&urls);
    if read.contains(&Err(ReadError::Pending)) {
        return Err(ReadError::Pending.into());
    }
    for url in &urls {
        out.refresh_key(format!("url:{url}"));
    }
    let mut refused = None;
    for outcome in read {
        match outcome {
            Ok(document) => return Ok(Some(document)),
            Err(error @ ReadError::Refused { .. }) => refused = refused.or(Some(error)),
            Err(_) => {}
        }
    }
    refused.map_or(Ok(None), |error| Err(error.into()))
}

/// What JavaScript calls falsy is no owner; what is no object is left for the policies.
fn lacks_owner(entity: &Entity) -> bool {
    match entity.as_map().get("spec") {
        None | Some(Value::Null) => true,
        Some(Value::Object(spec)) => match spec.get("owner") {
            None | Some(Value::Null | Value::Bool(false)) => true,
            Some(Value::String(owner)) => owner.is_empty(),
            Some(Value::Number(number)) => number.as_f64() == Some(0.0),
            Some(Value::Bool(true) | Value::Array(_) | Value::Object(_)) => false,
        },
        Some(_) => false,
    }
}

fn set_owner(entity: &mut Entity, owner: String) {
    if let Some(spec) = entity.spec_mut() {
        spec.insert("owner".to_owned(), Value::String(owner));
        return;
    }
    let mut value = entity.clone().into_value();
    value["spec"] = Value::Object(Map::from_iter([("owner".to_owned(), Value::String(owner))]));
    if let Ok(made) = Entity::from_value(value) {
        *entity = made;
    }
}

/// The owner of a file, as an entity names it. The error is what is wrong with CODEOWNERS.
fn owner_of(
    document: &Document,
    file_path: &str,
    namespace: &str,
) -> Result<Option<String>, String> {
    if document.bytes().len() > MAX_BYTES {
        return Err(format!(
            "is larger than {MAX_BYTES} bytes and is not used; make it smaller"
        ));
    }
    let text = document
        .text()
        .map_err(|_| "is not UTF-8 text and is not used; save it as UTF-8".to_owned())?;
    match file::first_owner(text, file_path) {
        Ok(Some(found)) => owner::entity_owner(found, namespace).map(Some),
        Ok(None) => Ok(None),
        Err(pattern::TooCostly) => Err(
            "has patterns that take too long to match and is not used; write fewer `*` in a line"
                .to_owned(),
        ),
    }
}

greenroom_sdk::export!(Codeowners);

#[cfg(test)]
mod tests;
