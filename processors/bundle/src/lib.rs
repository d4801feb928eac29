//! The processors we ship, built to components, compiled and embedded by the build.
//!
//! They are guests like a tenant's: same contract, same limits, no way around the sandbox. Compiled
//! code is taken as it is, because it is part of this binary. Where the machine that runs it lacks a
//! CPU feature of the machine that built it, the engine refuses that code and
//! [`BundledProcessor::load`] compiles the component again.

use std::sync::Arc;

use greenroom_model::Digest;
use greenroom_sandbox::{
    Artifact, ArtifactError, CompileError, CompileLimits, Descriptor, LoadedProcessor, Sandbox,
    compile,
};

/// A processor that comes with the host.
#[derive(Clone, Copy)]
pub struct BundledProcessor {
    name: &'static str,
    on_by_default: bool,
    wasm: &'static [u8],
    digest: [u8; 32],
    artifact: &'static [u8],
    descriptor: &'static str,
}

/// All of them, by name.
#[must_use]
pub fn bundled() -> &'static [BundledProcessor] {
    // A static: what is constant is copied into every crate that this is inlined in, 78 MB each time.
    static BUNDLED: &[BundledProcessor] = include!(concat!(env!("OUT_DIR"), "/bundled.rs"));
    BUNDLED
}

impl BundledProcessor {
    /// Its name, such as `builtin-kinds`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it is called for a tenant who has set nothing on it.
    #[must_use]
    pub fn on_by_default(&self) -> bool {
        self.on_by_default
    }

    /// The bytes of its component.
    #[must_use]
    pub fn wasm(&self) -> &'static [u8] {
        self.wasm
    }

    /// The digest of its component: the revision under which it is called. The build computed it: to do so here would read all
    /// components, with their debug information 60 MiB, into the memory of each process that asks.
    #[must_use]
    pub fn wasm_digest(&self) -> Digest {
        Digest::from_bytes(self.digest)
    }

    /// Its compiled code.
    ///
    /// # Errors
    /// [`ArtifactError`] when the build embedded something else, which its test excludes.
    pub fn artifact(&self) -> Result<Artifact, ArtifactError> {
        Artifact::embedded(self.artifact)
    }

    /// What it says it is. The build asked it, so that no start has to.
    ///
    /// # Panics
    /// When the build embedded something else, which its test excludes.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        serde_json::from_str(self.descriptor).expect("the build embedded a descriptor")
    }

    /// Loads it for all tenants, compiling it anew where its compiled code does not fit the machine.
    ///
    /// # Errors
    /// [`CompileError`] when neither works.
    pub fn load(&self, sandbox: &Sandbox) -> Result<Arc<LoadedProcessor>, CompileError> {
        if let Ok(artifact) = self.artifact()
            && let Ok(loaded) = sandbox.load(None, &artifact)
        {
            return Ok(loaded);
        }
        let artifact = compile(self.wasm, &CompileLimits::default())?;
        Ok(sandbox.load(None, &artifact)?)
    }
}

impl std::fmt::Debug for BundledProcessor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BundledProcessor")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use greenroom_model::LocationRef;
    use greenroom_sandbox::{
        CallLimits, CallOutcome, GivenEntity, Request, SandboxOptions, StageAnswer, StageCall,
    };

    use super::*;

    #[test]
    fn every_bundled_processor_loads_and_describes_itself() {
        let sandbox = Sandbox::new(SandboxOptions::default()).unwrap();
        assert_eq!(bundled().len(), 11);
        for processor in bundled() {
            let artifact = processor.artifact().unwrap();
            assert_eq!(processor.wasm_digest(), Digest::of(processor.wasm()));
            assert_eq!(artifact.wasm_digest(), processor.wasm_digest());
            let loaded = sandbox.load(None, &artifact).unwrap();
            assert_eq!(
                processor.load(&sandbox).unwrap().revision(),
                loaded.revision()
            );
            let called = sandbox.describe(&loaded, &CallLimits::default()).unwrap();
            match called.outcome {
                CallOutcome::Answered(descriptor) => {
                    assert!(!descriptor.stages.is_empty());
                    assert_eq!(
                        descriptor,
                        processor.descriptor(),
                        "what the build was told"
                    );
                }
                CallOutcome::Faulted(fault) => panic!("{}: {fault:?}", processor.name()),
            }
        }
    }

    /// The README tells of every processor, and of each what its descriptor says.
    #[test]
    fn every_bundled_processor_is_documented() {
        let readme = include_str!("../../README.md");
        for processor in bundled() {
            let name = processor.name();
            let heading = format!("\n## {name}\n");
            let (_, rest) = readme
                .split_once(&heading)
                .unwrap_or_else(|| panic!("processors/README.md has no section `{name}`"));
            let section = rest.split("\n## ").next().unwrap_or_default();
            for part in [
                "**What.**",
                "**Called**",
                "**Config.**",
                "**Reads.**",
                "**Example.**",
            ] {
                assert!(section.contains(part), "`{name}` lacks {part}");
            }
            let descriptor = processor.descriptor();
            let configured = descriptor.config_schema.is_some();
            assert_eq!(section.contains("**Config.** None."), !configured, "{name}");
            let default = if processor.on_by_default() {
                "on"
            } else {
                "off"
            };
            let stages: Vec<&str> = descriptor
                .stages
                .iter()
                .map(|stage| stage.as_str())
                .collect();
            let row = format!(
                "| [`{name}`](#{name}) | {default} | {} |",
                stages.join(", ")
            );
            assert!(readme.contains(&row), "the table lacks `{row}`");
            if descriptor.priority != 20 {
                let priority = format!("Priority {}", descriptor.priority);
                assert!(section.contains(&priority), "`{name}` lacks `{priority}`");
            }
        }
        let sections = readme.matches("**What.**").count();
        assert_eq!(sections, bundled().len(), "a section of no processor");
    }

    #[test]
    fn builtin_kinds_recognises_a_component_and_emits_its_owner() {
        let sandbox = Sandbox::new(SandboxOptions::default()).unwrap();
        let of_name = |processor: &&BundledProcessor| processor.name() == "builtin-kinds";
        let processor = bundled().iter().find(of_name).unwrap();
        let processor = processor.load(&sandbox).unwrap();
        let location = LocationRef::new("url", "https://example.com/catalog-info.yaml");
        let request = Request {
            entity: GivenEntity::parse(r#"{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{"name":"web"},"spec":{"type":"service","lifecycle":"production","owner":"core"}}"#).unwrap(),
            location: location.clone(),
            origin_location: location,
            config: "{}".into(),
            cache: None,
            reads: Vec::new(),
            integrations: Arc::from([]),
            now_ms: None,
        };
        let answer_to = |call: StageCall| {
            let limits = CallLimits::default();
            let called = sandbox.call(&processor, &call, &limits, [0; 32]).unwrap();
            match called.outcome {
                CallOutcome::Answered(answer) => (answer, called.report),
                CallOutcome::Faulted(fault) => panic!("{fault:?}"),
            }
        };
        let validate = StageCall::ValidateKind(request.clone());
        let (answer, first) = answer_to(validate.clone());
        assert!(matches!(
            answer,
            StageAnswer::Validated {
                recognised: true,
                ..
            }
        ));
        let (_, second) = answer_to(validate);
        assert_eq!(first.fuel, second.fuel);
        println!(
            "{} fuel, {} bytes, {} us",
            second.fuel, second.peak_memory_bytes, second.cpu_us
        );
        let (answer, _) = answer_to(StageCall::PostProcess(request));
        let StageAnswer::Processed(processed) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(processed.emissions.len(), 2, "ownedBy and ownerOf");
    }
}
