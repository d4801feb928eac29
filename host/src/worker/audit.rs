//! When the audit looks (DESIGN §2): once a day, all tenants in turn, and never more than one part in fifty of one thread's
//! time. What an entity's audit is, is said in `greenroom-processing`.
//!
//! A run that is cut short, because its worker stops or dies, begins anew with the next: what it found is mended already.

use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_model::{Clock, TenantId};
use greenroom_processing::{Audit, Audited, Pipelines, ProcessingError};
use greenroom_storage::{Storage, StorageError};
use tracing::{info, warn};

use super::claims::chain;
use crate::metrics::Metric;
use crate::supervisor::Pulse;

/// Rest after each page, as a multiple of the time it took.
const REST: u32 = 49;

/// What the audit needs.
pub(crate) struct Auditor {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) pipelines: Arc<Pipelines>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pulse: Pulse,
}

impl Auditor {
    /// Audits every tenant once. A tenant whose pipeline cannot be read is passed over, and said.
    pub(crate) async fn run(&self) -> Result<(), StorageError> {
        let mut sum = Audited::default();
        for tenant in self.storage.list_tenants().await? {
            match self.tenant(tenant.id).await {
                Ok(audited) => sum.add(audited),
                Err(ProcessingError::TenantGone) => {}
                Err(ProcessingError::Storage(error)) => return Err(error),
                Err(error) => {
                    warn!(
                        tenant.id = tenant.id.0,
                        error = chain(&error),
                        "could not audit a tenant"
                    );
                }
            }
        }
        info!(
            entities = sum.entities,
            memos = sum.memos,
            edges = sum.edges,
            stitches = sum.stitches,
            "audited"
        );
        Ok(())
    }

    async fn tenant(&self, tenant: TenantId) -> Result<Audited, ProcessingError> {
        let mut audit = Audit::of(tenant);
        let mut sum = Audited::default();
        while !audit.is_done() {
            let began = Instant::now();
            let audited = audit
                .step(&*self.storage, &self.pipelines, &*self.clock)
                .await?;
            self.count(audited);
            sum.add(audited);
            tokio::time::sleep(rest_after(began.elapsed())).await;
        }
        Ok(sum)
    }

    fn count(&self, audited: Audited) {
        let sheet = self.pulse.sheet();
        for (what, more) in [
            ("memo", audited.memos),
            ("edge", audited.edges),
            ("stitch", audited.stitches),
        ] {
            sheet.add(Metric::Healed, &[what], more as f64);
        }
        // Last: who sees that an entity was looked at sees what was mended.
        sheet.add(Metric::Audited, &[], audited.entities as f64);
    }
}

/// How long to rest after so much work.
fn rest_after(worked: Duration) -> Duration {
    worked.saturating_mul(REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_works_one_part_in_fifty() {
        for worked in [1, 20, 3_000].map(Duration::from_millis) {
            let whole = worked + rest_after(worked);
            assert!(worked.as_secs_f64() / whole.as_secs_f64() <= 0.02);
        }
    }
}
