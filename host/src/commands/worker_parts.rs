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

use super::artifact_key;
use super::data_dir::DataDir;
use super::file_roots;
use super::vitals;
use crate::api::BundledListing;
use crate::config::Config;
use crate::metrics::Metric;
use crate::supervisor::{Pulse, Wakes};
use crate::worker::{
    Artifacts, BundledCode, CompileChild, SandboxChildren, StoredReads, WorkerParts,
};

/// Bundled processors that parse documents and so have limits of their own (DESIGN §8).
pub(super) const DOCUMENT_READERS: [&str; 4] =
    ["file-reader", "openapi", "placeholder", "url-reader"];

/// The bundled processors as the API lists them.
pub(super) fn bundled_listings() -> anyhow::Result<Vec<BundledListing>> {
    bundled()
        .iter()
        .map(|processor| {
            let descriptor = processor.descriptor();
            Ok(BundledListing {
                name: ProcessorName::parse(processor.name())?,
                digest: processor.wasm_digest(),
                summary: descriptor.summary,
                priority: descriptor.priority,
                config_schema: descriptor.config_schema,
                on_by_default: processor.on_by_default(),
            })
        })
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
        artifact_key::read(config, data)?,
    );
    let pulse = Pulse::default();
    let children = SandboxChildren::start(program, threads, Arc::clone(&artifacts), pulse.clone());
    vitals::show_memory(pulse.sheet(), "worker");
    let sandboxes = Arc::downgrade(&children);
    pulse.sheet().measure(move |sheet| {
        let pid = sandboxes.upgrade().and_then(|children| children.pid());
        let bytes = pid.and_then(vitals::resident_bytes).unwrap_or(0);
        sheet.set(Metric::ResidentMemory, &["sandbox"], bytes as f64);
    });
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
        pipelines: Arc::new(Pipelines::new(Arc::clone(&storage), bundle()?)),
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
                on_by_default: processor.on_by_default(),
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::bundled_listings;
    use crate::config_schema::ConfigSchema;

    /// A tenant's configuration is checked against these, and the documented ones are right.
    #[test]
    fn configurations_in_the_readme_fit_the_schemas_of_the_bundled_processors() {
        let readme = include_str!("../../../processors/README.md");
        let mut fitted = Vec::new();
        for listing in bundled_listings().unwrap() {
            let Some(schema) = listing.config_schema else {
                continue;
            };
            let schema = ConfigSchema::parse(&schema).unwrap();
            assert!(
                schema
                    .check(&Value::Object(serde_json::Map::new()))
                    .is_err()
            );
            let heading = format!("\n## {}\n", listing.name);
            let section = readme.split(&heading).nth(1).unwrap();
            let section = section.split("\n## ").next().unwrap();
            let example = section
                .lines()
                .find_map(|line| line.strip_prefix('`')?.strip_suffix('`'))
                .unwrap();
            let settings: Value = serde_json::from_str(example).unwrap();
            schema.check(&settings["config"]).unwrap();
            fitted.push(listing.name.to_string());
        }
        assert_eq!(fitted, ["default-values", "required-fields"]);
    }
}
