//! Landlock: no path below anything may be opened, listed, changed or run, no port reached, nobody outside signalled.
//!
//! A rule set that handles every right and grants none. An older kernel knows fewer rights; what it knows is refused.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetError, RulesetStatus, Scope,
};

/// The newest interface whose rights are named here; older kernels are asked for what they have.
const NEWEST: ABI = ABI::V6;

/// Renounces the file system; answers whether the kernel took it.
pub(crate) fn renounce() -> bool {
    let renounced = || -> Result<RulesetStatus, RulesetError> {
        let status = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?
            .restrict_self()?;
        Ok(status.ruleset)
    };
    matches!(
        renounced(),
        Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced)
    )
}
