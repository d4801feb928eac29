//! gzip for replies whose reader takes it, of 1 KiB or more, as Express's `compression` does (ref §7.1).
//!
//! Texts only, and no event stream, which must arrive as it is written. At the quickest level: the network is seldom the
//! bottleneck beside an API, and its processor is. What clients send is never unpacked (see `head_guard` and `body`).

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use tower_http::compression::predicate::{And, Predicate as _, SizeAbove};
use tower_http::compression::{CompressionLayer, CompressionLevel};

/// Smaller replies fit into one packet anyway.
const LEAST_BYTES: u16 = 1_024;

/// Whether a reply of these headers may be compressed.
type OfText = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// The layer.
pub(super) fn layer() -> CompressionLayer<And<OfText, SizeAbove>> {
    let of_text: OfText = |_, _, headers, _| is_text(headers);
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(of_text.and(SizeAbove::new(LEAST_BYTES)))
}

/// A layer around it: says with every text that its form depends on what was accepted, and leaves the headers of `HEAD`
/// those of a reply that is not compressed, as Express does.
pub(super) async fn vary(mut request: Request, next: Next) -> Response {
    if request.method() == Method::HEAD {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    let mut response = next.run(request).await;
    if is_text(response.headers()) {
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    response
}

fn is_text(headers: &HeaderMap) -> bool {
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    media.is_some_and(|media| {
        let media = media.split(';').next().unwrap_or_default().trim();
        media == "application/json" || (media.starts_with("text/") && media != "text/event-stream")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compressed_and_streams_of_events_and_components_are_not() {
        let text = |media: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
            is_text(&headers)
        };
        for media in [
            "application/json; charset=utf-8",
            "application/json",
            "text/html",
        ] {
            assert!(text(media), "{media}");
        }
        for media in [
            "text/event-stream",
            "application/wasm",
            "application/octet-stream",
            "",
        ] {
            assert!(!text(media), "{media}");
        }
        assert!(!is_text(&HeaderMap::new()));
    }
}
