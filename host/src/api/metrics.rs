//! What the edge counts, in Prometheus text on the operations listener.
//!
//! One set for both listeners of a process: the API counts on one what the other shows.
//! Labels are routes and statuses, never tenants or names, so that the number of series is bounded (q07).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::error::ApiError;
use super::state::ApiState;
use crate::supervisor::{Figure, Figures, SandboxEnd};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HealedLabels {
    what: &'static str,
}

/// The edge's metrics, and what workers told.
pub(crate) struct ApiMetrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    indexes: Gauge,
    index_bytes: Gauge,
    indexed_entities: Gauge,
    /// Change streams that are open.
    pub(crate) change_streams: Gauge,
    worker_restarts: Gauge<u64, AtomicU64>,
    sandbox_restarts: Family<EndLabels, Gauge<u64, AtomicU64>>,
    calls: Gauge<u64, AtomicU64>,
    runs: Family<RunLabels, Gauge<u64, AtomicU64>>,
    audited: Gauge<u64, AtomicU64>,
    healed: Family<HealedLabels, Gauge<u64, AtomicU64>>,
}

impl ApiMetrics {
    /// All of them at zero.
    pub(crate) fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("greenroom");
        let requests = Family::default();
        let indexes = Gauge::default();
        let index_bytes = Gauge::default();
        let indexed_entities = Gauge::default();
        let change_streams = Gauge::default();
        let worker_restarts = Gauge::default();
        let sandbox_restarts = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register("indexes", "Read indexes in memory", indexes.clone());
        registry.register(
            "index_bytes",
            "Bytes held by the read indexes",
            index_bytes.clone(),
        );
        registry.register(
            "index_entities",
            "Entities in the read indexes",
            indexed_entities.clone(),
        );
        registry.register(
            "change_streams",
            "Change streams that are open",
            change_streams.clone(),
        );
        registry.register(
            "worker_restarts",
            "Times a worker was replaced",
            worker_restarts.clone(),
        );
        registry.register(
            "sandbox_restarts",
            "Sandbox children that are gone, by reason",
            sandbox_restarts.clone(),
        );
        let calls = Gauge::default();
        let runs = Family::default();
        let audited = Gauge::default();
        let healed = Family::default();
        registry.register(
            "processor_calls",
            "Calls of processors in runs of entities",
            calls.clone(),
        );
        registry.register(
            "processing_runs",
            "Runs of entities: made, or skipped because nothing had changed",
            runs.clone(),
        );
        registry.register(
            "audited_entities",
            "Entities that the daily audit has looked at",
            audited.clone(),
        );
        registry.register(
            "audit_healed",
            "What the daily audit has mended: memos, edges, stitches",
            healed.clone(),
        );
        Arc::new(Self {
            registry,
            requests,
            indexes,
            index_bytes,
            indexed_entities,
            change_streams,
            worker_restarts,
            sandbox_restarts,
            calls,
            runs,
            audited,
            healed,
        })
    }

    /// Notes what workers have counted.
    fn figures(&self, figures: &Figures) {
        self.calls.set(figures.of(Figure::Calls));
        self.audited.set(figures.of(Figure::Audited));
        for (result, figure) in [("made", Figure::RunsMade), ("skipped", Figure::RunsSkipped)] {
            let gauge = self.runs.get_or_create(&RunLabels { result });
            gauge.set(figures.of(figure));
        }
        for (what, figure) in [
            ("memo", Figure::HealedMemos),
            ("edge", Figure::HealedEdges),
            ("stitch", Figure::HealedStitches),
        ] {
            let gauge = self.healed.get_or_create(&HealedLabels { what });
            gauge.set(figures.of(figure));
        }
    }

    /// Notes what the indexes hold.
    pub(crate) fn indexes(&self, count: usize, bytes: usize, entities: u64) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.indexes.set(gauge(count as u64));
        self.index_bytes.set(gauge(bytes as u64));
        self.indexed_entities.set(gauge(entities));
    }
}

/// Counts a request; the outermost layer.
pub(crate) async fn count(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "none".to_owned(), |route| route.as_str().to_owned());
    let response = next.run(request).await;
    let labels = RequestLabels {
        method,
        route,
        status: u32::from(response.status().as_u16()),
    };
    state.metrics.requests.get_or_create(&labels).inc();
    response
}

/// `GET /metrics`.
pub(crate) async fn show_metrics(State(state): State<ApiState>) -> Response {
    if let Some(workers) = &state.workers {
        let status = workers.status();
        state.metrics.worker_restarts.set(status.restarts);
        state.metrics.figures(&status.figures);
        for end in SandboxEnd::ALL {
            let labels = EndLabels {
                reason: end.as_str(),
            };
            let gauge = state.metrics.sandbox_restarts.get_or_create(&labels);
            gauge.set(status.sandboxes.of(end));
        }
    }
    let mut text = String::new();
    if let Err(error) = encode(&mut text, &state.metrics.registry) {
        return ApiError::internal(format!("metrics cannot be written: {error}")).into_response();
    }
    let content_type =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
