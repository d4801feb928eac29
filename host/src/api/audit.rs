//! Who changed what: one record for each mutation that was made (DESIGN §4).

use greenroom_model::{TenantId, Timestamp};
use greenroom_storage::AuditEntry;

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

    /// Appends the record.
    pub(crate) async fn record(self, state: &ApiState) -> Result<(), ApiError> {
        let entry = AuditEntry {
            at: Timestamp::default(),
            tenant: self.tenant,
            actor: self.actor.token_id.clone(),
            action: self.action.to_owned(),
            subject: self.subject.chars().take(500).collect(),
            remote: self.actor.remote.clone(),
            before: self.before,
            after: self.after,
        };
        Ok(state.storage.append_audit(entry).await?)
    }
}
