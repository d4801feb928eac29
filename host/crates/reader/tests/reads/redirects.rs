//! Every redirect is a new URL.

use greenroom_reader::{
    Grant, IntegrationConfig, ReadOutcome, ReadPolicy, ReadingAllow, Token, Want,
};

use crate::server::{Server, answer, ok, redirect};
use crate::support::{get, get_if, open_policy, policy, reader, refusal, text};

#[tokio::test]
async fn redirects_end_at_their_document() {
    let server = Server::start(|request| match request.path() {
        "/a" => redirect("b?x=1#part"),
        "/b?x=1" => redirect("/c"),
        _ => ok("found"),
    });
    let named = open_policy(&[&server.address.to_string()]);
    let outcome = get(&reader(), &named, &server.url("/a")).await;
    assert_eq!(text(&outcome), "found");
    let ReadOutcome::Document { final_url, .. } = outcome else {
        unreachable!("it has a text")
    };
    assert_eq!(final_url, server.url("/c"));
}

#[tokio::test]
async fn r04_hostile_redirects_are_refused() {
    let foreign = Server::start(|_| ok("foreign"));
    let address = foreign.address;
    let server = Server::start(move |request| match request.path() {
        "/private" => redirect("http://10.0.0.1/"),
        "/metadata" => redirect("http://169.254.169.254/latest"),
        "/file" => redirect("file:///etc/passwd"),
        "/unlisted" => redirect(&format!("http://{address}/")),
        "/network" => redirect(&format!("//{address}/")),
        "/user" => redirect(&format!(
            "http://u:p@{}/",
            request.header("host").unwrap_or_default()
        )),
        "/loop" => redirect("/loop"),
        "/split" => redirect("http://127.0.0.1\r\nx-evil: 1"),
        "/none" => answer("302 Found", &[], ""),
        "/long" => redirect(&format!("/{}", "x".repeat(9000))),
        _ => ok("other"),
    });
    // 10.0.0.1 and the metadata service are named here, so it is the address that refuses them.
    let named = open_policy(&[&server.address.to_string(), "10.0.0.1", "169.254.169.254"]);
    let reader = reader();
    for path in [
        "/private",
        "/metadata",
        "/file",
        "/unlisted",
        "/network",
        "/user",
        "/loop",
        "/none",
        "/long",
    ] {
        refusal(get(&reader, &named, &server.url(path)).await);
    }
    // A line break ends the header; what follows is a header of the answer and no URL.
    refusal(get(&reader, &named, &server.url("/split")).await);
    assert!(foreign.seen().is_empty());
}

#[tokio::test]
async fn r04_five_redirects_are_followed_and_six_are_not() {
    let server = Server::start(|request| {
        let left: u32 = request.path()[1..].parse().unwrap_or_default();
        if left == 0 {
            ok("end")
        } else {
            redirect(&format!("/{}", left - 1))
        }
    });
    let named = open_policy(&[&server.address.to_string()]);
    assert_eq!(
        text(&get(&reader(), &named, &server.url("/5")).await),
        "end"
    );
    assert!(refusal(get(&reader(), &named, &server.url("/6")).await).contains("5 redirects"));
}

#[tokio::test]
async fn r05_credentials_never_return_after_a_foreign_origin() {
    let home = Server::start(|request| match request.path() {
        "/api/back" => ok("back"),
        path if path.contains("/contents/") => {
            let to = path.rsplit("ref=").next().unwrap_or_default();
            redirect(&format!("/api/two?to={}", to.replace("%3A", ":")))
        }
        path => redirect(&format!(
            "http://{}/",
            path.rsplit("to=").next().unwrap_or_default()
        )),
    });
    let back = home.url("/api/back");
    let foreign = Server::start(move |_| redirect(&back));
    let integration = IntegrationConfig {
        r#type: "github".to_owned(),
        host: "github.test".to_owned(),
        api_base_url: Some(home.url("/api")),
        raw_base_url: None,
        token: Some(Token::new("s3cret")),
    };
    let (home_host, foreign_host) = (home.address.to_string(), foreign.address.to_string());
    let named = policy(
        &[&home_host, &foreign_host],
        vec![integration],
        &["127.0.0.0/8"],
    );
    let url = format!("https://github.test/o/r/blob/{foreign_host}/x");
    assert_eq!(text(&get(&reader(), &named, &url).await), "back");
    let sent: Vec<bool> = home
        .seen()
        .iter()
        .map(|r| r.header("authorization").is_some())
        .collect();
    assert_eq!(sent, [true, true, false]);
    assert!(
        foreign
            .seen()
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
    assert_eq!(foreign.seen().len(), 1);
}

#[tokio::test]
async fn r07_a_redirect_out_of_the_grant_is_refused() {
    let server = Server::start(|request| match request.path() {
        "/acme/old" => redirect("/other/new"),
        "/acme/dots" => redirect("/acme/..%2fother"),
        "/acme/moved" => redirect("/acme/here"),
        _ => ok("document"),
    });
    let named = open_policy(&[&server.address.to_string()]);
    let grant = Grant::prefixes([server.url("/acme/*").as_str()]).expect("a grant");
    let reader = reader();
    for (path, good) in [
        ("/acme/old", false),
        ("/acme/dots", false),
        ("/acme/moved", true),
    ] {
        let want = Want::Get(server.url(path));
        let outcome = reader.read(&named, &grant, &want, None).await;
        assert_eq!(
            matches!(outcome, ReadOutcome::Document { .. }),
            good,
            "{path}"
        );
    }
    assert!(
        server
            .seen()
            .iter()
            .all(|request| request.path() != "/other/new")
    );
}

#[tokio::test]
async fn r04_a_redirect_out_of_the_allowed_paths_is_refused() {
    let server = Server::start(|request| match request.path() {
        "/docs/a" => redirect("/docs/b"),
        "/docs/out" => redirect("/secret"),
        _ => ok("document"),
    });
    let entry = ReadingAllow {
        host: server.address.to_string(),
        paths: Some(vec!["/docs/".to_owned()]),
    };
    let loopback = "127.0.0.0/8".parse().expect("a network");
    let named = ReadPolicy::new(&[entry], Vec::new(), vec![loopback]).expect("a policy");
    text(&get(&reader(), &named, &server.url("/docs/a")).await);
    refusal(get(&reader(), &named, &server.url("/docs/out")).await);
    refusal(get(&reader(), &named, &server.url("/secret")).await);
    assert!(
        server
            .seen()
            .iter()
            .all(|request| request.path() != "/secret")
    );
}

#[tokio::test]
async fn validators_are_sent_to_their_own_url_only() {
    let server = Server::start(
        |request| match (request.path(), request.header("if-none-match")) {
            ("/latest", _) => redirect("/one"),
            ("/one", Some("\"a\"")) => answer("304 Not Modified", &[], ""),
            _ => answer("200 OK", &["etag: \"a\""], "one"),
        },
    );
    let named = open_policy(&[&server.address.to_string()]);
    let reader = reader();
    let first = get(&reader, &named, &server.url("/latest")).await;
    let ReadOutcome::Document { conditional, .. } = first else {
        panic!("{first:?}")
    };
    let again = get_if(&reader, &named, &server.url("/latest"), Some(&conditional)).await;
    assert_eq!(again, ReadOutcome::NotModified);
    let other = get_if(&reader, &named, &server.url("/two"), Some(&conditional)).await;
    assert_eq!(text(&other), "one");
    let asked: Vec<bool> = server
        .seen()
        .iter()
        .map(|r| r.header("if-none-match").is_some())
        .collect();
    assert_eq!(asked, [false, false, false, true, false]);
}
