//! The sandbox of this process with everything a tenant's pipeline has, for trying a processor without a host: the same
//! engine, the same limits, the same bundled processors, the same orchestrator. Only the reads come from elsewhere.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use greenroom_bundle::bundled;
use greenroom_model::rules::{AllowedKind, CatalogRule, CatalogRules};
use greenroom_model::{Digest, ProcessorName, Stage};
use greenroom_orchestrator::{Pipeline, PipelineProcessor};
use greenroom_sandbox::{
    CallLimits, CallOutcome, Called, CompileError, CompileLimits, Compiler, Descriptor,
    LoadedProcessor, Sandbox, SandboxOptions,
};

use super::super::worker_parts::DOCUMENT_READERS;

/// Processors that say which kinds there are.
const KINDS: [&str; 2] = ["builtin-kinds", "template-kind"];

/// A component that would be rejected at upload.
#[derive(Debug, thiserror::Error)]
#[error("the component would be rejected: {0}")]
pub(super) struct WouldBeRejected(pub(super) String);

/// A sandbox and the bundled processors in it.
pub(super) struct Workshop {
    pub(super) sandbox: Arc<Sandbox>,
    compiler: Compiler,
    /// Those of a tenant who has set nothing.
    bundled: Vec<PipelineProcessor>,
    /// Keeps the bundled processors loaded.
    _loaded: Vec<Arc<LoadedProcessor>>,
}

/// An author's processor, ready to be called.
pub(super) struct Own {
    pub(super) loaded: Arc<LoadedProcessor>,
    pub(super) processor: PipelineProcessor,
    /// What asking it for its descriptor cost.
    pub(super) describe_fuel: u64,
}

/// How an author's processor stands in the pipeline.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) name: ProcessorName,
    pub(super) config: Arc<str>,
    pub(super) limits: CallLimits,
    pub(super) priority: Option<i32>,
}

impl Workshop {
    /// Makes a sandbox for one call at a time and loads what ships with the host.
    pub(super) fn open() -> anyhow::Result<Workshop> {
        let options = SandboxOptions {
            concurrent_calls: 1,
            ..SandboxOptions::default()
        };
        let sandbox = Sandbox::new(options).context("start the sandbox")?;
        let compiler = Compiler::new(CompileLimits::default()).context("start the compiler")?;
        let mut loaded = Vec::new();
        let mut processors = Vec::new();
        for processor in bundled().iter().filter(|one| one.on_by_default()) {
            let name = processor.name();
            let component = processor
                .load(&sandbox)
                .with_context(|| format!("load bundled processor `{name}`"))?;
            let limits = if DOCUMENT_READERS.contains(&name) {
                CallLimits::location_reader()
            } else {
                CallLimits::default()
            };
            let described = sandbox.describe(&component, &limits)?;
            let CallOutcome::Answered(descriptor) = described.outcome else {
                bail!("describe bundled processor `{name}`");
            };
            processors.push(PipelineProcessor {
                name: ProcessorName::parse(name)?,
                revision: component.revision(),
                descriptor,
                config: "{}".into(),
                limits,
                grants_digest: Digest::of(b"location"),
            });
            loaded.push(component);
        }
        Ok(Workshop {
            sandbox,
            compiler,
            bundled: processors,
            _loaded: loaded,
        })
    }

    /// Compiles and loads a component.
    pub(super) fn load(&self, wasm: &[u8]) -> anyhow::Result<Arc<LoadedProcessor>> {
        let artifact = match self.compiler.compile(wasm) {
            Ok(artifact) => artifact,
            Err(CompileError::Rejected(rejection)) => bail!(WouldBeRejected(rejection.to_string())),
            Err(CompileError::Failed(error)) => return Err(error).context("compile the component"),
        };
        Ok(self.sandbox.load(None, &artifact)?)
    }

    /// Asks a processor what it is.
    pub(super) fn describe(
        &self,
        loaded: &LoadedProcessor,
        limits: &CallLimits,
    ) -> anyhow::Result<Called<Descriptor>> {
        Ok(self.sandbox.describe(loaded, limits)?)
    }

    /// Loads a component and asks it what it is, as an upload does.
    pub(super) fn own(&self, wasm: &[u8], setting: &Setting) -> anyhow::Result<Own> {
        let loaded = self.load(wasm)?;
        let described = self.describe(&loaded, &setting.limits)?;
        let mut descriptor = match described.outcome {
            CallOutcome::Answered(descriptor) => descriptor,
            CallOutcome::Faulted(fault) => {
                bail!(WouldBeRejected(format!(
                    "describe faulted with {}: {}",
                    fault.kind, fault.message
                )))
            }
        };
        if let Some(priority) = setting.priority {
            descriptor.priority = priority;
        }
        let processor = PipelineProcessor {
            name: setting.name.clone(),
            revision: loaded.revision(),
            descriptor,
            config: Arc::clone(&setting.config),
            limits: setting.limits,
            grants_digest: Digest::of(b"location"),
        };
        Ok(Own {
            loaded,
            processor,
            describe_fuel: described.report.fuel,
        })
    }

    /// A tenant's pipeline with this processor in its place. `alone`: without the others, but for their word on which kinds
    /// there are. `allow`: kinds that may be emitted besides those of the default rules.
    pub(super) fn pipeline(
        &self,
        own: Option<&PipelineProcessor>,
        alone: bool,
        allow: &[String],
    ) -> Pipeline {
        let mut processors: Vec<PipelineProcessor> = self.bundled.clone();
        if alone {
            processors.retain_mut(|processor| {
                processor.descriptor.stages = vec![Stage::ValidateKind];
                KINDS.contains(&processor.name.as_str())
            });
        }
        processors.extend(own.cloned());
        processors.sort_by_key(|processor| processor.descriptor.priority);
        let mut rules = CatalogRules::default().rules().to_vec();
        if !allow.is_empty() {
            rules.push(CatalogRule {
                allow: allow.iter().map(AllowedKind::new).collect(),
                locations: None,
            });
        }
        Pipeline {
            processors,
            rules: CatalogRules::new(rules),
            location_types: vec!["url".to_owned()],
            integrations: Arc::from([]),
            settings_digest: Digest::of(b"local"),
        }
    }

    /// A bundled processor by name.
    pub(super) fn bundled(&self, name: &str) -> anyhow::Result<&PipelineProcessor> {
        let found = self
            .bundled
            .iter()
            .find(|processor| processor.name.as_str() == name);
        found.with_context(|| format!("find bundled processor `{name}`"))
    }
}
