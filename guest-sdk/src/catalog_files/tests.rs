//! Good documents are emitted, bad ones reported, long listings walked in steps (y03, y16).

use super::*;
use crate::testing::{Outcome, Test};
use crate::{Descriptor, Presence, Processor, Stage};

#[derive(Default)]
struct Reader;

impl Processor for Reader {
    fn describe(&self) -> Descriptor {
        Descriptor::new().stages([Stage::ReadLocation])
    }

    fn read_location(
        &self,
        target: &Target,
        cx: &Context,
        out: &mut Emitter,
    ) -> Result<Handled, ProcessorError> {
        let source = Source {
            url_prefix: "file:",
            is_pattern: |target| target.contains('*'),
            empty_is_missing: true,
        };
        read(&source, target, cx, out)
    }
}

fn read_target(test: &Test, target: &str, presence: Presence) -> Outcome {
    test.read_location(Reader, &LocationRef::new("file", target), presence)
}

fn document(name: &str) -> String {
    format!("apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\n")
}

#[test]
fn y03_documents_around_broken_ones_are_emitted() {
    let body = format!(
        "{}---\na: {{% x\n---\n---\n- 1\n---\n{}---\nkind: x\n",
        document("one"),
        document("two")
    );
    let test = Test::new().document("file:/c/all.yaml", body);
    let done = read_target(&test, "/c/all.yaml", Presence::Required);
    assert!(done.handled);
    let names: Vec<_> = done
        .entities
        .iter()
        .map(|emitted| emitted.entity["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(done.entities[1].position.unwrap().document, 4);
    let lines: Vec<_> = done
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.position.unwrap().line)
        .collect();
    assert_eq!(lines, [6, 9, 16]);
    assert_eq!(done.refresh_keys, ["file:/c/all.yaml"]);
}

#[test]
fn a_missing_target_is_an_error_unless_optional() {
    let test = Test::new()
        .missing("file:/c/x.yaml")
        .listing("file:/c/*", &[]);
    let done = read_target(&test, "/c/x.yaml", Presence::Required);
    assert_eq!(done.diagnostics[0].level, Level::Error);
    assert!(
        done.diagnostics[0]
            .message
            .contains("`/c/x.yaml` does not exist")
    );
    assert!(
        read_target(&test, "/c/x.yaml", Presence::Optional)
            .diagnostics
            .is_empty()
    );
    assert_eq!(
        read_target(&test, "/c/*", Presence::Required)
            .diagnostics
            .len(),
        1
    );
    assert!(
        read_target(&test, "/c/*", Presence::Optional)
            .diagnostics
            .is_empty()
    );
}

#[test]
fn a_refused_target_gives_up() {
    let test = Test::new().refused("file:/etc/passwd", "not below a listed root");
    let done = read_target(&test, "/etc/passwd", Presence::Optional);
    assert!(matches!(done.error, Some((_, ProcessorError::Refused(_)))));
}

#[test]
fn y16_a_long_listing_is_walked_in_steps() {
    let paths: Vec<String> = (0..50).map(|n| format!("file:/c/{n:02}.yaml")).collect();
    let mut test = Test::new().listing(
        "file:/c/*.yaml",
        &paths.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    for (n, path) in paths.iter().enumerate() {
        test = match n {
            7 => test.refused(path, "unreadable"),
            33 => test.document(path, "a: {% x"),
            _ => test.document(path, document(&format!("c{n}"))),
        };
    }
    let done = read_target(&test, "/c/*.yaml", Presence::Required);
    assert_eq!(done.entities.len(), 48);
    assert_eq!(done.steps, 4);
    assert_eq!(done.diagnostics.len(), 2);
    assert_eq!(
        done.entities[0].location,
        Some(LocationRef::new("file", "/c/00.yaml"))
    );
    assert_eq!(done.refresh_keys.len(), 1);
}
