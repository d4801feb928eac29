//! Bundled processor `file-reader`: reads catalog files from paths.
//!
//! A target is a path or a glob. The host opens files only for locations the operator configured
//! and only below the listed roots; this processor never sees a file system.

use greenroom_sdk::catalog_files::{self, Source};
use greenroom_sdk::{
    Context, Descriptor, Emitter, Handled, Processor, ProcessorError, Stage, Target,
};

const FILES: Source = Source {
    url_prefix: "file:",
    is_pattern,
    empty_is_missing: true,
};

/// The processor.
#[derive(Debug, Default)]
pub struct FileReader;

impl Processor for FileReader {
    fn describe(&self) -> Descriptor {
        Descriptor::new()
            .stages([Stage::ReadLocation])
            .kinds(["Location"])
            .location_types(["file"])
            .priority(20)
            .summary("Reads catalog files from paths.")
    }

    fn read_location(
        &self,
        target: &Target,
        cx: &Context,
        out: &mut Emitter,
    ) -> Result<Handled, ProcessorError> {
        if target.kind() != "file" {
            return Ok(Handled::No);
        }
        catalog_files::read(&FILES, target, cx, out)
    }
}

/// Whether a path is a pattern. A brace alone is not: templates name files `${{ values.name }}`.
fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?'])
        || path.split_once('{').is_some_and(|(_, rest)| {
            rest.split('}')
                .next()
                .is_some_and(|body| body.contains(','))
        })
}

greenroom_sdk::export!(FileReader);

#[cfg(test)]
mod tests {
    use greenroom_sdk::testing::Test;
    use greenroom_sdk::{LocationRef, Presence};

    use super::*;

    const COMPONENT: &str =
        "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: web\n";

    #[test]
    fn reads_a_path() {
        let target = LocationRef::new("file", "/c/${{ values.name }}.yaml");
        let done = Test::new()
            .document("file:/c/${{ values.name }}.yaml", COMPONENT)
            .read_location(FileReader, &target, Presence::Required);
        assert!(done.handled && done.diagnostics.is_empty());
        assert_eq!(done.entities.len(), 1);
        assert_eq!(done.refresh_keys, ["file:/c/${{ values.name }}.yaml"]);
    }

    #[test]
    fn globs_are_listed_with_or_without_the_scheme() {
        for (listed, path) in [("file:/c/a.yaml", "/c/a.yaml"), ("/c/a.yaml", "/c/a.yaml")] {
            let target = LocationRef::new("file", "/c/{a,b}.yaml");
            let done = Test::new()
                .listing("file:/c/{a,b}.yaml", &[listed])
                .document("file:/c/a.yaml", COMPONENT)
                .read_location(FileReader, &target, Presence::Required);
            let location = done.entities[0].location.clone();
            assert_eq!(location, Some(LocationRef::new("file", path)));
        }
    }

    #[test]
    fn leaves_other_types_alone() {
        let url = LocationRef::new("url", "https://h/a.yaml");
        let done = Test::new().read_location(FileReader, &url, Presence::Required);
        assert!(!done.handled);
    }
}
