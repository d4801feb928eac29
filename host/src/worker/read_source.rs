//! Reads for runs: from what is stored, else from outside, and stored then (DESIGN §3.4). Also how a stored read is looked
//! at again, which [`super::revalidation`] schedules.
//!
//! A stored read is current until its next time; that is what schedules reads and not entities. Credentials, policies and
//! roots are this process's configuration; grants are the pipeline's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use greenroom_model::{Clock, Digest, LocationRef, ProcessorName, TenantId, TenantName, Timestamp};
use greenroom_orchestrator::{
    Read, ReadOutcome as GuestOutcome, Want, WantedReads, outcome_digest,
};
use greenroom_processing::{
    Grant, ReadAnswer, ReadSource, Reading, TenantPipeline, Wanted, jittered_interval_ms,
};
use greenroom_reader as reader;
use greenroom_reader::{Conditional, FileReader, ReadOutcome, ReadPolicy, Reader};
use greenroom_storage::{ReadKey, Storage, StoredOutcome, StoredRead};
use url::Url;

use super::source_shares::{NotNow, Source, SourceShares};

/// Largest body that is kept; a larger one is fetched again when it is needed (DESIGN §2, R8).
const KEPT_BODY_BYTES: usize = 1024 * 1024;
/// Wait after a source that could not answer and said nothing about when.
const RETRY_MS: u64 = 10_000;
/// Begins the credential of a key under which a refusal by a grant is kept; no credential's digest does.
const OUTSIDE_GRANT: &str = "outside grant of ";
/// When such a refusal is looked at, in milliseconds: a day, to be kept and no more.
const REFUSAL_MS: i64 = 86_400_000;
/// Longest wait that a source may ask for (r10).
const RETRY_MOST_MS: u64 = 3_600_000;

/// Reads of all tenants, over storage.
pub struct StoredReads {
    storage: Arc<dyn Storage>,
    reader: Reader,
    files: Arc<FileReader>,
    policies: BTreeMap<TenantName, ReadPolicy>,
    /// Tenants that are in no configuration read nothing.
    closed: ReadPolicy,
    shares: SourceShares,
    /// Looks outside: read, unchanged, unavailable.
    looks: [AtomicU64; 3],
    clock: Arc<dyn Clock>,
}

/// What looking outside gave.
pub(crate) enum Looked {
    /// An outcome to store.
    Read(Box<StoredRead>, GuestOutcome),
    /// The source says nothing changed since the condition.
    Unchanged,
    /// It cannot answer now.
    Unavailable { retry_at: Timestamp, reason: String },
}

impl StoredReads {
    /// Reads through `reader` and `files` under each tenant's policy.
    pub fn new(
        storage: Arc<dyn Storage>,
        reader: Reader,
        files: Arc<FileReader>,
        policies: BTreeMap<TenantName, ReadPolicy>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            storage,
            reader,
            files,
            policies,
            closed: ReadPolicy::default(),
            shares: SourceShares::default(),
            looks: Default::default(),
            clock,
        })
    }

    async fn policy(&self, tenant: TenantId) -> &ReadPolicy {
        let name = self
            .storage
            .find_tenant_by_id(tenant)
            .await
            .ok()
            .flatten()
            .map(|tenant| tenant.name);
        name.and_then(|name| self.policies.get(&name))
            .unwrap_or(&self.closed)
    }

    async fn read_one(
        &self,
        wanted: &Wanted<'_>,
        policy: &ReadPolicy,
        grant: &reader::Grant,
        want: &Want,
        stored: Option<StoredRead>,
    ) -> Result<Reading, ReadAnswer> {
        let (Want::Get(target) | Want::List(target)) = want;
        let tenant = wanted.tenant;
        if !grant.permits_target(target) {
            return self.refuse(tenant, &wanted.reads.processor, want).await;
        }
        let key = key(policy, want);
        if let Some(outcome) = stored.and_then(|stored| usable(stored, want)) {
            return Ok(Reading {
                key,
                read: Read {
                    want: want.clone(),
                    outcome,
                },
            });
        }
        match self.look(tenant, policy, grant, &key, want, None).await {
            Looked::Read(read, outcome) => {
                self.put(tenant, *read).await?;
                Ok(Reading {
                    key,
                    read: Read {
                        want: want.clone(),
                        outcome,
                    },
                })
            }
            Looked::Unavailable { retry_at, reason } => {
                Err(ReadAnswer::Unavailable { retry_at, reason })
            }
            Looked::Unchanged => Err(ReadAnswer::Unavailable {
                retry_at: self.clock.now().plus_ms(1_000),
                reason: format!(
                    "{}: answered an unconditional request with not-modified",
                    text(want)
                ),
            }),
        }
    }

    /// What lies outside a grant is refused without looking. It is kept under a key of that processor's, so that it never
    /// stands in for what another may read; grants are in the memo, so there is nothing to look at again.
    async fn refuse(
        &self,
        tenant: TenantId,
        processor: &ProcessorName,
        want: &Want,
    ) -> Result<Reading, ReadAnswer> {
        let (Want::Get(target) | Want::List(target)) = want;
        let outcome = GuestOutcome::Refused(format!(
            "`{target}` is outside what `{processor}` may read for this entity: add it to the processor's grants"
        ));
        let key = ReadKey {
            credential: format!("{OUTSIDE_GRANT}{processor}"),
            want: text(want),
        };
        let read = StoredRead {
            key: key.clone(),
            digest: outcome_digest(&outcome),
            outcome: stored(&outcome),
            etag: None,
            last_modified: None,
            next_due: self.clock.now().plus_ms(REFUSAL_MS),
        };
        self.put(tenant, read).await?;
        Ok(Reading {
            key,
            read: Read {
                want: want.clone(),
                outcome,
            },
        })
    }

    async fn put(&self, tenant: TenantId, read: StoredRead) -> Result<(), ReadAnswer> {
        let put = self.storage.put_read(tenant, read).await;
        put.map_err(|error| ReadAnswer::Unavailable {
            retry_at: self.clock.now().plus_ms(1_000),
            reason: format!("storage: {error}"),
        })
    }

    /// Reads outside, within the tenant's share of the source, and counts it.
    pub(crate) async fn look(
        &self,
        tenant: TenantId,
        policy: &ReadPolicy,
        grant: &reader::Grant,
        key: &ReadKey,
        want: &Want,
        condition: Option<&Conditional>,
    ) -> Looked {
        let looked = self
            .look_outside(tenant, policy, grant, key, want, condition)
            .await;
        let [read, unchanged, unavailable] = &self.looks;
        let count = match looked {
            Looked::Read(..) => read,
            Looked::Unchanged => unchanged,
            Looked::Unavailable { .. } => unavailable,
        };
        count.fetch_add(1, Ordering::Relaxed);
        looked
    }

    async fn look_outside(
        &self,
        tenant: TenantId,
        policy: &ReadPolicy,
        grant: &reader::Grant,
        key: &ReadKey,
        want: &Want,
        condition: Option<&Conditional>,
    ) -> Looked {
        let outside = match want {
            Want::Get(target) => reader::Want::Get(target.clone()),
            Want::List(pattern) => reader::Want::List(pattern.clone()),
        };
        let source = source_of(key, want);
        if let Some(source) = &source
            && let Err(NotNow { retry_at, reason }) =
                self.shares.take(tenant, source, self.clock.now())
        {
            return Looked::Unavailable { retry_at, reason };
        }
        let outcome = if is_file(want) {
            let (files, grant) = (Arc::clone(&self.files), grant.clone());
            let read = tokio::task::spawn_blocking(move || files.read(&grant, &outside)).await;
            read.unwrap_or_else(|error| ReadOutcome::Unavailable {
                reason: error.to_string(),
                retry_after_ms: None,
            })
        } else {
            self.reader.read(policy, grant, &outside, condition).await
        };
        let now = self.clock.now();
        let (guest, condition) = match outcome {
            ReadOutcome::Document {
                bytes,
                digest,
                final_url,
                conditional,
            } => {
                let body: Arc<[u8]> = bytes.as_ref().into();
                (
                    GuestOutcome::Document {
                        body,
                        final_url,
                        digest,
                    },
                    Some(conditional),
                )
            }
            ReadOutcome::Listing { targets, .. } => (GuestOutcome::Listing(targets), None),
            ReadOutcome::NotFound => (GuestOutcome::NotFound, None),
            ReadOutcome::Refused { reason } => (GuestOutcome::Refused(reason), None),
            ReadOutcome::NotModified => return Looked::Unchanged,
            ReadOutcome::Unavailable {
                reason,
                retry_after_ms,
            } => {
                let wait = retry_after_ms
                    .unwrap_or(RETRY_MS)
                    .clamp(1_000, RETRY_MOST_MS);
                let retry_at = now.plus_ms(i64::try_from(wait).unwrap_or(i64::MAX));
                if let (Some(source), Some(_)) = (&source, retry_after_ms) {
                    self.shares.pause(tenant, source, retry_at);
                }
                return Looked::Unavailable {
                    retry_at,
                    reason: format!("{}: {reason}", text(want)),
                };
            }
        };
        let read = StoredRead {
            key: key.clone(),
            digest: outcome_digest(&guest),
            outcome: stored(&guest),
            etag: condition
                .as_ref()
                .and_then(|condition| condition.etag.clone()),
            last_modified: condition.and_then(|condition| condition.last_modified),
            next_due: now.plus_ms(jittered_interval_ms(&key.want, now)),
        };
        Looked::Read(Box::new(read), guest)
    }

    /// Looks at a stored read again, on its schedule. Whoever used it was granted it.
    pub(crate) async fn look_again(&self, tenant: TenantId, read: &StoredRead) -> Option<Looked> {
        if read.key.credential.starts_with(OUTSIDE_GRANT) {
            return None;
        }
        let want = want_of(&read.key)?;
        let policy = self.policy(tenant).await;
        let condition = match &read.outcome {
            StoredOutcome::Document { final_url, .. } => Some(Conditional {
                url: final_url.clone(),
                etag: read.etag.clone(),
                last_modified: read.last_modified.clone(),
            }),
            StoredOutcome::Listing(_) | StoredOutcome::NotFound | StoredOutcome::Refused(_) => None,
        };
        Some(
            self.look(
                tenant,
                policy,
                &reader::Grant::everything(),
                &read.key,
                &want,
                condition.as_ref(),
            )
            .await,
        )
    }

    /// How many sources are remembered, and about how many bytes they hold.
    pub(crate) fn held(&self) -> (usize, usize) {
        self.shares.held()
    }

    /// How many looks there were, by how they ended.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 3] {
        let [read, unchanged, unavailable] = &self.looks;
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        [
            ("read", count(read)),
            ("unchanged", count(unchanged)),
            ("unavailable", count(unavailable)),
        ]
    }

    /// Forgets what need not be remembered of sources.
    pub(crate) fn sweep(&self) {
        self.shares.sweep(self.clock.now());
    }

    /// What a processor may read for one entity.
    fn grant(
        &self,
        policy: &ReadPolicy,
        pipeline: &TenantPipeline,
        wanted: &WantedReads,
    ) -> reader::Grant {
        let own = match &wanted.target {
            Some(target) => self.place(policy, target, wanted),
            None => reader::Grant::default(),
        };
        let granted = pipeline
            .grants
            .get(&wanted.processor)
            .map_or(&[Grant::Location][..], Vec::as_slice);
        granted.iter().fold(own, |grant, one| match one {
            Grant::Location => grant.or(self.place(policy, &wanted.location, wanted)),
            Grant::Origin => grant.or(self.place(policy, &wanted.origin_location, wanted)),
            Grant::Prefix(prefix) => {
                grant.or(reader::Grant::prefixes([prefix.as_str()]).unwrap_or_default())
            }
        })
    }

    /// The repository or file root that a location is in. A file is only ever granted to an entity that was itself read
    /// from a file (y15).
    fn place(&self, policy: &ReadPolicy, at: &LocationRef, wanted: &WantedReads) -> reader::Grant {
        match at.r#type.as_str() {
            "file" if wanted.location.r#type == "file" => self
                .files
                .root_of(&at.target)
                .map_or_else(reader::Grant::default, reader::Grant::file_root),
            "url" => {
                let itself = reader::Grant::prefixes([at.target.as_str()]).unwrap_or_default();
                itself.or(reader::Grant::repository_of(&at.target, policy))
            }
            _ => reader::Grant::default(),
        }
    }
}

#[async_trait]
impl ReadSource for StoredReads {
    async fn read(&self, wanted: Wanted<'_>) -> ReadAnswer {
        let policy = self.policy(wanted.tenant).await;
        let grant = self.grant(policy, wanted.pipeline, wanted.reads);
        let keys: Vec<ReadKey> = wanted
            .reads
            .wants
            .iter()
            .map(|want| key(policy, want))
            .collect();
        let stored = match self.storage.find_reads(wanted.tenant, &keys).await {
            Ok(stored) => stored,
            Err(error) => {
                let retry_at = self.clock.now().plus_ms(1_000);
                return ReadAnswer::Unavailable {
                    retry_at,
                    reason: format!("storage: {error}"),
                };
            }
        };
        let reads = wanted
            .reads
            .wants
            .iter()
            .zip(stored)
            .map(|(want, stored)| self.read_one(&wanted, policy, &grant, want, stored));
        let mut readings = Vec::with_capacity(keys.len());
        for outcome in futures_util::future::join_all(reads).await {
            match outcome {
                Ok(reading) => readings.push(reading),
                Err(unavailable) => return unavailable,
            }
        }
        ReadAnswer::Read(readings)
    }
}

fn is_file(want: &Want) -> bool {
    let (Want::Get(target) | Want::List(target)) = want;
    target.starts_with('/')
        || target
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"))
}

/// Whom a read asks; nobody for a file and for what is no URL.
fn source_of(key: &ReadKey, want: &Want) -> Option<Source> {
    if is_file(want) {
        return None;
    }
    let (Want::Get(target) | Want::List(target)) = want;
    let url = Url::parse(target).ok()?;
    let name = url.host_str()?;
    Some(Source {
        host: match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        },
        credential: key.credential.clone(),
    })
}

fn text(want: &Want) -> String {
    match want {
        Want::Get(target) => format!("get {target}"),
        Want::List(pattern) => format!("list {pattern}"),
    }
}

fn want_of(key: &ReadKey) -> Option<Want> {
    match key.want.split_once(' ')? {
        ("get", target) => Some(Want::Get(target.to_owned())),
        ("list", pattern) => Some(Want::List(pattern.to_owned())),
        _ => None,
    }
}

fn key(policy: &ReadPolicy, want: &Want) -> ReadKey {
    let (Want::Get(target) | Want::List(target)) = want;
    let credential = policy
        .credential_key(target)
        .map(|digest| digest.to_string())
        .unwrap_or_default();
    ReadKey {
        credential,
        want: text(want),
    }
}

fn stored(outcome: &GuestOutcome) -> StoredOutcome {
    match outcome {
        GuestOutcome::Document {
            body, final_url, ..
        } => StoredOutcome::Document {
            body: (body.len() <= KEPT_BODY_BYTES).then(|| Bytes::copy_from_slice(body)),
            final_url: final_url.clone(),
        },
        GuestOutcome::Listing(entries) => StoredOutcome::Listing(entries.clone()),
        GuestOutcome::NotFound => StoredOutcome::NotFound,
        GuestOutcome::Refused(reason) => StoredOutcome::Refused(reason.clone()),
    }
}

/// A stored read as a guest gets it, if the body was kept. A stored refusal by the source is asked for again. Files are
/// always read: that is as quick as asking storage.
fn usable(stored: StoredRead, want: &Want) -> Option<GuestOutcome> {
    if is_file(want) {
        return None;
    }
    match stored.outcome {
        StoredOutcome::Document {
            body: Some(body),
            final_url,
        } => {
            let digest = Digest::of(&body);
            Some(GuestOutcome::Document {
                body: body.as_ref().into(),
                final_url,
                digest,
            })
        }
        StoredOutcome::Listing(entries) => Some(GuestOutcome::Listing(entries)),
        StoredOutcome::NotFound => Some(GuestOutcome::NotFound),
        StoredOutcome::Document { body: None, .. } | StoredOutcome::Refused(_) => None,
    }
}
