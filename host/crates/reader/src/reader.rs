//! A read from beginning to end: gates, mapping, redirects, body.
//!
//! Redirects are followed here and not by the HTTP client, because each one is a new URL that passes
//! every gate again. The credential goes to the origin of the first request; once the chain has left
//! that origin it is gone, also if the chain returns.

use std::sync::Arc;

use bytes::Bytes;
use greenroom_model::Digest;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{StatusCode, Url};

use crate::classify::{stop_for_error, stop_for_status};
use crate::conditional::Conditional;
use crate::grant::Grant;
use crate::listing;
use crate::mapping::{FirstRequest, content_request};
use crate::outcome::{ReadOutcome, Stop, Want};
use crate::policy::{ReadPolicy, Route};
use crate::resolver::{NameLookup, SystemNames};
use crate::transport::{ReaderConfig, ReaderError, Transport, check_literal};

/// Redirects followed in one read.
const REDIRECTS: usize = 5;
/// Longest URL, wanted or redirected to, in bytes.
const URL_BYTES: usize = 8 << 10;

/// Reads URLs. One per process; cheap to share, holds connection pools and nothing of a tenant.
pub struct Reader {
    transport: Transport,
}

/// What the last hop of a chain gave.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    pub(crate) url: Url,
    pub(crate) conditional: Conditional,
}

/// The two gates that a tenant and a processor bring.
#[derive(Clone, Copy)]
pub(crate) struct Gates<'a> {
    pub(crate) policy: &'a ReadPolicy,
    pub(crate) grant: &'a Grant,
}

impl Reader {
    /// A reader that looks names up with the operating system.
    ///
    /// # Errors
    /// [`ReaderError`] when certificates or the HTTP client cannot be set up.
    pub fn new(config: ReaderConfig) -> Result<Reader, ReaderError> {
        Reader::with_names(config, Arc::new(SystemNames))
    }

    /// A reader that looks names up with `names`.
    ///
    /// # Errors
    /// As [`Reader::new`].
    pub fn with_names(
        config: ReaderConfig,
        names: Arc<dyn NameLookup>,
    ) -> Result<Reader, ReaderError> {
        Ok(Reader {
            transport: Transport::new(config, names)?,
        })
    }

    /// Reads `want` under the tenant's `policy` and the processor's `grant`.
    ///
    /// `conditional` is what the last read of the same (tenant, credential, want) returned; with it
    /// the answer may be [`ReadOutcome::NotModified`]. Returns within the total timeout. Needs a
    /// Tokio runtime with time and I/O.
    pub async fn read(
        &self,
        policy: &ReadPolicy,
        grant: &Grant,
        want: &Want,
        conditional: Option<&Conditional>,
    ) -> ReadOutcome {
        let gates = Gates { policy, grant };
        let read = async {
            match want {
                Want::Get(target) => self.get(gates, target, conditional).await,
                Want::List(pattern) => listing::list(self, gates, pattern, conditional).await,
            }
        };
        let limit = self.transport.config().total_timeout;
        let ended = tokio::time::timeout(limit, Box::pin(read)).await;
        ended
            .unwrap_or_else(|_| {
                let seconds = limit.as_secs();
                Err(Stop::unavailable(format!(
                    "the read took longer than {seconds} s"
                )))
            })
            .unwrap_or_else(ReadOutcome::from)
    }

    /// Reads one document.
    pub(crate) async fn get(
        &self,
        gates: Gates<'_>,
        target: &str,
        conditional: Option<&Conditional>,
    ) -> Result<ReadOutcome, Stop> {
        let url = parse_target(target)?;
        check_grant(gates.grant, &url)?;
        let (request, shown) = match gates.policy.route(&url)? {
            Route::Plain => (FirstRequest::plain(url), None),
            Route::Source(integration, kind, source) => {
                (content_request(integration, kind, &source)?, Some(url))
            }
        };
        let fetched = self.fetch(gates, request, conditional).await?;
        Ok(ReadOutcome::Document {
            digest: Digest::of(&fetched.bytes),
            bytes: Bytes::from(fetched.bytes),
            // A mapped URL is told as the browser shows it: relative targets start from there.
            final_url: shown.unwrap_or(fetched.url).to_string(),
            conditional: fetched.conditional,
        })
    }

    /// Follows a chain to its document.
    ///
    /// The first URL has passed policy and grant, or was made from one that has; later ones pass
    /// both here. Literal addresses are checked at every hop, names by the resolver.
    pub(crate) async fn fetch(
        &self,
        gates: Gates<'_>,
        request: FirstRequest,
        conditional: Option<&Conditional>,
    ) -> Result<Fetched, Stop> {
        let FirstRequest {
            mut url,
            headers,
            mut credential,
            is_api,
        } = request;
        check_first(gates.policy, &url)?;
        let home = url.origin();
        let networks = gates.policy.networks();
        let client = self
            .transport
            .client(networks)
            .map_err(|_| Stop::unavailable("the HTTP client cannot be set up"))?;
        for _ in 0..=REDIRECTS {
            check_literal(&url, networks)?;
            let condition = conditional
                .map(|stored| stored.headers_for(&url))
                .unwrap_or_default();
            let asked = !condition.is_empty();
            let response = client
                .get(url.clone())
                .headers(headers.clone())
                .headers(credential.clone())
                .headers(condition)
                .send()
                .await
                .map_err(|error| stop_for_error(&error, &url))?;
            let status = response.status();
            if status == StatusCode::OK {
                let body = self.transport.body(response).await?;
                let conditional = Conditional::of_answer(&url, &body.headers);
                return Ok(Fetched {
                    bytes: body.bytes,
                    url,
                    conditional,
                });
            }
            if !is_redirect(status) {
                return Err(stop_for_status(&response, asked));
            }
            let next = redirect_target(&url, response.headers())?;
            let at_home = next.origin() == home;
            check_redirect(gates, &url, &next, is_api && at_home)?;
            if !at_home {
                credential = HeaderMap::new();
            }
            url = next;
        }
        Err(Stop::refused(format!("more than {REDIRECTS} redirects")))
    }
}

/// Parses a wanted URL. The fragment is dropped: it never reaches a server.
pub(crate) fn parse_target(target: &str) -> Result<Url, Stop> {
    if target.len() > URL_BYTES {
        return Err(Stop::refused(format!(
            "the URL is longer than {URL_BYTES} bytes"
        )));
    }
    let mut url = Url::parse(target)
        .map_err(|_| Stop::refused("not an absolute URL; write it like `https://host/path`"))?;
    check_shape(&url)?;
    url.set_fragment(None);
    Ok(url)
}

fn check_shape(url: &Url) -> Result<(), Stop> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Stop::refused("only http and https URLs are read"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Stop::refused(
            "a URL with user info is not read; configure an integration",
        ));
    }
    Ok(())
}

pub(crate) fn check_grant(grant: &Grant, url: &Url) -> Result<(), Stop> {
    if grant.permits(url) {
        return Ok(());
    }
    let host = url.host_str().unwrap_or_default();
    Err(Stop::refused(format!(
        "the URL at `{host}` is outside what this processor may read; widen its grant"
    )))
}

/// A plain-http request, also one made from an integration's base URL, needs `reading.allow`.
fn check_first(policy: &ReadPolicy, url: &Url) -> Result<(), Stop> {
    if url.scheme() == "https" || policy.allows(url) {
        return Ok(());
    }
    Err(Stop::refused(
        "a plain-http URL is read only if `reading.allow` names its host",
    ))
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn redirect_target(from: &Url, headers: &HeaderMap) -> Result<Url, Stop> {
    let malformed = || Stop::refused("a redirect that names no usable URL");
    let text = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let text = text
        .filter(|text| text.len() <= URL_BYTES)
        .ok_or_else(malformed)?;
    let mut next = from.join(text).map_err(|_| malformed())?;
    next.set_fragment(None);
    Ok(next)
}

fn check_redirect(gates: Gates<'_>, from: &Url, next: &Url, at_api: bool) -> Result<(), Stop> {
    check_shape(next)?;
    if from.scheme() == "https" && next.scheme() != "https" {
        return Err(Stop::refused("a redirect from https to http"));
    }
    let refuse = |why: &str| {
        let host = next.host_str().unwrap_or_default();
        Stop::refused(format!(
            "a redirect to `{host}`, which {why}; give the new URL"
        ))
    };
    // An integration names its API without an entry of its own.
    if !at_api && !gates.policy.names(next) {
        return Err(refuse("is not configured for reading"));
    }
    if !gates.grant.permits(next) {
        return Err(refuse("is outside what this processor may read"));
    }
    Ok(())
}
