//! Query parameters, path parameters and JSON replies, with Backstage's messages (ref §7.1).
//!
//! A handler lists the query parameters it knows; any other, and any empty one, is 400. Decoding happens once.

use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::state::ApiState;

/// The content type of every JSON reply.
pub(crate) const JSON: &str = "application/json; charset=utf-8";

/// The decoded query parameters of a request, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl FromRequestParts<ApiState> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, ApiError> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Params {
    fn parse(query: &str) -> Self {
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// Refuses parameters that are not of `known`, and empty ones.
    pub(crate) fn only(self, known: &[&str]) -> Result<Self, ApiError> {
        for (name, value) in &self.0 {
            let shown = || name.chars().take(80).collect::<String>();
            if !known.contains(&name.as_str()) {
                return Err(ApiError::input(format!(
                    "Unknown query parameter '{}'",
                    shown()
                )));
            }
            if value.is_empty() {
                return Err(ApiError::input(format!(
                    "Empty value found for query parameter '{}'",
                    shown()
                )));
            }
        }
        Ok(self)
    }

    /// All values of a repeatable parameter.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The value of a parameter that may be there once.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.all(name).as_slice() {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(ApiError::input(format!(
                "request/query/{name} must be string"
            ))),
        }
    }

    /// A whole number of at least `least`. Numbers too large to hold are the largest.
    pub(crate) fn integer(&self, name: &str, least: u64) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ApiError::input(format!(
                "request/query/{name} must be integer"
            )));
        }
        let value = if text.starts_with('-') {
            None
        } else {
            Some(text.parse().unwrap_or(u64::MAX))
        };
        match value {
            Some(value) if value >= least => Ok(Some(value)),
            _ => Err(ApiError::input(format!(
                "request/query/{name} must be >= {least}"
            ))),
        }
    }

    /// A flag as Backstage's `yn` reads it.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.one(name)?.map(str::to_ascii_lowercase).as_deref() {
            None | Some("false" | "no" | "n" | "0" | "off") => Ok(false),
            Some("true" | "yes" | "y" | "1" | "on") => Ok(true),
            Some(_) => Err(ApiError::input(format!(
                "request/query/{name} must be boolean"
            ))),
        }
    }

    /// The parameters but for some, encoded again.
    pub(crate) fn without(
        &self,
        names: &[&str],
    ) -> url::form_urlencoded::Serializer<'static, String> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in self
            .0
            .iter()
            .filter(|(name, _)| !names.contains(&name.as_str()))
        {
            query.append_pair(name, value);
        }
        query
    }
}

/// Path parameters by name, decoded once; those that `T` does not name (the tenant) are left to others.
pub(crate) struct Segments<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<ApiState> for Segments<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(_) => Err(not_decoded()),
        }
    }
}

/// Whether every `%` of a path begins an escape. A path decoded as it is otherwise, with the `%` left in, would be that of
/// something else.
pub(crate) fn is_escaped(path: &str) -> bool {
    path.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// A path that cannot be decoded, in any of its segments.
pub(crate) fn not_decoded() -> ApiError {
    ApiError::input("the path is not valid percent-encoded UTF-8")
}

/// A JSON reply of text that is JSON already.
pub(crate) fn json_text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(JSON))];
    (status, content_type, text.into()).into_response()
}

/// A JSON reply.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => json_text(status, text),
        Err(error) => {
            ApiError::internal(format!("a reply cannot be written: {error}")).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_sign_begins_an_escape() {
        for path in ["/a", "/%41%2f", "/%FF"] {
            assert!(is_escaped(path), "{path}");
        }
        for path in ["/%", "/%4", "/%ZZ", "/%4Z", "/%%41", "/%é1"] {
            assert!(!is_escaped(path), "{path}");
        }
    }

    #[test]
    fn h07_numbers_are_whole_and_in_range() {
        let read = |text: &str| Params::parse(&format!("limit={text}")).integer("limit", 1);
        assert_eq!(read("5").unwrap(), Some(5));
        assert_eq!(read("18446744073709551616").unwrap(), Some(u64::MAX));
        for bad in [
            "0", "-1", "1.5", "1e3", "%2B5", "%D9%A3", "", "x", "-", " 1",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(
            Params::parse("limit=1&limit=2")
                .integer("limit", 1)
                .is_err()
        );
    }

    #[test]
    fn h07_unknown_and_empty_parameters_are_refused() {
        assert!(Params::parse("filter=a&foo=1").only(&["filter"]).is_err());
        assert!(Params::parse("filter=").only(&["filter"]).is_err());
        assert_eq!(
            Params::parse("filter=a&filter=b")
                .only(&["filter"])
                .unwrap()
                .all("filter"),
            ["a", "b"]
        );
    }

    #[test]
    fn h17_what_is_echoed_is_encoded_again() {
        let params = Params::parse("filter=a%0d%0a%3E%22&offset=3");
        assert_eq!(params.without(&["offset"]).finish(), "filter=a%0D%0A%3E%22");
    }
}
