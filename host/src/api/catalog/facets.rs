//! `/entity-facets`, both verbs (ref §7.2): keys echo the casing of the request.

use axum::extract::State;
use axum::response::Response;
use greenroom_model::filter::EntityFilter;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::api::auth::{Access, Read};
use crate::api::body::{JsonBody, Properties as _};
use crate::api::error::ApiError;
use crate::api::extract::{Params, json};
use crate::api::state::ApiState;

/// `GET /entity-facets?facet&filter`
pub(super) async fn count_facets(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.only(&["facet", "filter"])?;
    let facets: Vec<String> = params.all("facet").into_iter().map(str::to_owned).collect();
    if facets.is_empty() {
        return Err(ApiError::input(
            "request/query must have required property 'facet'",
        ));
    }
    let filter = EntityFilter::parse_params(&params.all("filter"))?;
    answer(&access, &state, facets, filter).await
}

/// `POST /entity-facets`
pub(super) async fn count_facets_by_predicate(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let body = body.unwrap_or_default();
    body.required("facets")?;
    let facets = body.texts("facets")?.unwrap_or_default();
    if facets.is_empty() {
        return Err(ApiError::input(
            "request/body/facets must NOT have fewer than 1 items",
        ));
    }
    let facets = facets.into_iter().map(str::to_owned).collect();
    let filter = body
        .get("query")
        .map(EntityFilter::from_predicate)
        .transpose()?;
    answer(&access, &state, facets, filter).await
}

async fn answer(
    access: &Access<Read>,
    state: &ApiState,
    facets: Vec<String>,
    filter: Option<EntityFilter>,
) -> Result<Response, ApiError> {
    let index = state.indexes.get(access.tenant).await?;
    let keys = facets.clone();
    let counts = index
        .ask(move |index| index.facets(&keys, filter.as_ref()))
        .await??;
    let counts = counts.into_iter().map(|counts| {
        counts
            .into_iter()
            .map(|count| json!({"value": count.value, "count": count.count}))
            .collect::<Value>()
    });
    let facets: Map<String, Value> = facets.into_iter().zip(counts).collect();
    Ok(json(StatusCode::OK, &json!({"facets": facets})))
}
