//! Bundled processor `annotate-scm-slug`: says which project on its source host an entity belongs to.
//!
//! GitHub, GitLab and Azure DevOps have an annotation each, by which other plugins find the project's
//! builds and issues. It is added *under* the entity: what the source says itself wins. Which kinds
//! are annotated is the subscription, so a tenant who wants more than Components sets that.

use greenroom_sdk::url_arithmetic::{IntegrationType, Repository};
use greenroom_sdk::{
    Context, Descriptor, Emitter, Entity, Map, Processor, ProcessorError, Stage, Value,
};

const GITHUB: &str = "github.com/project-slug";
const GITLAB: &str = "gitlab.com/project-slug";
const AZURE: &str = "dev.azure.com/project-repo";

/// The processor.
#[derive(Debug, Default)]
pub struct AnnotateScmSlug;

impl Processor for AnnotateScmSlug {
    fn describe(&self) -> Descriptor {
        Descriptor::new()
            .stages([Stage::PreProcess])
            .kinds(["Component"])
            .priority(20)
            .summary("Annotates entities with their project on GitHub, GitLab or Azure DevOps.")
    }

    fn pre_process(
        &self,
        mut entity: Entity,
        cx: &Context,
        _out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        if let Some((key, slug)) = slug(cx) {
            let slot = entity
                .metadata_mut()
                .entry("annotations")
                .or_insert_with(|| Value::Object(Map::new()));
            // Anything else than an object is left for the policies to refuse.
            if let Value::Object(present) = slot {
                present.entry(key).or_insert(Value::String(slug));
            }
        }
        Ok(entity)
    }
}

/// The annotation and the project; none for a file, an unknown host, or a URL that names no repository.
fn slug(cx: &Context) -> Option<(&'static str, String)> {
    let location = cx.location();
    if location.r#type != "url" {
        return None;
    }
    let known = cx.integrations().by_url(&location.target)?;
    let full_name = Repository::of_text(&location.target)?.full_name;
    match known.r#type {
        IntegrationType::Github => Some((GITHUB, full_name)),
        IntegrationType::Gitlab => Some((GITLAB, full_name)),
        IntegrationType::Azure => Some((AZURE, azure_slug(&full_name)?)),
        IntegrationType::BitbucketCloud
        | IntegrationType::BitbucketServer
        | IntegrationType::Gitea => None,
    }
}

/// `project/repository` of `organization/project/_git/repository`. In the short form without a project
/// both have one name.
fn azure_slug(full_name: &str) -> Option<String> {
    let (before, repository) = full_name.split_once("/_git/")?;
    let project = before
        .split_once('/')
        .map_or(repository, |(_, project)| project);
    Some(format!("{project}/{repository}"))
}

greenroom_sdk::export!(AnnotateScmSlug);

#[cfg(test)]
mod tests {
    use greenroom_sdk::testing::Test;
    use greenroom_sdk::url_arithmetic::Integration;
    use greenroom_sdk::{entity, json};

    use super::*;

    fn web() -> Entity {
        entity!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": "web"}})
    }

    fn at(target: &str) -> Entity {
        let test = Test::new()
            .location("url", target)
            .integration(Integration::new(IntegrationType::Github, "ghe.test:8443"))
            .integration(Integration::new(IntegrationType::BitbucketServer, "b.test"));
        test.run(AnnotateScmSlug, web()).entity
    }

    #[test]
    fn projects_are_named_as_their_hosts_do() {
        for (target, key, slug) in [
            ("https://github.com/o/r/blob/main/a/c.yaml", GITHUB, "o/r"),
            ("https://ghe.test:8443/o/r/tree/main/c.yaml", GITHUB, "o/r"),
            (
                "https://gitlab.com/g/s/r/-/blob/main/c.yaml",
                GITLAB,
                "g/s/r",
            ),
            (
                "https://dev.azure.com/o/p/_git/r?path=%2Fc.yaml",
                AZURE,
                "p/r",
            ),
            (
                "https://dev.azure.com/o/_git/r?path=%2Fc.yaml",
                AZURE,
                "r/r",
            ),
        ] {
            let done = at(target);
            assert_eq!(
                done.metadata()["annotations"],
                json!({key: slug}),
                "{target}"
            );
        }
    }

    #[test]
    fn other_places_have_no_project() {
        for target in [
            "https://bitbucket.org/o/r/src/main/c.yaml",
            "https://b.test/projects/P/repos/r/browse/c.yaml",
            "https://example.com/o/r/blob/main/c.yaml",
            "https://github.com/o",
            "https://github.com/",
            "not a url",
            "",
        ] {
            assert_eq!(at(target), web(), "{target}");
        }
        let on_disk = Test::new().location("file", "/github.com/o/r/blob/main/c.yaml");
        assert_eq!(on_disk.run(AnnotateScmSlug, web()).entity, web());
    }

    #[test]
    fn the_entity_wins_and_bad_annotations_are_left_to_the_policies() {
        let target = "https://github.com/o/r/blob/main/c.yaml";
        let test = Test::new().location("url", target);
        for own in [
            json!({GITHUB: "mine/own"}),
            json!({GITHUB: ""}),
            json!([1]),
            json!("x"),
        ] {
            let mut before = web();
            before.metadata_mut().insert("annotations".to_owned(), own);
            assert_eq!(test.run(AnnotateScmSlug, before.clone()).entity, before);
        }
    }

    #[test]
    fn names_with_control_characters_cannot_reach_an_annotation() {
        let done = at("https://github.com/o\u{7}/r\u{1b}[31m\n/blob/main/\u{0}c.yaml");
        let slug = done.annotation(GITHUB).expect("a slug");
        assert_eq!(slug, "o%07/r%1B[31m");
    }
}
