//! A mutation on its way: small ones are held, larger ones kept by storage (DESIGN §5).
//!
//! One that is dropped before it is applied, because it was wrong or its client has gone, is dropped from storage too.

use greenroom_model::TenantId;
use greenroom_storage::{MutationId, MutationKind, MutationLine, MutationOutcome, Storage};

use super::error::ApiError;
use super::mutation_lines::whole;
use super::state::ApiState;

/// What was read of a mutation so far.
pub(super) struct Staging {
    state: ApiState,
    tenant: TenantId,
    source_key: String,
    kind: MutationKind,
    /// `None` while nothing is staged, and once it is applied.
    id: Option<MutationId>,
    staged: u64,
    /// What is held, of a mutation that is small.
    held: Vec<MutationLine>,
}

impl Staging {
    pub(super) fn new(
        state: &ApiState,
        tenant: TenantId,
        source_key: String,
        kind: MutationKind,
    ) -> Self {
        Self {
            state: state.clone(),
            tenant,
            source_key,
            kind,
            id: None,
            staged: 0,
            held: Vec::new(),
        }
    }

    /// Takes the next batch into storage.
    pub(super) async fn stage(&mut self, lines: Vec<MutationLine>) -> Result<(), ApiError> {
        let id = self
            .id
            .get_or_insert_with(|| MutationId(uuid::Uuid::new_v4().to_string()));
        let count = lines.len() as u64;
        self.state
            .storage
            .stage_mutation(
                self.tenant,
                id,
                &self.source_key,
                self.kind,
                self.staged,
                lines,
            )
            .await?;
        self.staged += count;
        Ok(())
    }

    /// Takes what is left when the mutation is whole: into storage if the rest is there.
    pub(super) async fn finish(&mut self, lines: Vec<MutationLine>) -> Result<(), ApiError> {
        if self.id.is_none() {
            self.held = lines;
            return Ok(());
        }
        self.stage(lines).await
    }

    /// Number of different refs that it adds.
    pub(super) async fn adds(&self) -> Result<u64, ApiError> {
        if let Some(id) = &self.id {
            return Ok(self.state.storage.count_staged(self.tenant, id).await?);
        }
        let mut refs: Vec<_> = self
            .held
            .iter()
            .filter_map(|line| match line {
                MutationLine::Add(entity) => Some(&entity.entity_ref),
                MutationLine::Remove(_) => None,
            })
            .collect();
        refs.sort_unstable();
        refs.dedup();
        Ok(refs.len() as u64)
    }

    /// What kind of mutation it is.
    pub(super) fn kind(&self) -> &'static str {
        self.kind.as_str()
    }

    /// Lines that were read.
    pub(super) fn lines(&self) -> u64 {
        self.staged + self.held.len() as u64
    }

    /// Applies it through `storage`.
    pub(super) async fn apply(
        mut self,
        storage: &dyn Storage,
    ) -> Result<MutationOutcome, ApiError> {
        match self.id.take() {
            Some(id) => storage
                .apply_staged(self.tenant, &id)
                .await?
                .ok_or_else(|| {
                    ApiError::conflict(
                        "another mutation of this provider took the place of this one; send it again if it is the newer",
                    )
                }),
            None => {
                let mutation = whole(self.kind, std::mem::take(&mut self.held));
                Ok(storage
                    .apply_mutation(self.tenant, &self.source_key, mutation)
                    .await?)
            }
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Outside a runtime the process is ending; the sweep finds what is left after an hour.
        if let Some(id) = self.id.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            let (state, tenant) = (self.state.clone(), self.tenant);
            self.state.lifecycle.spawn(async move {
                if let Err(error) = state.storage.drop_staged(tenant, &id).await {
                    tracing::warn!(%error, "an unfinished mutation could not be removed; it is swept");
                }
            });
        }
    }
}
