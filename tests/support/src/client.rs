//! Requests to a host under test, with one token. Every request has a bound, so that a host that hangs fails a test and does
//! not hang it.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use serde_json::{Value, json};

/// Longest time of one request.
const REQUEST_BOUND: Duration = Duration::from_secs(60);

/// Sends requests as one actor.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    origin: String,
    token: Option<String>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Body as text; empty for none.
    pub body: String,
    /// Seconds of `Retry-After`, if it is there.
    pub retry_after: Option<u64>,
}

impl Reply {
    async fn of(answer: reqwest::Response) -> Result<Self, reqwest::Error> {
        let after = answer.headers().get(RETRY_AFTER);
        let after = after.and_then(|after| after.to_str().ok()?.parse().ok());
        Ok(Self {
            status: answer.status().as_u16(),
            retry_after: after,
            body: answer.text().await?,
        })
    }

    /// The body of a success.
    ///
    /// # Panics
    /// If the status is not 2xx, or the body is not JSON.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "status {}: {}",
            self.status,
            self.body
        );
        if self.body.is_empty() {
            return Value::Null;
        }
        self.json()
    }

    /// The body of an error of that status: `error.name` of the field's error body.
    ///
    /// # Panics
    /// If the status is another one.
    #[track_caller]
    pub fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        let body = self.json();
        assert!(
            body["error"]["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "an error has a message: {body}"
        );
        body["error"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The body.
    ///
    /// # Panics
    /// If it is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the body of {}: {}", self.status, self.body))
    }
}

impl Client {
    /// A client of the host at `origin`, such as `http://127.0.0.1:7007`.
    ///
    /// # Panics
    /// If the HTTP client cannot be built.
    pub fn new(origin: &str, token: Option<&str>) -> Self {
        // The client is built with rustls and no provider of its own; a second installation is refused, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: reqwest::Client::builder()
                .timeout(REQUEST_BOUND)
                .no_proxy()
                .build()
                .expect("an HTTP client"),
            origin: origin.to_owned(),
            token: token.map(str::to_owned),
        }
    }

    /// The same host with another token, or none.
    #[must_use]
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self {
            token: token.map(str::to_owned),
            ..self.clone()
        }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None).await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        let body = ("application/json", body.to_string().into_bytes());
        self.send(Method::POST, path, Some(body)).await
    }

    /// `PUT` of JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        let body = ("application/json", body.to_string().into_bytes());
        self.send(Method::PUT, path, Some(body)).await
    }

    /// `POST` of bytes, such as a component.
    pub async fn upload(&self, path: &str, bytes: Vec<u8>) -> Reply {
        self.send(
            Method::POST,
            path,
            Some(("application/octet-stream", bytes)),
        )
        .await
    }

    /// `POST` of lines of JSON.
    pub async fn ndjson(&self, path: &str, lines: &[Value]) -> Reply {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let body = ("application/x-ndjson", text.into_bytes());
        self.send(Method::POST, path, Some(body)).await
    }

    /// Adds entities as a provider does, in one committed delta mutation.
    pub async fn push(
        &self,
        tenant: &str,
        provider: &str,
        entities: impl IntoIterator<Item = Value>,
    ) -> Reply {
        let mut lines: Vec<Value> = entities
            .into_iter()
            .map(|entity| json!({"add": {"entity": entity}}))
            .collect();
        lines.push(json!({"commit": {"count": lines.len()}}));
        let path = format!("/tenants/{tenant}/providers/{provider}/mutations?type=delta");
        self.ndjson(&path, &lines).await
    }

    /// An entity by name, or `None`.
    ///
    /// # Panics
    /// On any answer but 200 and 404.
    pub async fn entity(&self, tenant: &str, entity_ref: &str) -> Option<Value> {
        let (kind, rest) = entity_ref.split_once(':').expect("a full ref");
        let path = format!("/tenants/{tenant}/api/catalog/entities/by-name/{kind}/{rest}");
        let reply = self.get(&path).await;
        (reply.status != 404).then(|| reply.ok())
    }

    /// Number of entities the index serves.
    pub async fn count(&self, tenant: &str) -> u64 {
        let path = format!("/tenants/{tenant}/api/catalog/entities/by-query?limit=1&fields=kind");
        self.get(&path).await.ok()["totalItems"]
            .as_u64()
            .expect("a total")
    }

    /// The processing state of every entity, ordered by ref.
    pub async fn processing(&self, tenant: &str) -> Vec<Value> {
        let mut states = Vec::new();
        let mut after = String::new();
        loop {
            let page = self
                .get(&format!("/tenants/{tenant}/processing?limit=1000{after}"))
                .await
                .ok();
            states.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={}", encoded(next)),
                None => return states,
            }
        }
    }

    /// The bytes behind a path, such as a component.
    ///
    /// # Panics
    /// If there is no good answer within the bound.
    pub async fn download(&self, path: &str) -> Vec<u8> {
        let reply = self.request(Method::GET, path).send().await;
        let reply = reply.and_then(reqwest::Response::error_for_status);
        let bytes = reply.expect("a good answer").bytes().await;
        bytes.expect("a whole body").to_vec()
    }

    /// The entity tag of what is behind a path.
    ///
    /// # Panics
    /// If there is no answer within the bound, or it has no tag.
    pub async fn etag(&self, path: &str) -> String {
        let reply = self.request(Method::GET, path).send().await;
        let reply = reply.expect("an answer");
        let tag = reply.headers().get("etag").expect("an entity tag");
        tag.to_str().expect("a printable tag").to_owned()
    }

    /// One request with headers of its own.
    ///
    /// # Panics
    /// If there is no answer within the bound.
    pub async fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Reply {
        let request = headers
            .iter()
            .fold(self.request(method, path), |request, (name, value)| {
                request.header(*name, *value)
            });
        let reply = request.body(body).send().await.expect("an answer");
        Reply::of(reply).await.expect("a whole body")
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.origin));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// One request.
    ///
    /// # Panics
    /// If there is no answer within the bound.
    pub async fn send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> Reply {
        self.try_send(method.clone(), path, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error:?}"))
    }

    /// One request that may fail, for hosts that are being killed.
    ///
    /// # Errors
    /// As the HTTP client says.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Reply, reqwest::Error> {
        let mut request = self.request(method, path);
        if let Some((content_type, bytes)) = body {
            request = request.header(CONTENT_TYPE, content_type).body(bytes);
        }
        Reply::of(request.send().await?).await
    }
}

/// Percent-encodes what a query may not hold as it is.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':' | b'/' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
