//! Who owns what, what is left alone, and that nothing in CODEOWNERS can break an entity.

use greenroom_sdk::testing::{Outcome, Test};
use greenroom_sdk::url_arithmetic::Integration;
use greenroom_sdk::{entity, json};

use super::*;

const HOME: &str = "https://github.com/o/r/blob/main/a/catalog-info.yaml";
const ROOT: &str = "https://github.com/o/r/tree/main/";

fn web() -> Entity {
    entity!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "web"},
        "spec": {"type": "service"}
    })
}

/// On GitHub, with CODEOWNERS at the root.
fn with(text: impl Into<Vec<u8>>) -> Test {
    Test::new()
        .location("url", HOME)
        .document(&format!("{ROOT}CODEOWNERS"), text)
        .missing(&format!("{ROOT}.github/CODEOWNERS"))
        .missing(&format!("{ROOT}docs/CODEOWNERS"))
}

fn owner(done: &Outcome) -> Option<&Value> {
    done.entity.spec()?.get("owner")
}

#[test]
fn the_last_line_that_matches_decides() {
    let done = with(
        "# comment\n* @o/everyone @o/second\n/a/ @o/team-a # why\n/b/ @o/team-b\n[Section] @o/x\n",
    )
    .run(Codeowners, web());
    assert_eq!(done.error, None);
    assert_eq!(owner(&done), Some(&json!("team-a")));
    assert_eq!(done.rounds, 2);
    assert_eq!(done.refresh_keys.len(), 3);
    assert_eq!(done.refresh_keys[1], format!("url:{ROOT}CODEOWNERS"));
}

#[test]
fn owners_are_named_as_backstage_does() {
    for (line, expected) in [
        ("* @acme/foo", Some("foo")),
        ("* @yoda", Some("User:yoda")),
        ("* foo@acme.com", Some("foo")),
        ("* acme/foo", Some("acme/foo")),
        ("* team-foo", Some("team-foo")),
        ("* @o/x\r\n/a/ @o/y\r\n", Some("y")),
        ("\u{FEFF}* @o/x", Some("x")),
        ("* @o/x\n/a/", None),
        ("* @o/x\n* ", None),
        ("", None),
        ("# only a comment\n\n", None),
        ("/b/ @o/x", None),
        ("!/a/ @o/x\n^[Optional] @o/x", None),
    ] {
        let done = with(line).run(Codeowners, web());
        assert_eq!(
            owner(&done),
            expected.map(|name| json!(name)).as_ref(),
            "{line:?}"
        );
        assert_eq!(done.diagnostics, [], "{line:?}");
    }
}

#[test]
fn an_owner_is_added_to_an_entity_without_a_spec() {
    let bare = entity!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": "web"}});
    let done = with("* @o/x").run(Codeowners, bare);
    assert_eq!(
        done.entity.spec().unwrap(),
        json!({"owner": "x"}).as_object().unwrap()
    );
}

/// No fixture is given, so a read would fail the test.
#[test]
fn nothing_is_read_for_what_it_cannot_matter_to() {
    let test = Test::new().location("url", HOME);
    for owner in [json!("group:mine"), json!(["x"]), json!(true), json!({})] {
        let mut own = web();
        own.spec_mut().unwrap().insert("owner".to_owned(), owner);
        assert_eq!(test.run(Codeowners, own.clone()).entity, own);
    }
    let bad = Entity::from_value(json!({
        "apiVersion": "v1", "kind": "Component", "metadata": {"name": "web"}, "spec": "x"
    }))
    .unwrap();
    assert_eq!(test.run(Codeowners, bad.clone()).entity, bad);
    for (r#type, target) in [
        ("file", "/srv/a/catalog-info.yaml"),
        ("url", "https://example.com/o/r/blob/main/c.yaml"),
        ("url", "https://dev.azure.com/o/p/_git/r?path=%2Fc.yaml"),
        ("url", "https://github.com/o"),
    ] {
        let done = Test::new().location(r#type, target).run(Codeowners, web());
        assert_eq!((done.entity, done.rounds), (web(), 1), "{target}");
    }
}

#[test]
fn falsy_owners_are_replaced() {
    for falsy in [json!(null), json!(""), json!(false), json!(0)] {
        let mut entity = web();
        entity.spec_mut().unwrap().insert("owner".to_owned(), falsy);
        let done = with("* @o/x").run(Codeowners, entity);
        assert_eq!(owner(&done), Some(&json!("x")));
    }
}

#[test]
fn each_host_is_asked_where_it_looks() {
    let gitlab = Test::new()
        .location("url", "https://gitlab.com/g/s/r/-/blob/main/c.yaml")
        .missing("https://gitlab.com/g/s/r/-/blob/main/CODEOWNERS")
        .missing("https://gitlab.com/g/s/r/-/blob/main/docs/CODEOWNERS")
        .document(
            "https://gitlab.com/g/s/r/-/blob/main/.gitlab/CODEOWNERS",
            "* @g/x",
        );
    assert_eq!(owner(&gitlab.run(Codeowners, web())), Some(&json!("x")));
    let server = Test::new()
        .integration(Integration::new(IntegrationType::BitbucketServer, "b.test"))
        .location(
            "url",
            "https://b.test/projects/P/repos/r/browse/c.yaml?at=dev",
        )
        .missing("https://b.test/projects/P/repos/r/browse/CODEOWNERS?at=dev")
        .document(
            "https://b.test/projects/P/repos/r/browse/.bitbucket/CODEOWNERS?at=dev",
            "c.yaml x@y.z",
        );
    assert_eq!(owner(&server.run(Codeowners, web())), Some(&json!("x")));
    let github = with("* @o/second").document(&format!("{ROOT}.github/CODEOWNERS"), "* @o/first");
    assert_eq!(owner(&github.run(Codeowners, web())), Some(&json!("first")));
}

#[test]
fn no_codeowners_leaves_the_entity_as_it_is() {
    let done = with("")
        .missing(&format!("{ROOT}CODEOWNERS"))
        .run(Codeowners, web());
    assert_eq!((done.error, done.entity), (None, web()));
}

#[test]
fn a_refused_place_is_an_error_only_where_no_other_is_found() {
    let refused = |test: Test| test.refused(&format!("{ROOT}.github/CODEOWNERS"), "not granted");
    assert_eq!(
        owner(&refused(with("* @o/x")).run(Codeowners, web())),
        Some(&json!("x"))
    );
    let done = refused(with("").missing(&format!("{ROOT}CODEOWNERS"))).run(Codeowners, web());
    assert!(matches!(done.error, Some((_, ProcessorError::Refused(_)))));
}

#[test]
fn hostile_files_are_warnings_that_quote_no_control_character() {
    // Each line is looked at for a path of 900 characters, and none matches.
    let costly = "q @o/x\n".repeat(12_000);
    for (text, expected) in [
        (b"* @o/te\x07am".to_vec(), "`@o/te\\u{7}am`"),
        (b"* \x1b]0;x\x07@o".to_vec(), "\\u{1b}"),
        (b"* @@developer".to_vec(), "`@@developer`"),
        (b"* @o/".to_vec(), "`@o/`"),
        (b"* @".to_vec(), "not the name"),
        (b"* \xFF".to_vec(), "UTF-8"),
        (vec![b'\n'; MAX_BYTES + 1], "larger than"),
        (costly.into_bytes(), "too long"),
    ] {
        let path = format!(
            "https://github.com/o/r/blob/main/{}/c.yaml",
            "a".repeat(900)
        );
        let done = with(text).location("url", &path).run(Codeowners, web());
        assert_eq!((&done.error, &done.entity), (&None, &web()), "{expected}");
        let [said] = &done.diagnostics[..] else {
            panic!("{expected}: {:?}", done.diagnostics);
        };
        assert_eq!(said.level, Level::Warning);
        assert!(said.message.contains(expected), "{}", said.message);
        assert!(
            !said.message.chars().any(char::is_control),
            "{}",
            said.message
        );
    }
}

#[test]
fn a_long_owner_is_cut_in_the_message() {
    let done = with(format!("* @o/{}@", "x".repeat(10_000))).run(Codeowners, web());
    assert!(done.diagnostics[0].message.len() < 300);
}

#[test]
fn encoded_paths_are_matched_as_they_are_in_the_repository() {
    let test =
        with("/a\\ b/ @o/x").location("url", "https://github.com/o/r/blob/main/a%20b/c.yaml");
    assert_eq!(owner(&test.run(Codeowners, web())), Some(&json!("x")));
}
