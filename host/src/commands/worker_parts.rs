//! What a worker is made of, wired together: bundle, sandbox, reader and storage.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use greenroom_bundle::bundled;
use greenroom_model::{Clock, ProcessorName};
use greenroom_processing::{BundledProcessor, Pipelines};
use greenroom_reader::{ReadPolicy, Reader, ReaderConfig};
use greenroom_sandbox::{Artifact, CallLimits, CallOutcome, Sandbox, SandboxOptions};
use greenroom_storage::Storage;

use super::data_dir::DataDir;
use super::file_roots;
use crate::config::Config;
use crate::supervisor::{Pulse, Wakes};
use crate::worker::{Artifacts, CompileChild, GuestThreads, StoredReads, WorkerParts};

/// Bundled processors that parse documents and so have limits of their own (DESIGN §8).
const DOCUMENT_READERS: [&str; 3] = ["file-reader", "placeholder", "url-reader"];

/// The names of the bundled processors, which no tenant's processor may have.
pub(super) fn reserved_names() -> Vec<ProcessorName> {
    bundled()
        .iter()
        .filter_map(|processor| ProcessorName::parse(processor.name()).ok())
        .collect()
}

/// Wires a worker. `program` is this executable, for compile children.
pub(super) fn assemble(
    config: &Config,
    data: &DataDir,
    program: OsString,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    wakes: Wakes,
) -> anyhow::Result<WorkerParts> {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get) + 1;
    let options = SandboxOptions {
        concurrent_calls: u32::try_from(threads).unwrap_or(u32::MAX),
        ..SandboxOptions::default()
    };
    let sandbox = Sandbox::new(options).context("start the sandbox")?;
    let bundled_artifacts = bundled()
        .iter()
        .map(|processor| {
            processor
                .artifact()
                .with_context(|| format!("open bundled processor `{}`", processor.name()))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let bundle = load_bundle(&sandbox, &bundled_artifacts)?;
    let compiler = CompileChild::new(program, config.quotas.compile_cpu_seconds);
    let artifacts = Artifacts::new(
        Arc::clone(&storage),
        Arc::clone(&sandbox),
        bundled_artifacts,
        compiler,
        data.artifact_key()?,
    );
    let orchestrate = GuestThreads::start(&sandbox, Arc::clone(&artifacts), threads)
        .context("start the guest threads")?;
    let reader = Reader::new(ReaderConfig::default()).context("start the reader")?;
    let files = Arc::new(file_roots::open(&config.file_roots)?);
    let reads = StoredReads::new(
        Arc::clone(&storage),
        reader,
        files,
        policies(config)?,
        Arc::clone(&clock),
    );
    Ok(WorkerParts {
        pipelines: Arc::new(Pipelines::new(Arc::clone(&storage), bundle)),
        storage,
        orchestrate: Arc::new(orchestrate),
        reads,
        artifacts,
        quotas: config.quotas,
        clock,
        wakes,
        pulse: Pulse::default(),
    })
}

fn load_bundle(
    sandbox: &Arc<Sandbox>,
    artifacts: &[Artifact],
) -> anyhow::Result<Vec<BundledProcessor>> {
    bundled()
        .iter()
        .zip(artifacts)
        .map(|(processor, artifact)| {
            let name = processor.name();
            let loaded = sandbox
                .load(None, artifact)
                .with_context(|| format!("load bundled processor `{name}`"))?;
            let limits = if DOCUMENT_READERS.contains(&name) {
                CallLimits::location_reader()
            } else {
                CallLimits::default()
            };
            let descriptor = match sandbox.describe(&loaded, &limits)?.outcome {
                CallOutcome::Answered(descriptor) => descriptor,
                CallOutcome::Faulted(fault) => {
                    bail!("describe bundled processor `{name}`: {}", fault.message)
                }
            };
            Ok(BundledProcessor {
                name: ProcessorName::parse(name)?,
                revision: loaded.revision(),
                descriptor,
                limits,
            })
        })
        .collect()
}

fn policies(config: &Config) -> anyhow::Result<BTreeMap<greenroom_model::TenantName, ReadPolicy>> {
    config
        .tenants
        .iter()
        .map(|(name, section)| {
            let policy = ReadPolicy::new(
                &section.reading.allow,
                section.integrations(),
                config.private_networks.clone(),
            )
            .with_context(|| format!("read the reading settings of tenant `{name}`"))?;
            Ok((name.clone(), policy))
        })
        .collect()
}
