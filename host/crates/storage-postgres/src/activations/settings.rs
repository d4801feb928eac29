//! What a change of settings means for an activation: no canary may end by time because nothing is called, and a change to
//! automatic quarantine acts on an alarm that is there.

use greenroom_model::{ProcessorName, TenantId};
use greenroom_storage::{ActivationState, ProcessorSettings, QuarantineMode, StorageError};

use crate::activations::{begin, current, end};
use crate::processors;
use crate::transaction::Transaction;

/// Called in the transaction that replaces the settings, after they are.
pub(crate) async fn settings_changed(
    tx: &Transaction,
    tenant: TenantId,
    name: &ProcessorName,
    before: &ProcessorSettings,
    after: &ProcessorSettings,
) -> Result<(), StorageError> {
    if before.enabled && !after.enabled {
        return begin::supersede(tx, tenant, name).await;
    }
    let Some(activation) = current(tx, tenant, name).await? else {
        return Ok(());
    };
    if !before.enabled && after.enabled && activation.state == ActivationState::Superseded {
        let processor = processors::find(tx, tenant, name).await?;
        if let Some(revision) = processor.and_then(|processor| processor.current) {
            begin::begin(tx, tenant, name, revision, false).await?;
        }
        return Ok(());
    }
    let strict = (before.quarantine, after.quarantine)
        == (QuarantineMode::Manual, QuarantineMode::Automatic);
    let open = matches!(
        activation.state,
        ActivationState::Canary | ActivationState::Alarmed
    );
    if strict && open && activation.alarmed {
        let reason = "it had regressed, and its quarantine became automatic";
        end::quarantine(tx, &activation, reason).await?;
    }
    Ok(())
}
