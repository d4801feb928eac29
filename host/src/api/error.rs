//! The one mapping from what went wrong to HTTP, and the one place where 5xx are logged (ref §7.1).
//!
//! A handler answers an [`ApiError`]; [`render`] writes Backstage's body around it, because only there method and URL are
//! known. What the client reads and what the log gets are apart: `message` is for the client, `internal` never leaves.

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use greenroom_model::filter::FilterError;
use greenroom_query::QueryError;
use greenroom_storage::StorageError;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;
use tracing::error;

/// What browsers are told with every reply: what Helmet tells them in front of Backstage.
const SECURITY_HEADERS: [(HeaderName, &str); 9] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self';base-uri 'self';font-src 'self' https: data:;frame-ancestors 'self';\
         img-src 'self' data:;object-src 'none';script-src 'self' 'unsafe-eval';script-src-attr 'none';\
         style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::STRICT_TRANSPORT_SECURITY,
        "max-age=15552000; includeSubDomains",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_DNS_PREFETCH_CONTROL, "off"),
    (HeaderName::from_static("x-download-options"), "noopen"),
    (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    (
        HeaderName::from_static("x-permitted-cross-domain-policies"),
        "none",
    ),
    (header::X_XSS_PROTECTION, "0"),
];

/// What a request ends with when it does not succeed.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    name: &'static str,
    message: String,
    internal: Option<String>,
    retry_after_s: Option<u32>,
}

impl ApiError {
    /// Any status with any error name.
    pub(crate) fn new(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            name,
            message: message.into(),
            internal: None,
            retry_after_s: None,
        }
    }

    /// What the client reads.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// 400.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InputError", message)
    }

    /// 401.
    pub(crate) fn unauthenticated(message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "AuthenticationError", message)
    }

    /// 403.
    pub(crate) fn not_allowed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "NotAllowedError", message)
    }

    /// 404 with a body.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFoundError", message)
    }

    /// 409.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ConflictError", message)
    }

    /// 408.
    pub(crate) fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "RequestTimeoutError",
            "the request body came too slowly; send it again",
        )
    }

    /// 413.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "PayloadTooLargeError",
            message,
        )
    }

    /// 415.
    pub(crate) fn unsupported_encoding() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaTypeError",
            "compressed request bodies are not accepted; send the body without content-encoding",
        )
    }

    /// 429.
    pub(crate) fn too_many(message: impl Into<String>) -> Self {
        Self {
            retry_after_s: Some(1),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequestsError",
                message,
            )
        }
    }

    /// Sets `Retry-After`, in seconds.
    pub(crate) fn after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    /// 503 with `Retry-After`.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self {
            retry_after_s: Some(2),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailableError",
                message,
            )
        }
    }

    /// 500; `internal` goes to the log only, the client gets a log id (l08).
    pub(crate) fn internal(internal: impl Into<String>) -> Self {
        Self {
            internal: Some(internal.into()),
            ..Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Error",
                "An internal error occurred",
            )
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        let internal = Some(with_sources(&error));
        let answer = match error {
            StorageError::Full { .. } => Self::unavailable(
                "the catalog's storage has no room; nothing was written, and reads go on. Try again when there is room",
            ),
            error if error.retryable() => {
                Self::unavailable("the catalog's storage is busy; try again")
            }
            _ => Self::internal(""),
        };
        Self { internal, ..answer }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        Self::input(error.to_string())
    }
}

impl From<FilterError> for ApiError {
    fn from(error: FilterError) -> Self {
        Self::input(error.to_string())
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of an [`ApiError`] that a handler or extractor answered. The outermost layer but the metrics.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let uri = request.uri().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<ApiError>() {
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let route = route.as_ref().map_or("none", MatchedPath::as_str);
        response = body_of(problem, method.as_str(), target, route);
    }
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn body_of(problem: ApiError, method: &str, target: &str, route: &str) -> Response {
    let mut message = problem.message;
    if let Some(internal) = &problem.internal {
        let log_id = crate::api::token::random_hex::<10>();
        error!(
            error.log_id = log_id,
            error.cause = internal,
            http.method = method,
            http.route = route,
            "request failed"
        );
        if problem.status == StatusCode::INTERNAL_SERVER_ERROR {
            message = format!("{message} logId={log_id}");
        }
    }
    let body = json!({
        "error": {"name": problem.name, "message": message},
        "request": {"method": method, "url": below_mount(target)},
        "response": {"statusCode": problem.status.as_u16()},
    });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = problem.status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(super::extract::JSON),
    );
    if let Some(seconds) = problem.retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The target as Backstage's plugin would see it: below `/tenants/{t}/api/catalog`. Targets of our own routes stay whole.
fn below_mount(target: &str) -> &str {
    mount_end(target).map_or(target, |end| &target[end..])
}

/// Where the catalog mount ends in a target that is below it.
pub(crate) fn mount_end(target: &str) -> Option<usize> {
    const MOUNT: &str = "/api/catalog";
    let tenant = target.strip_prefix("/tenants/")?;
    let rest = &tenant[tenant.find('/')?..];
    let below = rest.strip_prefix(MOUNT)?;
    (below.is_empty() || below.starts_with(['/', '?'])).then(|| target.len() - below.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_in_errors_are_relative_to_the_mount() {
        assert_eq!(
            below_mount("/tenants/a/api/catalog/entities?x=1"),
            "/entities?x=1"
        );
        assert_eq!(
            below_mount("/tenants/a/api/catalogue/entities"),
            "/tenants/a/api/catalogue/entities"
        );
        assert_eq!(below_mount("/admin/tenants"), "/admin/tenants");
    }

    #[test]
    fn l08_what_broke_in_storage_is_not_in_the_message() {
        let secret = "disk image is malformed at page 7";
        let error = StorageError::Failed {
            operation: "find",
            source: secret.into(),
        };
        let api = ApiError::from(error);
        assert!(!api.message.contains(secret));
        assert!(
            api.internal
                .is_some_and(|internal| internal.contains(secret))
        );
        assert_eq!(api.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
