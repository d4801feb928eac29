//! Bundled processor `url-reader`: reads catalog files at URLs.
//!
//! A target is a file, or a pattern with `*` or `{a,b}` in its path that the host lists. What may be
//! read is the host's decision; this processor only asks and turns documents into emissions.

use greenroom_sdk::catalog_files::{self, Source};
use greenroom_sdk::{
    Context, Descriptor, Emitter, Handled, Processor, ProcessorError, Stage, Target,
};

const URLS: Source = Source {
    url_prefix: "",
    is_pattern,
    empty_is_missing: false,
};

/// The processor.
#[derive(Debug, Default)]
pub struct UrlReader;

impl Processor for UrlReader {
    fn describe(&self) -> Descriptor {
        Descriptor::new()
            .stages([Stage::ReadLocation])
            .kinds(["Location"])
            .location_types(["url"])
            .priority(20)
            .summary("Reads catalog files at URLs.")
    }

    fn read_location(
        &self,
        target: &Target,
        cx: &Context,
        out: &mut Emitter,
    ) -> Result<Handled, ProcessorError> {
        if target.kind() != "url" {
            return Ok(Handled::No);
        }
        catalog_files::read(&URLS, target, cx, out)
    }
}

/// Whether the path of a URL is a pattern; its query never is.
fn is_pattern(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.contains('*')
}

greenroom_sdk::export!(UrlReader);

#[cfg(test)]
mod tests {
    use greenroom_sdk::testing::Test;
    use greenroom_sdk::{LocationRef, Presence};

    use super::*;

    const COMPONENT: &str =
        "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: web\n";

    fn url(target: &str) -> LocationRef {
        LocationRef::new("url", target)
    }

    #[test]
    fn reads_a_file() {
        let target = url("https://h/a.yaml?at=main*");
        let done = Test::new()
            .document(&target.target, COMPONENT)
            .read_location(UrlReader, &target, Presence::Required);
        assert!(done.handled && done.diagnostics.is_empty());
        assert_eq!(done.entities[0].location, Some(target));
        assert_eq!(done.refresh_keys, ["url:https://h/a.yaml?at=main*"]);
    }

    #[test]
    fn reads_what_a_pattern_matches() {
        let test = Test::new()
            .listing(
                "https://h/**/c.yaml",
                &["https://h/b/c.yaml", "https://h/a/c.yaml"],
            )
            .document("https://h/a/c.yaml", COMPONENT)
            .document("https://h/b/c.yaml", "a: {% b");
        let done = test.read_location(UrlReader, &url("https://h/**/c.yaml"), Presence::Required);
        assert_eq!(done.entities[0].location, Some(url("https://h/a/c.yaml")));
        assert_eq!(
            done.diagnostics[0].location,
            Some(url("https://h/b/c.yaml"))
        );
        assert_eq!(done.rounds, 3);
    }

    #[test]
    fn leaves_other_types_alone() {
        let file = LocationRef::new("file", "/a.yaml");
        let done = Test::new().read_location(UrlReader, &file, Presence::Required);
        assert!(!done.handled);
    }
}
