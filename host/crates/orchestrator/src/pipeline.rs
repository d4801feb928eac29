//! The processors of one tenant in order, with everything about them that is an input of a run.

use greenroom_model::rules::CatalogRules;
use greenroom_model::url_arithmetic::{IntegrationType, Integrations};
use greenroom_model::{Digest, Entity, ProcessorName};
use greenroom_sandbox::{CallLimits, Descriptor, Integration};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::matching::matches;

/// A tenant's pipeline. Immutable; an activation or a setting makes a new one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pipeline {
    /// Processors by priority, bundled ones first among equals (ref §2.1, §3).
    pub processors: Vec<PipelineProcessor>,
    /// Which kinds an origin may emit (ref §2.6).
    pub rules: CatalogRules,
    /// Location types a Location entity may name besides its own (ref §2.4); `url` by default.
    pub location_types: Vec<String>,
    /// The tenant's source-code hosts, without credentials.
    pub integrations: Arc<[Integration]>,
    /// Digest of rules, location types and integrations, part of the memo.
    pub settings_digest: Digest,
}

/// One processor of a pipeline.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PipelineProcessor {
    /// Its name in the tenant.
    pub name: ProcessorName,
    /// The digest of its current revision.
    pub revision: Digest,
    /// What that revision says it is.
    pub descriptor: Descriptor,
    /// Its configuration, JSON text of an object.
    pub config: Arc<str>,
    /// Its limits.
    pub limits: CallLimits,
    /// Digest of its grants; the grants themselves are the worker's business.
    pub grants_digest: Digest,
}

impl PipelineProcessor {
    /// Whether it is called for an unprocessed entity.
    pub fn matches(&self, entity: &Entity) -> bool {
        matches(&self.descriptor.subscription, entity)
    }
}

impl Pipeline {
    /// The processors that are called for an unprocessed entity: those with a matcher that it satisfies. Judged once a
    /// run, against the unprocessed entity (DESIGN §2).
    pub fn matching<'a>(
        &'a self,
        entity: &'a Entity,
    ) -> impl Iterator<Item = (usize, &'a PipelineProcessor)> {
        self.processors
            .iter()
            .enumerate()
            .filter(|(_, processor)| processor.matches(entity))
    }

    /// The source-code hosts as URL arithmetic takes them.
    pub fn url_integrations(&self) -> Integrations {
        let known = self.integrations.iter().filter_map(|one| {
            let r#type = IntegrationType::from_name(&one.r#type)?;
            Some(greenroom_model::url_arithmetic::Integration::new(
                r#type,
                one.host.clone(),
            ))
        });
        Integrations::new(known.collect())
    }
}
