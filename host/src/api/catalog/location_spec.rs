//! The location in a request body: `type`, `target` and perhaps `presence`, nothing else (ref §7.8).
//!
//! Only type `url` is taken here; `file` comes from the operator's configuration alone (y15). Targets need not be URLs. One that
//! holds a credential is refused: a target is shown, logged, and written into every entity that comes from it (l03).

use greenroom_model::LocationRef;
use serde_json::{Map, Value};
use url::Url;

use crate::api::error::ApiError;

/// Longest target, in bytes: a location is found by its target, in an index of every storage backend.
const MAX_TARGET_BYTES: usize = 2_048;
/// Parameters of a URL that let in whoever has them, as code hosts and object stores call theirs.
const CREDENTIALS: &[&str] = &[
    "access_token",
    "api_key",
    "apikey",
    "auth_token",
    "job_token",
    "oauth_token",
    "private_token",
    "sig",
    "token",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-signature",
];

/// Reads the location at `place`, such as `request/body`.
pub(super) fn location_of(body: &Map<String, Value>, place: &str) -> Result<LocationRef, ApiError> {
    let target = text(body, "target", place)?;
    let r#type = text(body, "type", place)?;
    match body.get("presence").map(|presence| presence.as_str()) {
        None | Some(Some("required" | "optional")) => {}
        Some(_) => {
            let problem = "must be equal to one of the allowed values: required, optional";
            return Err(ApiError::input(format!("{place}/presence {problem}")));
        }
    }
    if let Some(key) = body
        .keys()
        .find(|key| !matches!(key.as_str(), "type" | "target" | "presence"))
    {
        let shown: String = key.chars().take(80).collect();
        return Err(ApiError::input(format!(
            "{place} must NOT have additional property '{shown}'"
        )));
    }
    if r#type != "url" {
        return Err(ApiError::input(
            "Registered locations must be of an allowed type [\"url\"]",
        ));
    }
    if target.len() > MAX_TARGET_BYTES {
        return Err(ApiError::input(format!(
            "{place}/target must NOT have more than {MAX_TARGET_BYTES} bytes"
        )));
    }
    if let Some(what) = credential_in(target) {
        return Err(ApiError::input(format!(
            "{place}/target must NOT hold {what}: leave it out, and have an integration for the host"
        )));
    }
    let location = LocationRef::new(r#type, target);
    LocationRef::parse(&location.to_string())
        .map_err(|error| ApiError::input(error.to_string()))?;
    Ok(location)
}

/// What of a target lets somebody in.
fn credential_in(target: &str) -> Option<String> {
    let url = Url::parse(target).ok()?;
    if url.password().is_some() || !url.username().is_empty() {
        return Some("a user name or password".to_owned());
    }
    let named = |name: &str| CREDENTIALS.contains(&name.to_lowercase().as_str());
    let mut parameters = url.query_pairs().map(|(name, _)| name);
    parameters
        .find(|name| named(name))
        .map(|name| format!("the parameter `{name}`"))
}

fn text<'a>(body: &'a Map<String, Value>, name: &str, place: &str) -> Result<&'a str, ApiError> {
    let Some(value) = body.get(name) else {
        return Err(ApiError::input(format!(
            "{place} must have required property '{name}'"
        )));
    };
    value
        .as_str()
        .ok_or_else(|| ApiError::input(format!("{place}/{name} must be string")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l03_a_target_with_a_credential_is_refused_and_not_repeated() {
        for target in [
            "https://user:secret@github.com/o/r/blob/main/catalog-info.yaml",
            "https://secret@github.com/o/r",
            "https://raw.githubusercontent.com/o/r/main/a.yaml?token=secret",
            "https://gitlab.com/a.yaml?ref=main&Private_Token=secret",
            "https://s3.example/a.yaml?X-Amz-Signature=secret",
            "https://h/a.yaml?%74oken=secret",
        ] {
            let body = serde_json::json!({"type": "url", "target": target});
            let refused = location_of(body.as_object().unwrap(), "request/body").unwrap_err();
            let said = refused.message();
            assert!(said.contains("request/body/target must NOT hold"), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn a_target_that_only_looks_like_it_is_taken() {
        for target in [
            "https://github.com/o/r/blob/main/token=x.yaml",
            "https://github.com/o/r?path=@a:b@c&tokens=all",
            "token=secret",
        ] {
            let body = serde_json::json!({"type": "url", "target": target});
            assert!(location_of(body.as_object().unwrap(), "request/body").is_ok());
        }
    }
}
