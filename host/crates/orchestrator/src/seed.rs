//! The seed of a call's randomness: from the revision, the stage, the entity and a secret of the tenant (DESIGN §3.1),
//! so that every round of a stage sees the same, two machines see the same, and an entity's author cannot predict it.

use greenroom_model::{Digest, EntityRef, Stage};

pub(crate) fn seed(
    tenant_secret: &[u8; 32],
    revision: &Digest,
    stage: Stage,
    entity_ref: &EntityRef,
) -> [u8; 32] {
    *Digest::of_parts([
        tenant_secret.as_slice(),
        revision.as_bytes().as_slice(),
        stage.as_str().as_bytes(),
        entity_ref.as_str().as_bytes(),
    ])
    .as_bytes()
}
