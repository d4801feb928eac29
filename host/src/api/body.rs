//! Request bodies: read with a cap and a patience, never unpacked, and read as JSON in Backstage's way (ref §7.1).
//!
//! On catalog routes a body is at most 100 KiB and every fault of it is 400. A compressed body is 415 everywhere: nothing
//! is unpacked. A body that stalls for 10 s, or takes longer than a minute for each 8 MiB, is 408.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::state::ApiState;

/// Backstage's cap on JSON bodies.
const MAX_JSON_BYTES: usize = 100 * 1024;
/// A list of refs in one request is not cut by the client (ref §12 trap 5).
const MAX_REFS_JSON_BYTES: usize = 1024 * 1024;
/// One entity of 4 MiB (DESIGN §3.2), a configuration and what is around them.
const MAX_ENTITY_JSON_BYTES: usize = 4 * 1024 * 1024 + 128 * 1024;
/// Longest silence within a body.
const STALL: Duration = Duration::from_secs(10);
/// Time a body may take, plus as much for each further [`STEP_BYTES`].
const PATIENCE: Duration = Duration::from_secs(60);
const STEP_BYTES: u64 = 8 * 1024 * 1024;

/// Refuses a `content-encoding`.
pub(crate) fn refuse_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    let plain = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if plain {
        Ok(())
    } else {
        Err(ApiError::unsupported_encoding())
    }
}

/// Reads a body piece by piece.
pub(crate) struct Pieces {
    body: Body,
    read: u64,
    started: Instant,
}

impl Pieces {
    pub(crate) fn new(body: Body) -> Self {
        Self {
            body,
            read: 0,
            started: Instant::now(),
        }
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let steps = u32::try_from(self.read / STEP_BYTES)
                .unwrap_or(u32::MAX)
                .saturating_add(1);
            if self.started.elapsed() > PATIENCE.saturating_mul(steps) {
                return Err(ApiError::too_slow());
            }
            let frame = match tokio::time::timeout(STALL, self.body.frame()).await {
                Err(_) => return Err(ApiError::too_slow()),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => {
                    return Err(ApiError::input(
                        "the request body ended early; send it again",
                    ));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            if let Ok(piece) = frame.into_data() {
                self.read = self.read.saturating_add(piece.len() as u64);
                return Ok(Some(piece));
            }
        }
    }

    /// Everything, up to a cap; `None` if there is more.
    pub(crate) async fn collect(&mut self, cap_bytes: usize) -> Result<Option<Vec<u8>>, ApiError> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            if all.len() + piece.len() > cap_bytes {
                return Ok(None);
            }
            all.extend_from_slice(&piece);
        }
        Ok(Some(all))
    }
}

/// A JSON object body with Backstage's cap, or none.
pub(crate) struct JsonBody(pub(crate) Option<Map<String, Value>>);

impl FromRequest<ApiState> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &ApiState) -> Result<Self, ApiError> {
        read_json(request, MAX_JSON_BYTES).await.map(Self)
    }
}

/// A JSON object body that holds a list of refs, up to [`MAX_REFS_JSON_BYTES`].
pub(crate) struct LargeJsonBody(pub(crate) Option<Map<String, Value>>);

impl FromRequest<ApiState> for LargeJsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &ApiState) -> Result<Self, ApiError> {
        read_json(request, MAX_REFS_JSON_BYTES).await.map(Self)
    }
}

/// A JSON object body that holds one entity, up to [`MAX_ENTITY_JSON_BYTES`].
pub(crate) struct EntityJsonBody(pub(crate) Option<Map<String, Value>>);

impl FromRequest<ApiState> for EntityJsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &ApiState) -> Result<Self, ApiError> {
        read_json(request, MAX_ENTITY_JSON_BYTES).await.map(Self)
    }
}

async fn read_json(
    request: Request,
    cap_bytes: usize,
) -> Result<Option<Map<String, Value>>, ApiError> {
    refuse_encoding(request.headers())?;
    let media_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .map(|value| value.as_bytes().to_vec());
    let mut pieces = Pieces::new(request.into_body());
    let Some(bytes) = pieces.collect(cap_bytes).await? else {
        return Err(ApiError::input("request entity too large"));
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    let media_type = String::from_utf8(media_type.unwrap_or_default()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let shown: String = essence.chars().take(80).collect();
        return Err(ApiError::input(format!("unsupported media type {shown}")));
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(Some(object)),
        Ok(_) => Err(ApiError::input("request/body must be object")),
        Err(error) => Err(ApiError::input(format!(
            "the body is not valid JSON: {error}"
        ))),
    }
}

/// Reading the properties of a body with Backstage's messages.
pub(crate) trait Properties {
    /// A property that must be there.
    fn required(&self, name: &str) -> Result<&Value, ApiError>;
    /// A string that must be there.
    fn required_text(&self, name: &str) -> Result<&str, ApiError>;
    /// A list of strings, if there.
    fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, ApiError>;
    /// A whole number of at least `least`, if there.
    fn integer(&self, name: &str, least: u64) -> Result<Option<u64>, ApiError>;
    /// A string, if there.
    fn text(&self, name: &str) -> Result<Option<&str>, ApiError>;
}

impl Properties for Map<String, Value> {
    fn required(&self, name: &str) -> Result<&Value, ApiError> {
        self.get(name).ok_or_else(|| {
            ApiError::input(format!("request/body must have required property '{name}'"))
        })
    }

    fn required_text(&self, name: &str) -> Result<&str, ApiError> {
        self.required(name)?
            .as_str()
            .ok_or_else(|| wrong_type(name, "string"))
    }

    fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, ApiError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let items = value.as_array().ok_or_else(|| wrong_type(name, "array"))?;
        let text = |item: &'_ Value| item.as_str().is_some();
        if let Some(at) = items.iter().position(|item| !text(item)) {
            return Err(wrong_type(&format!("{name}/{at}"), "string"));
        }
        Ok(Some(items.iter().filter_map(Value::as_str).collect()))
    }

    fn integer(&self, name: &str, least: u64) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match value.as_u64() {
            Some(number) if number >= least => Ok(Some(number)),
            Some(_) => Err(ApiError::input(format!(
                "request/body/{name} must be >= {least}"
            ))),
            None if value.as_i64().is_some() => Err(ApiError::input(format!(
                "request/body/{name} must be >= {least}"
            ))),
            None => Err(wrong_type(name, "integer")),
        }
    }

    fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_str()
                .map(Some)
                .ok_or_else(|| wrong_type(name, "string")),
        }
    }
}

fn wrong_type(name: &str, expected: &str) -> ApiError {
    ApiError::input(format!("request/body/{name} must be {expected}"))
}

/// The body of one of our own routes; an unknown property is an error that names it.
pub(crate) fn typed<T: DeserializeOwned>(body: Option<Map<String, Value>>) -> Result<T, ApiError> {
    let value = Value::Object(body.unwrap_or_default());
    serde_json::from_value(value).map_err(|error| ApiError::input(format!("request/body: {error}")))
}
