//! `/entities/by-query`, both verbs (ref §7.7). A cursor of either is taken by both; `limit` and `fields` come anew.

use axum::extract::State;
use axum::response::Response;
use greenroom_model::filter::EntityFilter;
use greenroom_query::{Cursor, Fields, FullText, OrderField, QueryRequest, TotalItems};
use serde_json::{Map, Value, json};

use crate::api::auth::{Access, Read};
use crate::api::body::{JsonBody, Properties as _};
use crate::api::error::ApiError;
use crate::api::extract::Params;
use crate::api::pagination::{List, Rows};
use crate::api::state::ApiState;

const PARAMS: [&str; 9] = [
    "filter",
    "fields",
    "orderField",
    "limit",
    "offset",
    "cursor",
    "fullTextFilterTerm",
    "fullTextFilterFields",
    "totalItems",
];

/// `GET /entities/by-query`
pub(super) async fn query_entities(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
) -> Result<Response, ApiError> {
    let params = params.only(&PARAMS)?;
    let full_text_fields = params.all("fullTextFilterFields");
    let full_text_fields = full_text_fields.iter().flat_map(|fields| fields.split(','));
    let request = QueryRequest {
        cursor: params.one("cursor")?.map(Cursor::decode).transpose()?,
        filter: EntityFilter::parse_params(&params.all("filter"))?,
        order: OrderField::parse_query(&params.all("orderField"))?,
        full_text: Some(FullText {
            term: params
                .one("fullTextFilterTerm")?
                .unwrap_or_default()
                .to_owned(),
            fields: full_text_fields
                .map(str::trim)
                .filter(|field| !field.is_empty())
                .map(str::to_owned)
                .collect(),
        }),
        limit: params.integer("limit", 0)?,
        offset: params.integer("offset", 0)?.unwrap_or(0),
        total_items: total_items(params.one("totalItems")?, "query")?,
    };
    answer(
        &access,
        &state,
        request,
        Fields::from_list(&params.all("fields"))?,
    )
    .await
}

/// `POST /entities/by-query`
pub(super) async fn query_entities_by_predicate(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    params.only(&[])?;
    let body = body.unwrap_or_default();
    let fields = body.texts("fields")?.unwrap_or_default();
    let request = QueryRequest {
        cursor: body.text("cursor")?.map(Cursor::decode).transpose()?,
        filter: body
            .get("query")
            .map(EntityFilter::from_predicate)
            .transpose()?,
        order: order_of(&body)?,
        full_text: full_text_of(&body)?,
        limit: body.integer("limit", 0)?,
        offset: body.integer("offset", 0)?.unwrap_or(0),
        total_items: total_items(body.text("totalItems")?, "body")?,
    };
    answer(&access, &state, request, Fields::from_list(&fields)?).await
}

async fn answer(
    access: &Access<Read>,
    state: &ApiState,
    request: QueryRequest,
    fields: Option<Fields>,
) -> Result<Response, ApiError> {
    let index = state.indexes.get(access.tenant).await?;
    let page = index.ask(move |index| index.query(&request)).await??;
    let mut info = Map::new();
    info.extend(
        page.next_cursor
            .map(|cursor| ("nextCursor".to_owned(), Value::String(cursor))),
    );
    info.extend(
        page.prev_cursor
            .map(|cursor| ("prevCursor".to_owned(), Value::String(cursor))),
    );
    let rest = format!(
        "],\"totalItems\":{},\"pageInfo\":{}}}",
        page.total_items,
        Value::Object(info)
    );
    let rows = Rows::of(page.hits);
    List {
        storage: state.storage.clone(),
        tenant: access.tenant,
        rows,
        fields,
    }
    .respond("{\"items\":[", &rest)
    .await
}

fn total_items(text: Option<&str>, place: &str) -> Result<TotalItems, ApiError> {
    match text {
        None | Some("include") => Ok(TotalItems::Include),
        Some("exclude") => Ok(TotalItems::Exclude),
        Some(_) => {
            let problem = "must be equal to one of the allowed values: include, exclude";
            Err(ApiError::input(format!(
                "request/{place}/totalItems {problem}"
            )))
        }
    }
}

fn order_of(body: &Map<String, Value>) -> Result<Vec<OrderField>, ApiError> {
    let Some(order) = body.get("orderBy") else {
        return Ok(Vec::new());
    };
    let undirected = |one: &Value| one.is_object() && one.get("order").is_none();
    if let Some(at) = order
        .as_array()
        .and_then(|list| list.iter().position(undirected))
    {
        return Err(ApiError::input(format!(
            "request/body/orderBy/{at} must have required property 'order'"
        )));
    }
    let order: Vec<OrderField> = serde_json::from_value(order.clone()).map_err(|_| {
        ApiError::input("request/body/orderBy must be a list of {field, order: asc or desc}")
    })?;
    if order.iter().any(|order| order.field.trim().is_empty()) {
        return Err(ApiError::input("request/body/orderBy must name a field"));
    }
    Ok(order)
}

fn full_text_of(body: &Map<String, Value>) -> Result<Option<FullText>, ApiError> {
    let full_text = body
        .get("fullTextFilter")
        .cloned()
        .unwrap_or_else(|| json!(null));
    serde_json::from_value(full_text).map_err(|_| {
        ApiError::input("request/body/fullTextFilter must be {term, fields: a list of strings}")
    })
}
