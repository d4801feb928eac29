//! What every handler shares: one cheap clone.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use axum::extract::FromRef;
use bytes::Bytes;
use greenroom_model::{Clock, TenantId};
use greenroom_storage::Storage;

use super::auth::Directory;
use super::bundled::BundledListing;
use super::changes::{LogWatch, StreamPlaces};
use super::guesses::Guesses;
use super::index::IndexSet;
use super::mutation_turns::MutationTurns;
use super::operations::{Operations, OperationsParts, Role};
use super::rate::Rates;
use crate::lifecycle::Lifecycle;
use crate::metrics::Sheet;
use crate::supervisor::{Supervisor, Wakes};

/// What the composition root hands to the edge.
#[derive(Clone)]
pub struct ApiParts {
    /// The database.
    pub storage: Arc<dyn Storage>,
    /// The time, for the expiry of tokens.
    pub clock: Arc<dyn Clock>,
    /// Owner of every task the edge starts.
    pub lifecycle: Arc<Lifecycle>,
    /// `outgoing` is notified after commits that make work; `incoming` wakes the follower of the indexes.
    pub wakes: Wakes,
    /// Workers of this process tree, for the body of readiness.
    pub workers: Option<Arc<Supervisor>>,
    /// The processors that ship with the host.
    pub bundled: Vec<BundledListing>,
    /// What is counted.
    pub sheet: Arc<Sheet>,
}

/// The shared state; a clone is one reference count.
#[derive(Clone)]
pub(crate) struct ApiState(Arc<Shared>);

/// What is behind an [`ApiState`].
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) wakes: Wakes,
    pub(crate) bundled: Vec<BundledListing>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How often each tenant did what is limited.
    pub(crate) rates: Arc<Rates>,
    /// Wrong tokens.
    pub(crate) guesses: Arc<Guesses>,
    pub(crate) indexes: Arc<IndexSet>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) sheet: Arc<Sheet>,
    pub(crate) operations: Operations,
    /// `/openapi.json`; shared by all its replies, however many wait to be taken.
    pub(crate) openapi: Bytes,
    /// The same below the catalog's mount.
    pub(crate) catalog_openapi: Bytes,
    /// The change streams that are open, and what tells them of changes.
    pub(crate) stream_places: Arc<StreamPlaces>,
    pub(crate) log_watch: Arc<LogWatch>,
    /// Requests that wait for a run, by tenant.
    pub(crate) waiting_runs: Mutex<HashMap<TenantId, usize>>,
    /// The mutations that are on their way, by provider.
    pub(crate) mutation_turns: Arc<MutationTurns>,
}

impl ApiState {
    pub(crate) fn new(parts: ApiParts, openapi: Bytes, catalog_openapi: Bytes) -> Self {
        let sheet = parts.sheet;
        let operations = Operations::start(OperationsParts {
            storage: Arc::clone(&parts.storage),
            clock: Arc::clone(&parts.clock),
            lifecycle: Arc::clone(&parts.lifecycle),
            sheet: Arc::clone(&sheet),
            role: Role::Api(parts.workers),
        });
        let indexes = IndexSet::new(
            Arc::clone(&parts.storage),
            Arc::clone(&parts.lifecycle),
            Arc::clone(&sheet),
        );
        let log_watch = LogWatch::new(Arc::clone(&parts.storage));
        Self(Arc::new(Shared {
            directory: Arc::new(Directory::new(
                Arc::clone(&parts.storage),
                Arc::clone(&parts.clock),
            )),
            clock: parts.clock,
            rates: Arc::default(),
            guesses: Arc::default(),
            storage: parts.storage,
            lifecycle: parts.lifecycle,
            wakes: parts.wakes,
            bundled: parts.bundled,
            indexes,
            sheet,
            operations,
            openapi,
            catalog_openapi,
            stream_places: Arc::default(),
            log_watch,
            waiting_runs: Mutex::default(),
            mutation_turns: Arc::default(),
        }))
    }
}

impl FromRef<ApiState> for Operations {
    fn from_ref(state: &ApiState) -> Self {
        state.operations.clone()
    }
}

impl Deref for ApiState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
