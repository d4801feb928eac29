//! `GET /entities` (ref §7.6): paged with a `Link` header, or everything, streamed.

use axum::body::HttpBody as _;
use axum::extract::State;
use axum::response::Response;
use greenroom_model::filter::EntityFilter;
use greenroom_query::{After, Fields, ListRequest, OrderField};
use http::{HeaderValue, header};

use crate::api::auth::{Access, Read};
use crate::api::error::ApiError;
use crate::api::extract::Params;
use crate::api::pagination::{List, Rows, Walk};
use crate::api::state::ApiState;
use crate::api::validators::streamed;

/// `GET /entities?filter&fields&order&limit&offset&after`
pub(super) async fn list_entities(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.only(&["filter", "fields", "order", "limit", "offset", "after"])?;
    let mut request = ListRequest {
        filter: EntityFilter::parse_params(&params.all("filter"))?,
        order: OrderField::parse_list(&params.all("order"))?,
        limit: params.integer("limit", 1)?,
        offset: params.integer("offset", 0)?.unwrap_or(0),
    };
    let fields = Fields::from_list(&params.all("fields"))?;
    let after = params.one("after")?.map(After::decode).transpose()?;
    let paged = after.is_some() || request.limit.is_some() || !params.all("offset").is_empty();
    if let Some(after) = after {
        request.limit = after.limit;
        request.offset = after.offset;
    }
    let index = state.indexes.get(access.tenant).await?;
    let (rows, next) = if paged {
        let page = index.ask(move |index| index.list(&request)).await??;
        (Rows::of(page.hits), page.next)
    } else {
        (Rows::Walk(Box::new(Walk::new(index, request))), None)
    };
    let list = List {
        storage: state.storage.clone(),
        tenant: access.tenant,
        rows,
        fields,
    };
    let mut response = list.respond("[", "]").await?;
    // Without paging the original answers an empty list whole, and streams all others.
    let empty = response.body().size_hint().exact() == Some(2);
    if paged || !empty {
        response = streamed(response);
    }
    if let Some(next) = next {
        let mut query = params.without(&["offset", "after"]);
        let link = format!(
            "</entities?{}>; rel=\"next\"",
            query.append_pair("after", &next).finish()
        );
        let link = HeaderValue::from_str(&link)
            .map_err(|error| ApiError::internal(format!("a Link header: {error}")))?;
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}
