//! Proves that the daily audit mends what is damaged behind everybody's back, each kind of it, calls nobody where nothing
//! differs, and counts what it mends. The damage is done in SQL, as a defect, a restore or a hand would do it; entities are
//! processed by a stand-in that counts its calls.
#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use greenroom_model::{Entity, EntityRef, LocationRef, Relation, TenantId};
use greenroom_orchestrator::{
    EmittedChild, Job, Observed, Outcome, Processed, Read, Step, Suspended, Verdict,
};
use greenroom_processing::{
    Audit, Audited, Orchestrate, OrchestrateError, Pipelines, ReadAnswer, ReadSource,
    TenantPipeline, Wanted, process, stitch_batch,
};
use greenroom_storage::conformance::{TestClock, tenant};
use greenroom_storage::{
    Lane, Mutation, MutationKind, NewLocation, ProvidedEntity, Slots, Storage, WorkerId,
};
use greenroom_storage_sqlite::SqliteStorage;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A guest in miniature: an entity emits a child and a relation for each name in `spec.emits`.
#[derive(Default)]
struct Emits {
    calls: AtomicU32,
}

#[async_trait]
impl Orchestrate for Emits {
    async fn start(
        &self,
        _: &Arc<TenantPipeline>,
        _: Lane,
        job: Job,
    ) -> Result<Step, OrchestrateError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let entity = Entity::from_json(&job.entity).unwrap();
        let emits = entity.spec().and_then(|spec| spec.get("emits"));
        let names = emits.and_then(Value::as_array).into_iter().flatten();
        let children: Vec<EmittedChild> = names
            .map(|name| {
                let child = Entity::from_value(component(name.as_str().unwrap(), &[])).unwrap();
                EmittedChild {
                    entity_ref: child.entity_ref(),
                    entity: child,
                    location_key: None,
                    position: None,
                }
            })
            .collect();
        let relations = children
            .iter()
            .map(|child| Relation {
                source: entity.entity_ref(),
                r#type: "hasPart".into(),
                target: child.entity_ref.clone(),
            })
            .collect();
        Ok(Step::Done(Box::new(Outcome {
            verdict: Verdict::Processed(Box::new(Processed {
                entity,
                children,
                relations,
                refresh_keys: Vec::new(),
                caches: BTreeMap::new(),
                complete: true,
                may_pass: false,
            })),
            diagnostics: Vec::new(),
            faults: Vec::new(),
            trace: Vec::new(),
            cpu_us: 1,
            calls: 1,
            called: BTreeMap::new(),
            due_ms: None,
            observed: Observed::default(),
        })))
    }

    async fn resume(
        &self,
        _: &Arc<TenantPipeline>,
        _: Lane,
        _: Box<Suspended>,
        _: Vec<Read>,
    ) -> Result<Step, OrchestrateError> {
        Err(OrchestrateError::Stopping)
    }
}

#[async_trait]
impl ReadSource for Emits {
    async fn read(&self, _: Wanted<'_>) -> ReadAnswer {
        ReadAnswer::Read(Vec::new())
    }
}

fn component(name: &str, emits: &[&str]) -> Value {
    json!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component",
        "metadata": {"name": name}, "spec": {"emits": emits},
    })
}

fn entity_ref(name: &str) -> EntityRef {
    EntityRef::new("component", "default", name)
}

/// A catalog of one tenant: `system` emits `api` and `web`; `alone` emits nothing.
struct Catalog {
    storage: Arc<dyn Storage>,
    clock: Arc<TestClock>,
    pipelines: Pipelines,
    emits: Emits,
    tenant: TenantId,
    path: PathBuf,
    _directory: TempDir,
}

impl Catalog {
    async fn settled() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        let clock = Arc::new(TestClock::new());
        let storage: Arc<dyn Storage> =
            Arc::new(SqliteStorage::open(&path, clock.clone()).unwrap());
        let tenant = tenant(&*storage, "acme").await;
        let catalog = Self {
            pipelines: Pipelines::new(Arc::clone(&storage), Vec::new()),
            emits: Emits::default(),
            storage,
            clock,
            tenant,
            path,
            _directory: directory,
        };
        let roots = [
            component("system", &["api", "web"]),
            component("alone", &[]),
        ];
        let added = roots.map(|root| {
            let entity = Entity::from_value(root).unwrap();
            ProvidedEntity {
                entity_ref: entity.entity_ref(),
                unprocessed: entity.to_json(),
                location_key: None,
            }
        });
        let mutation = Mutation {
            kind: MutationKind::Full,
            added: added.into(),
            removed: Vec::new(),
        };
        let applied = catalog
            .storage
            .apply_mutation(tenant, "provider:p", mutation);
        assert_eq!(applied.await.unwrap().added, 2);
        assert_eq!(catalog.settle().await, 4);
        catalog
    }

    /// Runs, stitches and looks after orphans until nothing is due; how many calls that took.
    async fn settle(&self) -> u32 {
        let before = self.emits.calls.load(Ordering::SeqCst);
        let worker = WorkerId("w".into());
        loop {
            let claimed = self.storage.claim(&worker, 100, Slots::Any).await.unwrap();
            let mut idle = claimed.is_empty();
            for item in claimed {
                let pipeline = self.pipelines.of(self.tenant).await.unwrap();
                let run = process(
                    item,
                    &pipeline,
                    &self.emits,
                    &self.emits,
                    &*self.storage,
                    &*self.clock,
                );
                let record = run.await.unwrap().record;
                self.storage.record(vec![record]).await.unwrap();
            }
            idle &= self.storage.check_orphans(100).await.unwrap().checked == 0;
            idle &= stitch_batch(&*self.storage, 100).await.unwrap().is_none();
            if idle {
                return self.emits.calls.load(Ordering::SeqCst) - before;
            }
        }
    }

    /// A whole audit; what it mended. It calls nobody itself.
    async fn audit(&self) -> Audited {
        let before = self.emits.calls.load(Ordering::SeqCst);
        let mut audit = Audit::of(self.tenant);
        let mut sum = Audited::default();
        while !audit.is_done() {
            let step = audit.step(&*self.storage, &self.pipelines, &*self.clock);
            sum.add(step.await.unwrap());
        }
        assert_eq!(self.emits.calls.load(Ordering::SeqCst), before);
        sum
    }

    async fn finds_nothing(&self) {
        let audited = self.audit().await;
        let mended = audited.memos + audited.edges + audited.stitches;
        assert_eq!(mended, 0, "{audited:?}");
        assert_eq!(self.settle().await, 0);
    }

    fn damage(&self, sql: &str) {
        let conn = Connection::open(&self.path).unwrap();
        assert!(conn.execute(sql, []).unwrap() > 0, "{sql}");
    }

    async fn served(&self, name: &str) -> Option<Value> {
        let entity_ref = entity_ref(name);
        let found = self.storage.find_entity(self.tenant, &entity_ref).await;
        let found = found.unwrap()?;
        Some(serde_json::from_str(&found.body).unwrap())
    }

    async fn parents(&self, name: &str) -> Vec<String> {
        let entity_ref = entity_ref(name);
        let state = self.storage.find_processing(self.tenant, &entity_ref);
        state.await.unwrap().unwrap().parents
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn an_audit_of_what_is_whole_mends_nothing_and_calls_nobody() {
    block_on(async {
        let catalog = Catalog::settled().await;
        assert_eq!(catalog.audit().await.entities, 4);
        catalog.finds_nothing().await;
    });
}

/// A memo that is not that of the inputs, a memo that is gone, and work that is gone before it was done.
#[test]
fn a_damaged_memo_makes_one_run() {
    block_on(async {
        let catalog = Catalog::settled().await;
        for sql in [
            "UPDATE refresh_state SET memo = zeroblob(32) WHERE entity_ref = 'component:default/api'",
            "UPDATE refresh_state SET memo = NULL WHERE entity_ref = 'component:default/api'",
        ] {
            catalog.damage(sql);
            assert_eq!(catalog.audit().await.memos, 1, "{sql}");
            assert_eq!(catalog.settle().await, 1, "{sql}");
            catalog.finds_nothing().await;
        }
        let entity = Entity::from_value(component("new", &[])).unwrap();
        let mutation = Mutation {
            kind: MutationKind::Delta,
            added: vec![ProvidedEntity {
                entity_ref: entity.entity_ref(),
                unprocessed: entity.to_json(),
                location_key: None,
            }],
            removed: Vec::new(),
        };
        let applied = catalog
            .storage
            .apply_mutation(catalog.tenant, "provider:p", mutation);
        applied.await.unwrap();
        catalog.damage("DELETE FROM work");
        assert_eq!(catalog.settle().await, 0, "nobody knows of it");
        assert_eq!(catalog.audit().await.memos, 1);
        assert_eq!(catalog.settle().await, 1);
        assert!(catalog.served("new").await.is_some());
        catalog.finds_nothing().await;
    });
}

/// A tenant that is being queued as a whole has memos that differ; that is no damage.
#[test]
fn what_is_queued_is_left_alone() {
    block_on(async {
        let catalog = Catalog::settled().await;
        catalog.damage("UPDATE refresh_state SET memo = NULL");
        let queued = catalog.storage.enqueue_all(catalog.tenant).await.unwrap();
        assert_eq!(queued, 4);
        assert_eq!(catalog.audit().await.memos, 0);
        assert_eq!(catalog.settle().await, 4);
        catalog.finds_nothing().await;
    });
}

/// A lost edge, a foreign one, a lost relation: one run of the parent each, and its children are where they were.
#[test]
fn a_damaged_edge_comes_back_and_its_child_stays() {
    block_on(async {
        let catalog = Catalog::settled().await;
        let system = json!([
            {"type": "hasPart", "targetRef": "component:default/api"},
            {"type": "hasPart", "targetRef": "component:default/web"},
        ]);
        let uid = catalog.served("api").await.unwrap()["metadata"]["uid"].clone();
        for sql in [
            "DELETE FROM refresh_state_references WHERE target_entity_ref = 'component:default/api'",
            "INSERT INTO refresh_state_references (tenant_id, target_entity_ref, source_key, source_entity_ref)
             SELECT tenant_id, 'component:default/alone', '', 'component:default/system' FROM tenants",
            "DELETE FROM relations WHERE target_entity_ref = 'component:default/api'",
        ] {
            catalog.damage(sql);
            assert_eq!(catalog.audit().await.edges, 1, "{sql}");
            assert_eq!(catalog.settle().await, 1, "{sql}");
            assert_eq!(catalog.parents("api").await, ["component:default/system"]);
            assert_eq!(catalog.parents("alone").await, ["provider:p"]);
            let served = catalog.served("system").await.unwrap();
            assert_eq!(served["relations"], system, "{sql}");
            catalog.finds_nothing().await;
        }
        catalog.clock.advance(60_000);
        catalog.settle().await;
        let api = catalog.served("api").await.unwrap();
        assert_eq!(api["metadata"]["uid"], uid, "it was never an orphan");
    });
}

/// A mark as an orphan that is wrong either way.
#[test]
fn marks_of_orphans_are_what_edges_say() {
    block_on(async {
        let catalog = Catalog::settled().await;
        catalog.damage(
            "UPDATE refresh_state SET orphaned_at = 1 WHERE entity_ref = 'component:default/api'",
        );
        assert_eq!(catalog.audit().await.edges, 1);
        assert_eq!(catalog.settle().await, 0);
        catalog.finds_nothing().await;

        catalog.damage(
            "DELETE FROM refresh_state_references WHERE target_entity_ref = 'component:default/alone'",
        );
        assert_eq!(catalog.audit().await.edges, 1);
        assert_eq!(catalog.settle().await, 0);
        let alone = catalog.served("alone").await.unwrap();
        let mark = &alone["metadata"]["annotations"]["backstage.io/orphan"];
        assert_eq!(mark, "true");
        catalog.finds_nothing().await;
        catalog.clock.advance(31_000);
        catalog.settle().await;
        assert!(catalog.served("alone").await.is_none());
    });
}

/// A registered location is one as long as it is listed.
#[test]
fn a_registered_location_keeps_its_entity() {
    block_on(async {
        let catalog = Catalog::settled().await;
        let entity = json!({
            "apiVersion": "backstage.io/v1alpha1", "kind": "Location",
            "metadata": {"name": "generated-1"}, "spec": {},
        });
        let entity = Entity::from_value(entity).unwrap();
        let location = NewLocation {
            id: "1".into(),
            location: LocationRef::new("url", "https://h.test/a"),
            entity: ProvidedEntity {
                entity_ref: entity.entity_ref(),
                unprocessed: entity.to_json(),
                location_key: None,
            },
        };
        let added = catalog.storage.add_location(catalog.tenant, location);
        added.await.unwrap();
        assert_eq!(catalog.settle().await, 1);
        catalog.damage("DELETE FROM refresh_state_references WHERE source_key = 'locations'");
        assert_eq!(catalog.audit().await.edges, 1);
        catalog.clock.advance(31_000);
        assert_eq!(catalog.settle().await, 0);
        let entity_ref = entity.entity_ref();
        let served = catalog.storage.find_entity(catalog.tenant, &entity_ref);
        assert!(served.await.unwrap().is_some());
        catalog.finds_nothing().await;
    });
}

/// A served body that is not what would be stitched, one that is gone, and one that stands for nothing.
#[test]
fn a_damaged_stitch_is_served_right_again_and_logged() {
    block_on(async {
        let catalog = Catalog::settled().await;
        let right = catalog.served("web").await.unwrap();
        for sql in [
            "UPDATE final_entities SET final_entity = '{}' WHERE entity_ref = 'component:default/web'",
            "UPDATE final_entities SET etag = 'x' WHERE entity_ref = 'component:default/web'",
            "DELETE FROM final_entities WHERE entity_ref = 'component:default/web'",
        ] {
            let log = catalog.storage.log_position(catalog.tenant).await.unwrap();
            catalog.damage(sql);
            assert_eq!(catalog.audit().await.stitches, 1, "{sql}");
            assert_eq!(catalog.settle().await, 0, "{sql}");
            assert_eq!(catalog.served("web").await.unwrap(), right, "{sql}");
            let changes = catalog.storage.changes_after(catalog.tenant, log.seq, 10);
            let changes = changes.await.unwrap().unwrap();
            assert_eq!(changes.len(), 1, "followers are told: {sql}");
            catalog.finds_nothing().await;
        }
        catalog.damage(
            "INSERT INTO final_entities (tenant_id, entity_id, entity_ref, etag, final_entity)
             SELECT tenant_id, 'ffffffff', 'component:default/stray', 'x', '{}' FROM tenants",
        );
        assert!(catalog.served("stray").await.is_some());
        assert_eq!(catalog.audit().await.stitches, 1);
        catalog.settle().await;
        assert!(catalog.served("stray").await.is_none());
        catalog.finds_nothing().await;
    });
}
