//! The location in a request body: `type`, `target` and perhaps `presence`, nothing else (ref §7.8).
//!
//! Only type `url` is taken here; `file` comes from the operator's configuration alone (y15). Targets need not be URLs.

use greenroom_model::LocationRef;
use serde_json::{Map, Value};

use crate::api::error::ApiError;

/// Longest target, in bytes: a location is found by its target, in an index of every storage backend.
const MAX_TARGET_BYTES: usize = 2_048;

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
    let location = LocationRef::new(r#type, target);
    LocationRef::parse(&location.to_string())
        .map_err(|error| ApiError::input(error.to_string()))?;
    Ok(location)
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
