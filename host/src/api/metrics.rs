//! `/metrics`, and what the edge counts of requests. Labels are routes and statuses, never tenants or names (q07).

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};

use super::operations::Operations;
use super::state::ApiState;
use crate::metrics::{CONTENT_TYPE, Metric};

/// Counts a request; the outermost layer.
pub(crate) async fn count(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = match request.method().as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    };
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "none".to_owned(), |route| route.as_str().to_owned());
    let response = next.run(request).await;
    let status = response.status();
    let sheet = &state.sheet;
    let labels = [method, route.as_str(), status.as_str()];
    sheet.add(Metric::HttpRequests, &labels, 1.0);
    let seconds = began.elapsed().as_secs_f64();
    sheet.observe(Metric::HttpDuration, &[route.as_str()], seconds);
    response
}

/// `GET /metrics`.
pub(crate) async fn show_metrics(State(operations): State<Operations>) -> Response {
    operations.figures.ask().await;
    let content_type = HeaderValue::from_static(CONTENT_TYPE);
    let text = operations.parts.sheet.text();
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
