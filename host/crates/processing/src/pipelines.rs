//! Each tenant's pipeline: the bundled processors, as they ship or as the tenant has set them, and its own current revisions,
//! in order.
//!
//! A pipeline is immutable and cached per tenant; a cheap look at two version numbers says whether it still holds, so an
//! activation is seen by the next claim and calls in flight finish on the old one.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use greenroom_model::{Digest, Entity, ProcessorName, TenantId};
use greenroom_orchestrator::{CallLimits, Descriptor, Pipeline, PipelineProcessor};
use greenroom_storage::{
    BundledSettings, Processor, Revision, RevisionState, Storage, StoredPipeline, Tenant,
};

use crate::{ProcessingError, TenantConfig};

/// A processor that ships with the host.
#[derive(Debug, Clone)]
pub struct BundledProcessor {
    /// Its name; no tenant's processor may have it.
    pub name: ProcessorName,
    /// Digest of its component.
    pub revision: Digest,
    /// What it is.
    pub descriptor: Descriptor,
    /// Its limits.
    pub limits: CallLimits,
    /// Whether it is in the pipeline of a tenant who has set nothing on it.
    pub on_by_default: bool,
}

/// What a processor may read (DESIGN §3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// The repository of the entity's own location; the default.
    Location,
    /// The repository of its origin.
    Origin,
    /// URLs below a prefix.
    Prefix(String),
}

/// A tenant's pipeline with what the worker needs beside it.
#[derive(Debug)]
pub struct TenantPipeline {
    /// Whose.
    pub tenant: TenantId,
    /// The tenant's name, for people and metrics; empty for nobody's.
    pub tenant_name: String,
    /// What the stages are run with.
    pub pipeline: Pipeline,
    /// What each processor may read; one that is missing has [`Grant::Location`].
    pub grants: HashMap<ProcessorName, Vec<Grant>>,
    /// Processors that are not called, and whose entities keep their last good state (DESIGN §3.3).
    pub held: Vec<PipelineProcessor>,
    /// The processors that are the tenant's, and not those that ship with the host.
    own: HashSet<ProcessorName>,
    /// The tenant's settings.
    pub config: TenantConfig,
    /// Seeds its guests' randomness.
    pub secret: [u8; 32],
    /// Of the processors and of the settings. One made [`Pipelines::with`] something else has a version of its own,
    /// negative and given once in a process, so that it is never taken for the tenant's.
    version: (i64, i64),
}

/// What stands in a pipeline instead of a processor's current revision.
#[derive(Debug, Clone, PartialEq)]
pub enum Instead {
    /// Nothing.
    Nothing,
    /// A ready revision, enabled or not, perhaps with another configuration.
    Revision {
        /// Its number; the current one if none.
        number: Option<u32>,
        /// The configuration; that of the settings if none.
        config: Option<serde_json::Value>,
    },
}

impl TenantPipeline {
    /// A pipeline of no tenant, for runs that write nothing in a process without a catalog.
    pub fn of_nobody(pipeline: Pipeline) -> Self {
        Self {
            tenant: TenantId(0),
            tenant_name: String::new(),
            pipeline,
            grants: HashMap::new(),
            held: Vec::new(),
            own: HashSet::new(),
            config: TenantConfig::default(),
            secret: [0; 32],
            version: (0, 0),
        }
    }

    /// The processor that keeps an unprocessed entity from being run, if one does.
    pub fn held_for(&self, entity: &Entity) -> Option<&ProcessorName> {
        let holds = self.held.iter().find(|held| held.matches(entity));
        holds.map(|held| &held.name)
    }

    /// About how many bytes it holds.
    fn bytes(&self) -> usize {
        let processors = self.pipeline.processors.iter().chain(&self.held);
        let of_processors: usize = processors
            .map(|processor| {
                let schema = processor.descriptor.config_schema.as_ref();
                size_of_val(processor) + processor.config.len() + schema.map_or(0, String::len)
            })
            .sum();
        size_of_val(self) + of_processors
    }

    /// Whether a processor is the tenant's, and not one that ships with the host.
    pub fn is_tenants_own(&self, name: &ProcessorName) -> bool {
        self.own.contains(name)
    }
}

/// A pipeline that is kept, and when it was used last.
type Cached = (Arc<TenantPipeline>, Instant);

/// The pipelines of all tenants.
pub struct Pipelines {
    storage: Arc<dyn Storage>,
    bundled: Vec<BundledProcessor>,
    cached: Mutex<HashMap<TenantId, Cached>>,
}

impl Pipelines {
    /// Pipelines over a database and what ships with the host.
    pub fn new(storage: Arc<dyn Storage>, bundled: Vec<BundledProcessor>) -> Self {
        Self {
            storage,
            bundled,
            cached: Mutex::default(),
        }
    }

    /// The tenant's current pipeline.
    ///
    /// # Errors
    /// If the storage does not answer, or the tenant is gone.
    pub async fn of(&self, tenant: TenantId) -> Result<Arc<TenantPipeline>, ProcessingError> {
        let settings = self.storage.tenant_settings(tenant).await?;
        let version = (
            self.storage.pipeline_version(tenant).await?,
            settings.version,
        );
        if let Some(known) = self.known(tenant, version) {
            return Ok(known);
        }
        let owner = self.owner(tenant).await?;
        let config = config_of(&settings.json)?;
        let stored = self.storage.pipeline(tenant).await?;
        // After the pipeline, whose version a change of the quota raises: at worst it is read anew once more.
        let quota = self.storage.quotas(tenant).await?.call_limits;
        let version = (stored.version, version.1);
        let pipeline = self.assemble(&owner, config, stored, &quota, version)?;
        let pipeline = Arc::new(pipeline);
        self.cached
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(tenant, (Arc::clone(&pipeline), Instant::now()));
        Ok(pipeline)
    }

    /// The tenant's pipeline with something else in place of a processor's current revision, for a run that writes nothing;
    /// `None` if there is no such processor, or no such revision that is ready. Not cached.
    ///
    /// # Errors
    /// If the storage does not answer, or the tenant is gone.
    pub async fn with(
        &self,
        tenant: TenantId,
        name: &ProcessorName,
        instead: Instead,
    ) -> Result<Option<Arc<TenantPipeline>>, ProcessingError> {
        static MADE: AtomicI64 = AtomicI64::new(-1);
        let settings = self.storage.tenant_settings(tenant).await?;
        let Some(mut processor) = self.storage.find_processor(tenant, name).await? else {
            return Ok(None);
        };
        let mut stored = self.storage.pipeline(tenant).await?;
        let own = &mut stored.processors;
        own.retain(|(other, _)| other.name != *name);
        if let Instead::Revision { number, config } = instead {
            let number = number.or(processor.current);
            let revision = match number {
                Some(number) => self.storage.find_revision(tenant, name, number).await?,
                None => None,
            };
            // As in the tenant's own pipeline, the current one runs damaged while it is compiled.
            let runs = |one: &Revision| match one.state {
                RevisionState::Ready { .. } => true,
                RevisionState::Damaged { .. } => processor.current == Some(one.number),
                RevisionState::Inspecting | RevisionState::Rejected { .. } => false,
            };
            let Some(revision) = revision.filter(runs) else {
                return Ok(None);
            };
            if config.is_some() {
                processor.settings.config = config;
            }
            // Whoever asks for a revision wants to see it run, and so its quarantine lifted.
            processor.held = false;
            let place = own.partition_point(|(other, _)| other.name < *name);
            own.insert(place, (processor, revision));
        }
        let owner = self.owner(tenant).await?;
        let config = config_of(&settings.json)?;
        let version = (MADE.fetch_sub(1, Ordering::Relaxed), settings.version);
        let quota = self.storage.quotas(tenant).await?.call_limits;
        let pipeline = self.assemble(&owner, config, stored, &quota, version)?;
        Ok(Some(Arc::new(pipeline)))
    }

    async fn owner(&self, tenant: TenantId) -> Result<Tenant, ProcessingError> {
        let owner = self.storage.find_tenant_by_id(tenant).await?;
        owner.ok_or(ProcessingError::TenantGone)
    }

    fn known(&self, tenant: TenantId, version: (i64, i64)) -> Option<Arc<TenantPipeline>> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let (pipeline, used) = cached.get_mut(&tenant)?;
        *used = Instant::now();
        (pipeline.version == version).then(|| Arc::clone(pipeline))
    }

    /// Drops pipelines that nobody has used for `idle`; called on a schedule.
    pub fn sweep(&self, idle: Duration) {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cached.retain(|_, (_, used)| used.elapsed() < idle);
    }

    /// How many pipelines are kept, and about how many bytes they hold.
    pub fn held(&self) -> (usize, usize) {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = cached.values().map(|(pipeline, _)| pipeline.bytes()).sum();
        (cached.len(), bytes)
    }

    fn assemble(
        &self,
        owner: &Tenant,
        config: TenantConfig,
        stored: StoredPipeline,
        quota: &CallLimits,
        version: (i64, i64),
    ) -> Result<TenantPipeline, ProcessingError> {
        let mut processors = Vec::new();
        let mut grants = HashMap::new();
        for shipped in &self.bundled {
            let set = stored.bundled.iter().find(|set| set.name == shipped.name);
            let set = set.map(|set| &set.settings);
            if !set.map_or(shipped.on_by_default, |set| set.enabled) {
                continue;
            }
            if let Some(granted) = set.and_then(|set| set.grants.as_deref()) {
                grants.insert(shipped.name.clone(), grants_of(granted));
            }
            processors.push(bundled(shipped, set));
        }
        let mut held = Vec::new();
        let mut own = HashSet::new();
        for (processor, revision) in stored.processors {
            own.insert(processor.name.clone());
            let granted = processor.settings.grants.as_deref();
            let granted = granted.map_or_else(|| vec![Grant::Location], grants_of);
            grants.insert(processor.name.clone(), granted);
            let place = match processor.held {
                true => &mut held,
                false => &mut processors,
            };
            place.extend(tenants_own(processor, revision, quota)?);
        }
        processors.sort_by_key(|processor| processor.descriptor.priority);
        Ok(TenantPipeline {
            tenant: owner.id,
            tenant_name: owner.name.to_string(),
            pipeline: Pipeline {
                processors,
                rules: config.catalog.rules.clone(),
                location_types: vec!["url".to_owned()],
                integrations: config.integrations().into(),
                settings_digest: config.digest(),
            },
            grants,
            held,
            own,
            config,
            secret: owner.secret,
            version,
        })
    }
}

fn config_of(json: &str) -> Result<TenantConfig, ProcessingError> {
    if json.is_empty() {
        return Ok(TenantConfig::default());
    }
    serde_json::from_str(json).map_err(|error| ProcessingError::Damaged {
        what: "tenant settings",
        reason: error.to_string(),
    })
}

/// A bundled processor as it ships, but for what the tenant has set.
fn bundled(processor: &BundledProcessor, set: Option<&BundledSettings>) -> PipelineProcessor {
    let mut descriptor = processor.descriptor.clone();
    if let Some(priority) = set.and_then(|set| set.priority) {
        descriptor.priority = priority;
    }
    if let Some(subscription) = set.and_then(|set| set.subscription.as_ref()) {
        descriptor.subscription.clone_from(subscription);
    }
    let config = set.and_then(|set| set.config.as_ref());
    let grants = set.and_then(|set| set.grants.as_ref());
    PipelineProcessor {
        name: processor.name.clone(),
        revision: processor.revision,
        descriptor,
        config: config.map_or_else(|| "{}".into(), |config| config.to_string().into()),
        limits: processor.limits,
        grants_digest: grants.map_or_else(
            || Digest::of(b"location"),
            |grants| Digest::of_parts(grants.iter().map(String::as_bytes)),
        ),
    }
}

/// A tenant's processor as its pipeline holds it; none while its current revision is not ready.
fn tenants_own(
    processor: Processor,
    revision: Revision,
    quota: &CallLimits,
) -> Result<Option<PipelineProcessor>, ProcessingError> {
    // A damaged one may still be compiled; where it is not, its entities wait.
    let (RevisionState::Ready { descriptor } | RevisionState::Damaged { descriptor, .. }) =
        revision.state
    else {
        return Ok(None);
    };
    let mut descriptor: Descriptor =
        serde_json::from_str(&descriptor).map_err(|error| ProcessingError::Damaged {
            what: "descriptor",
            reason: error.to_string(),
        })?;
    if let Some(priority) = processor.settings.priority {
        descriptor.priority = priority;
    }
    if let Some(subscription) = processor.settings.subscription {
        descriptor.subscription = subscription;
    }
    let grants = processor
        .settings
        .grants
        .unwrap_or_else(|| vec!["location".to_owned()]);
    Ok(Some(PipelineProcessor {
        name: processor.name,
        revision: revision.digest,
        config: processor
            .settings
            .config
            .map_or_else(|| "{}".into(), |config| config.to_string().into()),
        limits: limits(processor.settings.limits)?.at_most(quota),
        grants_digest: Digest::of_parts(grants.iter().map(String::as_bytes)),
        descriptor,
    }))
}

fn grants_of(grants: &[String]) -> Vec<Grant> {
    grants
        .iter()
        .map(|grant| match grant.as_str() {
            "location" => Grant::Location,
            "origin" => Grant::Origin,
            prefix => Grant::Prefix(prefix.to_owned()),
        })
        .collect()
}

/// The default limits with those replaced that the tenant set.
fn limits(set: Option<serde_json::Value>) -> Result<CallLimits, ProcessingError> {
    match set {
        None => Ok(CallLimits::default()),
        Some(set) => serde_json::from_value(set).map_err(|error| ProcessingError::Damaged {
            what: "processor limits",
            reason: error.to_string(),
        }),
    }
}
