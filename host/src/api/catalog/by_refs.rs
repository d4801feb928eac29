//! `POST /entities/by-refs`: exact refs, answered in order with `null` for what is not there (ref §7.2, §12 trap 5).

use axum::extract::State;
use axum::response::Response;
use greenroom_model::filter::EntityFilter;
use greenroom_query::Fields;

use crate::api::auth::{Access, Read};
use crate::api::body::{LargeJsonBody, Properties as _};
use crate::api::error::ApiError;
use crate::api::extract::Params;
use crate::api::pagination::{List, Rows};
use crate::api::state::ApiState;

/// `POST /entities/by-refs`
pub(super) async fn find_entities_by_refs(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
    LargeJsonBody(body): LargeJsonBody,
) -> Result<Response, ApiError> {
    let params = params.only(&["filter"])?;
    let body = body.unwrap_or_default();
    body.required("entityRefs")?;
    let refs = body.texts("entityRefs")?.unwrap_or_default();
    let fields = Fields::from_list(&body.texts("fields")?.unwrap_or_default())?;
    let given = EntityFilter::parse_params(&params.all("filter"))?;
    let asked = body
        .get("query")
        .map(EntityFilter::from_predicate)
        .transpose()?;
    let filter = match (given, asked) {
        (Some(given), Some(asked)) => Some(given.and(asked)),
        (given, asked) => given.or(asked),
    };
    let rows = Rows::Refs(refs.into_iter().map(str::to_owned).collect(), filter);
    List {
        storage: state.storage.clone(),
        tenant: access.tenant,
        rows,
        fields,
    }
    .respond("{\"items\":[", "]}")
    .await
}
