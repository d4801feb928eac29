//! `POST /validate-entity`: a worker tries the entity and writes nothing. Problems of the entity are 400 with
//! `{"errors":[…]}`, which is not the standard error body (ref §12 trap 6).

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use greenroom_model::{Entity, LocationRef};
use greenroom_storage::RunKind;
use http::StatusCode;
use serde_json::{Value, json};

use crate::api::auth::{Access, Read};
use crate::api::body::{JsonBody, Properties as _};
use crate::api::error::ApiError;
use crate::api::extract::{self, Params};
use crate::api::runs;
use crate::api::state::ApiState;

/// `POST /validate-entity`
pub(super) async fn validate_entity(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let body = body.unwrap_or_default();
    let entity = body.required("entity")?;
    let location = body.required_text("location")?;
    if !entity.is_object() {
        return Err(ApiError::input("request/body/entity must be object"));
    }
    if let Err(error) = Entity::from_value(entity.clone()) {
        return Ok(invalid(
            &json!([{"name": error.name(), "message": error.to_string()}]),
        ));
    }
    if let Some(message) = wrong_location(location) {
        return Ok(invalid(&json!([{"name": "TypeError", "message": message}])));
    }
    let request = json!({"entity": entity, "location": location});
    let result = runs::ask(&state, access.tenant, RunKind::ValidateEntity, &request).await?;
    match result.get("errors") {
        Some(errors) => Ok(invalid(errors)),
        None => Ok(StatusCode::OK.into_response()),
    }
}

fn wrong_location(text: &str) -> Option<String> {
    match LocationRef::parse(text) {
        Ok(location) if location.r#type == "url" => None,
        Ok(_) => Some(format!(
            "Invalid location ref {text}, only 'url:<target>' is supported, e.g. url:https://host/path"
        )),
        Err(error) => Some(error.to_string()),
    }
}

fn invalid(errors: &Value) -> Response {
    extract::json(StatusCode::BAD_REQUEST, &json!({"errors": errors}))
}
