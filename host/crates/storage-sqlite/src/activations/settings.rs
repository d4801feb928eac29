//! What a change of settings means for an activation: no canary may end by time because nothing is called, and a change to
//! automatic quarantine acts on an alarm that is there.

use greenroom_model::{ProcessorName, TenantId};
use greenroom_storage::{ActivationState, ProcessorSettings, QuarantineMode};
use rusqlite::params;

use crate::activations::{begin, current, end};
use crate::damage::value;
use crate::statement;
use crate::writer::WriteTx;

/// Called in the transaction that replaces the settings, after they are.
pub(crate) fn settings_changed(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    name: &ProcessorName,
    before: &ProcessorSettings,
    after: &ProcessorSettings,
) -> rusqlite::Result<()> {
    if before.enabled && !after.enabled {
        begin::supersede(tx, tenant, name)?;
        return Ok(());
    }
    let Some(activation) = current(tx, tenant, name)? else {
        return Ok(());
    };
    if !before.enabled && after.enabled && activation.state == ActivationState::Superseded {
        let revision: Option<u32> = statement::one(
            tx,
            "SELECT current_revision FROM processors WHERE tenant_id = ?1 AND name = ?2",
            params![tenant.0, name.as_str()],
            |row| value(row, 0, "processors.current_revision"),
        )?
        .flatten();
        if let Some(revision) = revision {
            begin::begin(tx, tenant, name, revision, false)?;
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
        end::quarantine(tx, &activation, reason)?;
    }
    Ok(())
}
