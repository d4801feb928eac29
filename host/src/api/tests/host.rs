//! The router over a fresh SQLite catalog, for tests of the edge.
//!
//! Entities become final here through a stand-in for the worker: it claims what is due and stitches it unprocessed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use greenroom_model::{Clock, Diagnostic, Digest, ProcessorName, TenantId, TenantName, Timestamp};
use greenroom_storage::{
    Claimed, Failure, FinalEntity, NewTenant, NewToken, RevisionState, RunCalls, RunRecord,
    RunResult, Scope, Slots, StitchInput, Stitched, Storage, Success, WorkerId,
};
use greenroom_storage_sqlite::SqliteStorage;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::api::tests::documented;
use crate::api::token::new_token;
use crate::api::{ApiParts, BundledListing, Edge};
use crate::lifecycle::Lifecycle;
use crate::supervisor::Wakes;

/// A clock that stands until it is moved.
pub(super) struct HostClock(AtomicI64);

impl HostClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_800_000_000_000)))
    }

    pub(super) fn advance(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::Relaxed);
    }
}

impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Tasks that the router starts and that end with the process.
pub(super) const ROUTER_TASKS: usize = 5;

/// A host without workers, with tenants `a` and `b`.
pub(super) struct Host {
    router: Router,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) clock: Arc<HostClock>,
    pub(super) tenant: TenantId,
    pub(super) tenant_b: TenantId,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) operator: String,
    directory: Arc<TempDir>,
}

/// An answer, read whole.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) bytes: Vec<u8>,
    /// The body as text, if it is.
    pub(super) text: String,
}

/// One that is on by default, and one that is not and has a configuration.
fn bundled() -> Vec<BundledListing> {
    let listing = |name: &str, on_by_default, config_schema| BundledListing {
        name: ProcessorName::parse(name).unwrap(),
        digest: Digest::of(name),
        summary: Some(format!("Is {name}.")),
        priority: 20,
        config_schema,
        on_by_default,
    };
    let schema = json!({
        "type": "object", "required": ["rules"], "properties": {"rules": {"type": "array"}}
    });
    vec![
        listing("builtin-kinds", true, None),
        listing("required-fields", false, Some(schema.to_string())),
    ]
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }
}

impl Host {
    pub(super) async fn new() -> Self {
        let directory = Arc::new(TempDir::new().unwrap());
        let clock = HostClock::new();
        let storage = open(directory.path(), &clock);
        let tenant = storage
            .create_tenant(new_tenant("a"))
            .await
            .unwrap()
            .unwrap()
            .id;
        let tenant_b = storage
            .create_tenant(new_tenant("b"))
            .await
            .unwrap()
            .unwrap()
            .id;
        let mut host = Self::over(storage, clock, directory, (tenant, tenant_b));
        host.operator = host.token(None, &[Scope::Operator]).await;
        host
    }

    /// Another process over the same catalog.
    pub(super) fn another(&self) -> Self {
        let storage = open(self.directory.path(), &self.clock);
        let (clock, directory) = (Arc::clone(&self.clock), Arc::clone(&self.directory));
        let mut host = Self::over(storage, clock, directory, (self.tenant, self.tenant_b));
        host.operator.clone_from(&self.operator);
        host
    }

    fn over(
        storage: Arc<dyn Storage>,
        clock: Arc<HostClock>,
        directory: Arc<TempDir>,
        (tenant, tenant_b): (TenantId, TenantId),
    ) -> Self {
        let lifecycle = Lifecycle::new();
        let parts = ApiParts {
            storage: Arc::clone(&storage),
            clock: clock.clone(),
            lifecycle: Arc::clone(&lifecycle),
            wakes: Wakes::default(),
            workers: None,
            bundled: bundled(),
            sheet: Arc::default(),
        };
        Self {
            router: Edge::start(parts).router(),
            storage,
            clock,
            tenant,
            tenant_b,
            lifecycle,
            operator: String::new(),
            directory,
        }
    }

    /// Size of the database's write-ahead log.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test looks at the file of its database"
    )]
    pub(super) fn log_bytes(&self) -> u64 {
        let log = self.directory.path().join("db-wal");
        std::fs::metadata(log).map_or(0, |log| log.len())
    }

    /// A token of tenant `a`, or an operator's.
    pub(super) async fn token(&self, tenant: Option<TenantId>, scopes: &[Scope]) -> String {
        let made = new_token();
        let token = NewToken {
            id: made.id,
            tenant,
            name: String::new(),
            secret_hash: made.secret_hash,
            scopes: scopes.to_vec(),
            not_before: None,
            expires_at: None,
        };
        self.storage.create_token(token).await.unwrap();
        made.text
    }

    /// Every answer that a test gets is one that the document tells of.
    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = self.send_unchecked(request).await;
        documented::check(method.as_str(), &path, &answer);
        answer
    }

    /// An answer whose body may never end.
    pub(super) async fn begin(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn send_unchecked(&self, request: Request<Body>) -> Answer {
        let response = self.begin(request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            bytes: bytes.to_vec(),
        }
    }

    /// A request with the operator's token and perhaps a JSON body.
    pub(super) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call_as(&self.operator, method, path, body).await
    }

    pub(super) async fn call_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    /// A request to the catalog of tenant `a`.
    pub(super) async fn catalog(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call(method, &format!("/tenants/a/api/catalog{path}"), body)
            .await
    }

    /// Uploads a component that no other test has and says it is ready, with a schema of its configuration; its number.
    pub(super) async fn revision(&self, processor: &str, schema: Option<&str>) -> u32 {
        let unique = uuid::Uuid::new_v4();
        let bytes = [b"\0asm\x0d\0\x01\0".as_slice(), unique.as_bytes()].concat();
        let path = format!("/tenants/a/processors/{processor}/revisions?wait=0");
        let request = Request::post(path)
            .header("authorization", format!("Bearer {}", self.operator))
            .body(Body::from(bytes))
            .unwrap();
        let answer = self.send(request).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let number = answer.json()["number"].as_u64().unwrap();
        let number = u32::try_from(number).unwrap();
        let descriptor = json!({
            "track": "0.1", "stages": ["pre-process"], "subscription": [], "locationTypes": [], "priority": 20,
            "configSchema": schema, "time": null, "summary": null,
        });
        let ready = RevisionState::Ready {
            descriptor: descriptor.to_string(),
        };
        assert!(self.finish_inspection(processor, number, ready).await);
        number
    }

    /// Does the worker's part of an upload.
    pub(super) async fn finish_inspection(
        &self,
        processor: &str,
        number: u32,
        state: RevisionState,
    ) -> bool {
        let name = ProcessorName::parse(processor).unwrap();
        let finished = self
            .storage
            .finish_inspection(self.tenant, &name, number, state);
        finished.await.unwrap()
    }

    /// Gives entities as a provider does, and serves them.
    pub(super) async fn provide(&self, entities: &[Value]) {
        self.queue(entities).await;
        self.work().await;
    }

    /// Gives entities as a provider does.
    pub(super) async fn queue(&self, entities: &[Value]) {
        let mut lines: Vec<String> = entities
            .iter()
            .map(|entity| json!({"add": {"entity": entity}}).to_string())
            .collect();
        lines.push(json!({"commit": {"count": entities.len()}}).to_string());
        let request = Request::post("/tenants/a/providers/test/mutations?type=delta")
            .header("authorization", format!("Bearer {}", self.operator))
            .body(Body::from(lines.join("\n")))
            .unwrap();
        let answer = self.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// Waits until what requests left behind is cleared away: only the three tasks of the router itself are left.
    pub(super) async fn quiet(&self) {
        while self.lifecycle.tasks() > ROUTER_TASKS {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// The result of processing an entity to itself.
    pub(super) fn as_it_is(&self, claimed: &Claimed) -> Success {
        Success {
            memo: Digest::of(claimed.unprocessed.as_bytes()),
            processed: claimed.unprocessed.clone(),
            trace: Vec::new(),
            caches: "{}".into(),
            relations: Vec::new(),
            refresh_keys: Vec::new(),
            children: Vec::new(),
            complete: true,
            diagnostics: Vec::new(),
            due: None,
        }
    }

    /// Does the worker's part: every due entity is processed to itself and stitched.
    pub(super) async fn work(&self) {
        let worker = WorkerId("test".into());
        self.storage.renew_lease(&worker).await.unwrap();
        loop {
            let claimed = self.storage.claim(&worker, 100, Slots::Any).await.unwrap();
            if claimed.is_empty() {
                break;
            }
            let records = claimed.into_iter().map(|claimed| RunRecord {
                result: RunResult::Succeeded(Box::new(self.as_it_is(&claimed))),
                claim: claimed.claim,
                faults: Vec::new(),
                cpu_us: 1,
                calls: RunCalls::default(),
            });
            self.storage.record(records.collect()).await.unwrap();
        }
        self.stitch().await;
    }

    /// Does the worker's part for one due entity: its run is rejected. Others are left queued.
    pub(super) async fn fail(&self, entity_ref: &str, message: &str) {
        let worker = WorkerId("test".into());
        self.storage.renew_lease(&worker).await.unwrap();
        for claimed in self.storage.claim(&worker, 100, Slots::Any).await.unwrap() {
            if claimed.entity_ref.as_str() != entity_ref {
                continue;
            }
            let failure = Failure {
                diagnostics: vec![Diagnostic::error("InputError", message.to_owned())],
                memo: Some(Digest::of(claimed.unprocessed.as_bytes())),
                trace: Vec::new(),
                retry_at: None,
                dead_letter: false,
            };
            let record = RunRecord {
                claim: claimed.claim,
                result: RunResult::Rejected(Box::new(failure)),
                faults: Vec::new(),
                cpu_us: 1,
                calls: RunCalls::default(),
            };
            self.storage.record(vec![record]).await.unwrap();
        }
        self.storage.expire_worker(&worker).await.unwrap();
        self.stitch().await;
    }

    async fn stitch(&self) {
        loop {
            let inputs = self.storage.claim_stitches(100).await.unwrap();
            if inputs.is_empty() {
                return;
            }
            let results = inputs.into_iter().map(|input| {
                let stitched = stitched(&input);
                (input, stitched)
            });
            self.storage
                .record_stitches(results.collect())
                .await
                .unwrap();
        }
    }
}

fn stitched(input: &StitchInput) -> Stitched {
    let (Some(uid), Some(processed)) = (&input.uid, &input.processed) else {
        return Stitched::Abandoned;
    };
    let mut body: Value = serde_json::from_str(processed).unwrap();
    body["metadata"]["uid"] = uid.as_str().into();
    body["relations"] = json!([]);
    let body = body.to_string();
    let etag = Digest::of(body.as_bytes()).to_string();
    Stitched::Changed(FinalEntity {
        uid: uid.clone(),
        entity_ref: input.entity_ref.clone(),
        etag,
        body: body.into(),
    })
}

fn open(directory: &Path, clock: &Arc<HostClock>) -> Arc<dyn Storage> {
    Arc::new(SqliteStorage::open(&directory.join("db"), clock.clone()).unwrap())
}

pub(super) fn new_tenant(name: &str) -> NewTenant {
    NewTenant {
        name: TenantName::parse(name).unwrap(),
        secret: [0; 32],
        epoch: format!("epoch-{name}"),
    }
}
