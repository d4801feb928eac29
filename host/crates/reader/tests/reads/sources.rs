//! Reads and listings through the API of a source-code host.

use greenroom_reader::{Grant, IntegrationConfig, ReadOutcome, ReadPolicy, Token, Want};

use crate::server::{Reply, Server, answer, ok};
use crate::support::{get, policy, reader, refusal, text};

fn source_policy(kind: &str, server: &Server) -> ReadPolicy {
    let integration = IntegrationConfig {
        r#type: kind.to_owned(),
        host: "source.test".to_owned(),
        api_base_url: Some(server.url("/api")),
        raw_base_url: None,
        token: Some(Token::new("s3cret")),
    };
    policy(
        &[&server.address.to_string()],
        vec![integration],
        &["127.0.0.0/8"],
    )
}

async fn list(policy: &ReadPolicy, pattern: &str) -> ReadOutcome {
    let want = Want::List(pattern.to_owned());
    reader()
        .read(policy, &Grant::everything(), &want, None)
        .await
}

const TREE: &str = r#"{"tree":[
    {"path":"catalog-info.yaml","type":"blob","sha":"1"},
    {"path":"a b/catalog-info.yaml","type":"blob","sha":"2"},
    {"path":"a b","type":"tree","sha":"3"},
    {"path":".github/catalog-info.yaml","type":"blob","sha":"4"},
    {"path":"x/other.yaml","type":"blob","sha":"5"}],"truncated":false}"#;

#[tokio::test]
async fn a_browser_url_is_read_through_the_api() {
    let server = Server::start(|_| answer("200 OK", &["etag: \"1\""], "kind: A"));
    let url = "https://source.test/o/r/blob/main/a%20b.yaml";
    let outcome = get(&reader(), &source_policy("github", &server), url).await;
    assert_eq!(text(&outcome), "kind: A");
    let ReadOutcome::Document {
        final_url,
        conditional,
        ..
    } = outcome
    else {
        unreachable!("it has a text")
    };
    assert_eq!(final_url, url);
    assert_eq!(
        conditional.url,
        server.url("/api/repos/o/r/contents/a%20b.yaml?ref=main")
    );
    let asked = &server.seen()[0];
    assert_eq!(asked.header("authorization"), Some("Bearer s3cret"));
    assert_eq!(
        asked.header("accept"),
        Some("application/vnd.github.v3.raw")
    );
}

#[tokio::test]
async fn a_plain_http_api_needs_the_host_in_reading_allow() {
    let server = Server::start(|_| ok("kind: A"));
    let integration = IntegrationConfig {
        r#type: "github".to_owned(),
        host: "source.test".to_owned(),
        api_base_url: Some(server.url("/api")),
        raw_base_url: None,
        token: Some(Token::new("s3cret")),
    };
    let closed = policy(&[], vec![integration], &["127.0.0.0/8"]);
    refusal(get(&reader(), &closed, "https://source.test/o/r/blob/main/x").await);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn github_globs_list_browser_urls() {
    let server = Server::start(|_| ok(TREE));
    let policy = source_policy("github", &server);
    let outcome = list(
        &policy,
        "https://source.test/o/r/blob/main/**/catalog-info.y?ml",
    )
    .await;
    let ReadOutcome::Listing { targets, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        targets,
        [
            "https://source.test/o/r/blob/main/a%20b/catalog-info.yaml",
            "https://source.test/o/r/blob/main/catalog-info.yaml",
        ]
    );
    assert_eq!(
        server.seen()[0].path(),
        "/api/repos/o/r/git/trees/main?recursive=1"
    );
}

#[tokio::test]
async fn gitlab_globs_walk_all_pages() {
    let server = Server::start(|request| {
        let first = request.path().contains("&page=1&");
        let entries: Vec<String> = (0..if first { 100 } else { 1 })
            .map(|at| format!(r#"{{"path":"{first}-{at}.yaml","type":"blob","id":"{at}"}}"#))
            .collect();
        ok(&format!("[{}]", entries.join(",")))
    });
    let outcome = list(
        &source_policy("gitlab", &server),
        "https://source.test/g/r/-/blob/main/*-0.yaml",
    )
    .await;
    let ReadOutcome::Listing { targets, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(targets.len(), 2);
    assert!(
        server.seen()[1]
            .path()
            .starts_with("/api/projects/g%2Fr/repository/tree?")
    );
}

#[tokio::test]
async fn incomplete_listings_are_refused() {
    let cut = Server::start(|_| ok(r#"{"tree":[],"truncated":true}"#));
    let pattern = "https://source.test/o/r/blob/main/*.yaml";
    assert!(refusal(list(&source_policy("github", &cut), pattern).await).contains("too large"));
    let html = Server::start(|_| ok("<html>s3cret</html>"));
    let outcome = list(&source_policy("github", &html), pattern).await;
    assert!(
        matches!(&outcome, ReadOutcome::Unavailable { reason, .. } if !reason.contains("s3cret"))
    );
    let many: Vec<String> = (0..10_001)
        .map(|n| format!(r#"{{"path":"{n}.yaml","type":"blob","sha":""}}"#))
        .collect();
    let large = format!(r#"{{"tree":[{}]}}"#, many.join(","));
    let large = Server::start(move |_| ok(&large));
    assert!(refusal(list(&source_policy("github", &large), pattern).await).contains("10000"));
}

#[tokio::test]
async fn plain_hosts_have_no_globs_and_list_single_urls() {
    let server = Server::start(|request| match request.path() {
        "/a.yaml?x=1" => ok("kind: A"),
        _ => Reply::Whole(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec()),
    });
    let policy = source_policy("github", &server);
    assert!(
        refusal(list(&policy, &server.url("/*.yaml")).await).contains("globs need an integration")
    );
    assert!(server.seen().is_empty());
    let target = server.url("/a.yaml?x=1");
    let outcome = list(&policy, &target).await;
    assert!(matches!(outcome, ReadOutcome::Listing { targets, .. } if targets == [target]));
    assert_eq!(
        list(&policy, &server.url("/none")).await,
        ReadOutcome::NotFound
    );
}

#[tokio::test]
async fn y14_a_pattern_outside_the_grant_is_refused() {
    let server = Server::start(|_| ok(TREE));
    let policy = source_policy("github", &server);
    let grant = Grant::repository_of(
        "https://source.test/o/r/blob/main/catalog-info.yaml",
        &policy,
    );
    let want = Want::List("https://source.test/o/secret/blob/main/**".to_owned());
    refusal(reader().read(&policy, &grant, &want, None).await);
    assert!(server.seen().is_empty());
    let own = Want::List("https://source.test/o/r/blob/main/**".to_owned());
    let outcome = reader().read(&policy, &grant, &own, None).await;
    assert!(matches!(outcome, ReadOutcome::Listing { targets, .. } if targets.len() == 3));
}
