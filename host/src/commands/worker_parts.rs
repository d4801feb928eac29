//! What a worker is made of, wired together: bundle, sandbox, reader and storage.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use anyhow::Context as _;
use greenroom_bundle::bundled;
use greenroom_model::{Clock, ProcessorName};
use greenroom_processing::{BundledProcessor, Pipelines};
use greenroom_reader::{ReadPolicy, Reader, ReaderConfig};
use greenroom_sandbox::CallLimits;
use greenroom_storage::Storage;

use super::data_dir::DataDir;
use super::file_roots;
use crate::config::Config;
use crate::supervisor::{Pulse, Wakes};
use crate::worker::{
    Artifacts, BundledCode, CompileChild, SandboxChildren, StoredReads, WorkerParts,
};

/// Bundled processors that parse documents and so have limits of their own (DESIGN §8).
pub(super) const DOCUMENT_READERS: [&str; 3] = ["file-reader", "placeholder", "url-reader"];

/// The names of the bundled processors, which no tenant's processor may have.
pub(super) fn reserved_names() -> Vec<ProcessorName> {
    bundled()
        .iter()
        .filter_map(|processor| ProcessorName::parse(processor.name()).ok())
        .collect()
}

/// Wires a worker. `program` is this executable, for sandbox and compile children.
pub(super) fn assemble(
    config: &Config,
    data: &DataDir,
    program: OsString,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    wakes: Wakes,
) -> anyhow::Result<WorkerParts> {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get) + 1;
    let artifacts = Artifacts::new(
        Arc::clone(&storage),
        bundled_code()?,
        CompileChild::new(program.clone(), config.quotas.compile_cpu_seconds),
        data.artifact_key()?,
    );
    let pulse = Pulse::default();
    let children = SandboxChildren::start(program, threads, Arc::clone(&artifacts), pulse.clone());
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
        pipelines: Arc::new(
            Pipelines::new(Arc::clone(&storage), bundle()?).within(config.quotas.call_limits),
        ),
        storage,
        orchestrate: Arc::clone(&children) as _,
        describe: children,
        reads,
        artifacts,
        quotas: config.quotas,
        clock,
        wakes,
        pulse,
    })
}

/// The compiled code of the bundle, for sandbox children.
fn bundled_code() -> anyhow::Result<Vec<BundledCode>> {
    bundled()
        .iter()
        .map(|processor| {
            let artifact = processor
                .artifact()
                .with_context(|| format!("open bundled processor `{}`", processor.name()))?;
            Ok(BundledCode {
                component: processor.wasm(),
                artifact,
            })
        })
        .collect()
}

/// The bundle as pipelines hold it. What each processor is was asked by the build, so that no start has to run a guest.
fn bundle() -> anyhow::Result<Vec<BundledProcessor>> {
    bundled()
        .iter()
        .map(|processor| {
            let name = processor.name();
            let limits = if DOCUMENT_READERS.contains(&name) {
                CallLimits::location_reader()
            } else {
                CallLimits::default()
            };
            Ok(BundledProcessor {
                name: ProcessorName::parse(name)?,
                revision: processor
                    .artifact()
                    .with_context(|| format!("open bundled processor `{name}`"))?
                    .wasm_digest(),
                descriptor: processor.descriptor(),
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
