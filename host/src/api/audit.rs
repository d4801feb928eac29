//! Who changed what: one record for each mutation that was made, written with it (DESIGN §4).

use std::sync::Arc;

use greenroom_model::{TenantId, Timestamp};
use greenroom_storage::{AuditEntry, Storage};

use super::auth::Actor;
use super::error::ApiError;
use super::state::ApiState;

/// Something an actor did.
pub(crate) struct Deed<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) tenant: Option<TenantId>,
    /// The operation id.
    pub(crate) action: &'static str,
    /// What it was done to.
    pub(crate) subject: String,
    /// Small JSON text of how it was before.
    pub(crate) before: Option<String>,
    /// Small JSON text of how it is now.
    pub(crate) after: Option<String>,
}

impl<'a> Deed<'a> {
    pub(crate) fn new(
        actor: &'a Actor,
        tenant: Option<TenantId>,
        action: &'static str,
        subject: impl Into<String>,
    ) -> Self {
        Self {
            actor,
            tenant,
            action,
            subject: subject.into(),
            before: None,
            after: None,
        }
    }

    /// A handle on storage for doing it: the record is written in the transaction of the change, and if there is none it is not.
    pub(crate) fn on(self, state: &ApiState) -> Arc<dyn Storage> {
        state.storage.audited(self.entry())
    }

    /// Appends the record of what changes nothing in storage.
    pub(crate) async fn record(self, state: &ApiState) -> Result<(), ApiError> {
        Ok(state.storage.append_audit(self.entry()).await?)
    }

    fn entry(self) -> AuditEntry {
        AuditEntry {
            at: Timestamp::default(),
            tenant: self.tenant,
            actor: self.actor.token_id.clone(),
            action: self.action.to_owned(),
            subject: self.subject.chars().take(500).collect(),
            remote: self.actor.remote.clone(),
            before: self.before,
            after: self.after,
        }
    }
}
