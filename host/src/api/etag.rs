//! `ETag` and `If-Match` for settings: a writer that read version n replaces version n and nothing newer.
//!
//! The tag is the version of the settings. Without `If-Match` the last writer wins; a weak tag never matches, because the
//! comparison is the strong one (RFC 9110 §13.1.1).

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};

use super::error::ApiError;
use super::state::ApiState;

/// Longest `If-Match` that is looked at, in bytes.
const MAX_HEADER_BYTES: usize = 1_024;

/// The `If-Match` of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IfMatch {
    /// None was sent.
    Absent,
    /// `*`: whatever is there, but something.
    Any,
    /// One of these versions.
    Versions(Vec<i64>),
}

impl IfMatch {
    /// The version that a write must find, given the one that was just read; an error when none of the named is it.
    pub(super) fn expected(&self, version: i64) -> Result<Option<i64>, ApiError> {
        match self {
            Self::Absent | Self::Any => Ok(None),
            Self::Versions(versions) if versions.contains(&version) => Ok(Some(version)),
            Self::Versions(_) => Err(changed(version)),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self::Any);
        }
        let mut versions = Vec::new();
        for tag in text.split(',') {
            let tag = tag.trim();
            let strong = tag.strip_prefix("W/").unwrap_or(tag);
            let inner = strong.strip_prefix('"')?.strip_suffix('"')?;
            // A tag that is not one of ours is well-formed and matches nothing.
            if strong.len() == tag.len() {
                versions.extend(inner.parse::<i64>().ok());
            }
        }
        Some(Self::Versions(versions))
    }
}

impl FromRequestParts<ApiState> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, ApiError> {
        let mut headers = parts.headers.get_all(header::IF_MATCH).iter();
        let Some(value) = headers.next() else {
            return Ok(Self::Absent);
        };
        let text = value.to_str().ok().filter(|_| headers.next().is_none());
        text.filter(|text| text.len() <= MAX_HEADER_BYTES)
            .and_then(Self::parse)
            .ok_or_else(|| {
                ApiError::input("If-Match must be `*` or a list of quoted entity tags, once")
            })
    }
}

/// 412, naming the version that is there now.
pub(super) fn changed(version: i64) -> ApiError {
    ApiError::new(
        StatusCode::PRECONDITION_FAILED,
        "PreconditionFailedError",
        format!(
            "the settings were changed meanwhile and have the version \"{version}\" now; read them again and send If-Match with it"
        ),
    )
}

/// The same response with the settings' tag.
pub(super) fn tagged(mut response: Response, version: i64) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_the_standard_writes_them() {
        let versions = |versions: &[i64]| Some(IfMatch::Versions(versions.to_vec()));
        assert_eq!(IfMatch::parse("\"3\""), versions(&[3]));
        assert_eq!(IfMatch::parse(" \"3\" , \"4\""), versions(&[3, 4]));
        assert_eq!(IfMatch::parse("*"), Some(IfMatch::Any));
        assert_eq!(IfMatch::parse("W/\"3\""), versions(&[]));
        assert_eq!(IfMatch::parse("\"abc\", \"5\""), versions(&[5]));
        for bad in ["", "3", "\"3", "\"", "\"3\",", "*, \"3\""] {
            assert_eq!(IfMatch::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_the_named_version_is_replaced() {
        assert_eq!(IfMatch::Absent.expected(3).unwrap(), None);
        assert_eq!(IfMatch::Any.expected(3).unwrap(), None);
        assert_eq!(IfMatch::Versions(vec![2, 3]).expected(3).unwrap(), Some(3));
        assert!(IfMatch::Versions(vec![2]).expected(3).is_err());
        assert!(IfMatch::Versions(vec![]).expected(3).is_err());
    }
}
