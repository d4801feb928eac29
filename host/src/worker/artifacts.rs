//! Compiled code: from the build for bundled processors, else from storage, else compiled again from the stored component
//! (DESIGN §3.3). What is loaded was authenticated; what is not authentic is compiled again and counted.

use std::sync::Arc;

use bytes::Bytes;
use greenroom_model::{Digest, TenantId};
use greenroom_processing::{OrchestrateError, TenantPipeline};
use greenroom_sandbox::{Artifact, ArtifactKey, CONFIG_REVISION, Sandbox, WASMTIME_VERSION};
use greenroom_storage::{Blob, BlobKind, Storage};
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use super::CompileChild;
use super::compile_child::CompileFailure;

/// Where compiled code comes from.
pub struct Artifacts {
    storage: Arc<dyn Storage>,
    sandbox: Arc<Sandbox>,
    bundled: Vec<Artifact>,
    compiler: CompileChild,
    key: ArtifactKey,
    key_bytes: [u8; 32],
    /// One load at a time: loading is quick, and concurrent claims of a tenant want the same code.
    loading: Mutex<()>,
}

impl Artifacts {
    /// Code for `sandbox`. `bundled` is what ships with the host; `key` authenticates what is stored.
    pub fn new(
        storage: Arc<dyn Storage>,
        sandbox: Arc<Sandbox>,
        bundled: Vec<Artifact>,
        compiler: CompileChild,
        key: [u8; 32],
    ) -> Arc<Self> {
        Arc::new(Self {
            storage,
            sandbox,
            bundled,
            compiler,
            key: ArtifactKey::new(key),
            key_bytes: key,
            loading: Mutex::default(),
        })
    }

    /// Whether all of a pipeline's processors are loaded.
    pub(crate) fn all_loaded(&self, pipeline: &TenantPipeline) -> bool {
        pipeline.pipeline.processors.iter().all(|processor| {
            self.sandbox
                .loaded(Some(pipeline.tenant), &processor.revision)
                .is_some()
        })
    }

    /// Loads what of a pipeline is not loaded.
    pub(crate) async fn load_all(&self, pipeline: &TenantPipeline) -> Result<(), OrchestrateError> {
        if self.all_loaded(pipeline) {
            return Ok(());
        }
        let _one_at_a_time = self.loading.lock().await;
        for processor in &pipeline.pipeline.processors {
            if self
                .sandbox
                .loaded(Some(pipeline.tenant), &processor.revision)
                .is_some()
            {
                continue;
            }
            self.load(pipeline.tenant, &processor.revision)
                .await
                .map_err(|reason| OrchestrateError::Load {
                    processor: processor.name.to_string(),
                    reason,
                })?;
        }
        Ok(())
    }

    /// Loads one revision of a tenant, or one of the bundle.
    async fn load(&self, tenant: TenantId, revision: &Digest) -> Result<(), String> {
        let shipped = |artifact: &&Artifact| artifact.wasm_digest() == *revision;
        if let Some(artifact) = self.bundled.iter().find(shipped) {
            return self
                .sandbox
                .load(None, artifact)
                .map(drop)
                .map_err(|error| error.to_string());
        }
        let artifact = match self.stored(tenant, revision).await? {
            Some(artifact) => artifact,
            None => {
                let component = self.component(tenant, revision).await?;
                info!(processor.digest = %revision, "compiling stored component again");
                self.compile(tenant, revision, component)
                    .await
                    .map_err(|failure| failure.to_string())?
            }
        };
        self.sandbox
            .load(Some(tenant), &artifact)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// Compiles a component in the compile child and stores the result.
    pub(crate) async fn compile(
        &self,
        tenant: TenantId,
        revision: &Digest,
        component: Bytes,
    ) -> Result<Artifact, CompileFailure> {
        let sealed = self.compiler.compile(&self.key_bytes, component).await?;
        let artifact = Artifact::open(&sealed, &self.key).map_err(|error| {
            CompileFailure::Failed(format!("the compile child answered no artifact: {error}"))
        })?;
        if artifact.wasm_digest() != *revision {
            return Err(CompileFailure::Failed(
                "the stored component is not what was uploaded".to_owned(),
            ));
        }
        self.storage
            .put_blob(tenant, &artifact_blob(revision), sealed)
            .await
            .map_err(|error| CompileFailure::Failed(error.to_string()))?;
        Ok(artifact)
    }

    /// A tenant's component as uploaded, checked against its digest (s03).
    pub(crate) async fn component(
        &self,
        tenant: TenantId,
        revision: &Digest,
    ) -> Result<Bytes, String> {
        let blob = Blob {
            kind: BlobKind::Component,
            digest: *revision,
        };
        let bytes = self
            .storage
            .get_blob(tenant, &blob)
            .await
            .map_err(|error| error.to_string())?;
        let bytes = bytes
            .ok_or_else(|| "its component is not stored any more: upload it again".to_owned())?;
        if Digest::of(&bytes) == *revision {
            Ok(bytes)
        } else {
            let reason = "its stored component is damaged: upload it again";
            let marked = self
                .storage
                .mark_damaged(tenant, revision, Some(reason))
                .await;
            error!(tenant.id = tenant.0, processor.digest = %revision, ?marked, "a stored component is not what was uploaded");
            Err(reason.to_owned())
        }
    }

    /// What is stored compiled, if it is authentic and of this revision (s01).
    pub(crate) async fn stored(
        &self,
        tenant: TenantId,
        revision: &Digest,
    ) -> Result<Option<Artifact>, String> {
        let found = self
            .storage
            .get_blob(tenant, &artifact_blob(revision))
            .await;
        let Some(bytes) = found.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        match Artifact::open(&bytes, &self.key) {
            Ok(artifact) if artifact.wasm_digest() == *revision => Ok(Some(artifact)),
            Ok(_) => {
                warn!(processor.digest = %revision, "stored artifact is another revision's");
                Ok(None)
            }
            Err(error) => {
                warn!(processor.digest = %revision, %error, "stored artifact is not used");
                Ok(None)
            }
        }
    }

    /// The sandbox that code is loaded into.
    pub(crate) fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }
}

fn artifact_blob(revision: &Digest) -> Blob {
    Blob {
        kind: BlobKind::Artifact(format!("{WASMTIME_VERSION}/{CONFIG_REVISION}")),
        digest: *revision,
    }
}
