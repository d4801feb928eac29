//! The one thing the orchestrator needs of a sandbox. A trait, so that its tests script the answers
//! and so that calls can later go to another process.

use greenroom_model::Digest;

use crate::{CallLimits, Called, SandboxError, StageAnswer, StageCall};

/// Makes calls. Synchronous: a call returns when the guest has answered, failed or been stopped.
pub trait CallProcessor {
    /// Makes one call of the processor whose component bytes have the digest `revision`, in a fresh
    /// instance, with at most `limits`. `seed` is all the randomness the guest gets; the caller
    /// derives it from (revision, stage, entity ref, a secret of the tenant).
    ///
    /// # Errors
    /// [`SandboxError`] when we failed; never for anything the guest did.
    fn call(
        &self,
        revision: &Digest,
        call: &StageCall,
        limits: &CallLimits,
        seed: [u8; 32],
    ) -> Result<Called<StageAnswer>, SandboxError>;
}
