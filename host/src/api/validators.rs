//! `ETag` and 304 where Express gives them: on what the original sends whole (ref §7.1, `make compare`).
//!
//! The tag is Express's own, `W/"<length>-<SHA-1>"`, of the body before it is compressed. Entities as they are stored have
//! none: the original streams them, and a tag of ours would make every reader pay for a digest of what it reads once. Tags of settings are
//! versions and are set where those are answered (see `etag`).

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use sha1::{Digest as _, Sha1};

use super::error::mount_end;

/// Put into a reply that the original streams.
#[derive(Clone, Copy)]
struct Streamed;

/// The same reply, which gets no tag.
pub(crate) fn streamed(mut response: Response) -> Response {
    response.extensions_mut().insert(Streamed);
    response
}

/// A layer: tags whole replies below the catalog mount and of the probes, and answers 304 to who has them already.
pub(super) async fn tag(request: Request, next: Next) -> Response {
    if !covers(request.uri().path()) {
        return next.run(request).await;
    }
    let known = known_tags(&request);
    let response = next.run(request).await;
    let whole = response
        .body()
        .size_hint()
        .exact()
        .is_some_and(|bytes| bytes > 0);
    if !whole || response.extensions().get::<Streamed>().is_some() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        // A body in memory does not break.
        return Response::from_parts(parts, Body::empty());
    };
    let body = body.to_bytes();
    if let Ok(tag) = HeaderValue::from_str(&tag_of(&body)) {
        let fresh = parts.status.is_success() && known.is_some_and(|known| is_known(&known, &tag));
        parts.headers.insert(header::ETAG, tag);
        if fresh {
            parts.status = StatusCode::NOT_MODIFIED;
            parts.headers.remove(header::CONTENT_TYPE);
            return Response::from_parts(parts, Body::empty());
        }
    }
    Response::from_parts(parts, Body::from(body))
}

/// Whether replies at that path, or route, may have a tag.
pub(super) fn covers(path: &str) -> bool {
    mount_end(path).is_some() || path.starts_with("/.backstage/")
}

/// What the client says it has; nothing where it wants the reply anew.
fn known_tags(request: &Request) -> Option<HeaderValue> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = request.headers().get(header::IF_NONE_MATCH)?;
    (safe && !wants_anew(request.headers())).then(|| known.clone())
}

fn wants_anew(headers: &HeaderMap) -> bool {
    let directives = headers.get_all(header::CACHE_CONTROL).iter();
    directives
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"))
}

/// The weak comparison of RFC 9110 §8.8.3.2: `W/` does not count.
fn is_known(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else {
        return false;
    };
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.trim() == "*" || known.split(',').any(|known| opaque(known) == opaque(tag))
}

fn tag_of(body: &[u8]) -> String {
    let digest = STANDARD.encode(Sha1::digest(body));
    format!("W/\"{:x}-{}\"", body.len(), digest.trim_end_matches('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_one_that_express_makes() {
        // As answered by the original to these bodies.
        assert_eq!(tag_of(b"[]"), "W/\"2-l9Fw4VUO7kr8CvBlt4zaMCqXZ0w\"");
        assert_eq!(
            tag_of(b"{\"facets\":{\"kind\":[]}}"),
            "W/\"16-b7JScBq+v+cNHNYjMr8vUpk+cgQ\""
        );
    }

    #[test]
    fn a_known_tag_is_found_whether_weak_or_not() {
        let known = |known: &'static str| {
            is_known(
                &HeaderValue::from_static(known),
                &HeaderValue::from_static("W/\"2-a\""),
            )
        };
        for tags in ["*", "W/\"2-a\"", "\"2-a\"", "\"1-b\", W/\"2-a\"", " * "] {
            assert!(known(tags), "{tags}");
        }
        for tags in ["", "\"2-b\"", "2-a", "\"2-a", "**"] {
            assert!(!known(tags), "{tags}");
        }
    }

    #[test]
    fn who_wants_it_anew_gets_it_anew() {
        let mut headers = HeaderMap::new();
        assert!(!wants_anew(&headers));
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("max-age=0, No-Cache"),
        );
        assert!(wants_anew(&headers));
    }
}
