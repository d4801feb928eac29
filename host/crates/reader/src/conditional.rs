//! What makes the next read of a document cheap: its validators, and the URL they belong to.
//!
//! Validators save transfer and nothing more; equality is the digest of the bytes (ref notes R7).
//! They are sent only to the URL that gave them: after a changed redirect, an `ETag` of the old
//! target that happens to equal one of the new target would otherwise turn into a wrong "unchanged".

use reqwest::Url;
use reqwest::header::{
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use serde::{Deserialize, Serialize};

/// Longest `ETag` kept, in bytes. Real ones have 20 to 70.
const ETAG_BYTES: usize = 512;
/// Longest `Last-Modified` kept, in bytes. The format has 29.
const LAST_MODIFIED_BYTES: usize = 64;

/// The validators of a document as they are stored beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditional {
    /// The URL that was asked, after mapping and redirects.
    pub url: String,
    /// `ETag`, weak or strong, at most 512 bytes of visible ASCII.
    pub etag: Option<String>,
    /// `Last-Modified`, at most 64 bytes of visible ASCII.
    pub last_modified: Option<String>,
}

impl Conditional {
    /// The validators of an answer; oversized and odd ones are not kept.
    pub(crate) fn of_answer(url: &Url, headers: &HeaderMap) -> Conditional {
        let kept = |name: HeaderName, limit: usize| {
            let text = headers.get(name)?.to_str().ok()?;
            (!text.is_empty() && text.len() <= limit).then(|| text.to_owned())
        };
        Conditional {
            url: url.to_string(),
            etag: kept(ETAG, ETAG_BYTES),
            last_modified: kept(LAST_MODIFIED, LAST_MODIFIED_BYTES),
        }
    }

    /// Whether there is nothing to ask with.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// The request headers for `url`; empty if the validators belong to another one.
    pub(crate) fn headers_for(&self, url: &Url) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.url != url.as_str() {
            return headers;
        }
        let both = [
            (IF_NONE_MATCH, &self.etag),
            (IF_MODIFIED_SINCE, &self.last_modified),
        ];
        for (name, value) in both {
            let value = value.as_ref().map(|value| HeaderValue::from_str(value));
            if let Some(Ok(value)) = value {
                headers.insert(name, value);
            }
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r10_oversized_and_odd_validators_are_not_kept() {
        let url = Url::parse("https://h/a").expect("a URL");
        let mut headers = HeaderMap::new();
        let long = HeaderValue::from_str(&"x".repeat(1_000_000)).expect("a value");
        headers.insert(ETAG, long);
        headers.insert(
            LAST_MODIFIED,
            HeaderValue::from_bytes(b"\xffmon").expect("a value"),
        );
        assert!(Conditional::of_answer(&url, &headers).is_empty());
    }

    #[test]
    fn r10_line_breaks_in_stored_validators_are_not_sent() {
        let url = Url::parse("https://h/a").expect("a URL");
        let stored = Conditional {
            url: url.to_string(),
            etag: Some("\"a\"\r\nX-Evil: 1".to_owned()),
            last_modified: None,
        };
        assert!(stored.headers_for(&url).is_empty());
    }

    #[test]
    fn validators_go_to_their_own_url_only() {
        let url = Url::parse("https://h/a").expect("a URL");
        let stored = Conditional {
            url: url.to_string(),
            etag: Some("\"a\"".to_owned()),
            last_modified: None,
        };
        assert_eq!(stored.headers_for(&url).len(), 1);
        assert!(
            stored
                .headers_for(&Url::parse("https://h/b").expect("a URL"))
                .is_empty()
        );
    }
}
