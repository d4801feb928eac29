//! Compiled code: from the build for bundled processors, else from storage, else compiled again from the stored component
//! (DESIGN §3.3). What is handed to a sandbox child was authenticated and is in sealed memory; what is not authentic is
//! compiled again. Nothing is loaded here: a worker has no engine.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use greenroom_model::{Digest, TenantId};
use greenroom_sandbox::{
    Artifact, ArtifactKey, CONFIG_REVISION, Scope, SealedCode, WASMTIME_VERSION,
};
use greenroom_storage::{Blob, BlobKind, Storage};
use tokio::sync::Mutex;
use tracing::{error, info, warn};

use super::CompileChild;
use super::compile_child::CompileFailure;
use super::sealed_set::SealedSet;

/// A processor that ships with the host.
#[derive(Debug, Clone)]
pub struct BundledCode {
    /// Its component.
    pub component: &'static [u8],
    /// What the build compiled it to.
    pub artifact: Artifact,
}

/// Where compiled code comes from.
pub struct Artifacts {
    storage: Arc<dyn Storage>,
    bundled: Vec<BundledCode>,
    compiler: CompileChild,
    key: ArtifactKey,
    sealed: SealedSet,
    /// One at a time: reading is quick, and concurrent runs of a tenant want the same code.
    reading: Mutex<()>,
}

impl Artifacts {
    /// `bundled` is what ships with the host; `key` authenticates what is stored.
    pub fn new(
        storage: Arc<dyn Storage>,
        bundled: Vec<BundledCode>,
        compiler: CompileChild,
        key: [u8; 32],
    ) -> Arc<Self> {
        Arc::new(Self {
            storage,
            bundled,
            compiler,
            key: ArtifactKey::new(key),
            sealed: SealedSet::default(),
            reading: Mutex::default(),
        })
    }

    /// For whom a revision of a tenant's pipeline is loaded: for nobody in particular if it ships with the host.
    pub(crate) fn scope(&self, tenant: TenantId, revision: &Digest) -> Scope {
        match self.shipped(revision) {
            Some(_) => None,
            None => Some(tenant),
        }
    }

    /// Drops code that nobody has asked for lately; called on a schedule.
    pub(crate) fn sweep(&self, idle: Duration) {
        self.sealed.sweep(idle);
    }

    /// How many revisions are kept, and their bytes.
    pub(crate) fn held(&self) -> (usize, u64) {
        self.sealed.held()
    }

    fn shipped(&self, revision: &Digest) -> Option<&BundledCode> {
        self.bundled
            .iter()
            .find(|code| code.artifact.wasm_digest() == *revision)
    }

    /// The code of one revision of a tenant, or of one that ships with the host, ready to be handed over.
    pub(crate) async fn sealed(
        &self,
        tenant: TenantId,
        revision: &Digest,
    ) -> Result<Arc<SealedCode>, String> {
        let scope = self.scope(tenant, revision);
        if let Some(code) = self.sealed.get(scope, revision) {
            return Ok(code);
        }
        let _one_at_a_time = self.reading.lock().await;
        if let Some(code) = self.sealed.get(scope, revision) {
            return Ok(code);
        }
        if let Some(shipped) = self.shipped(revision) {
            return self.seal(scope, &shipped.artifact);
        }
        let artifact = match self.stored(tenant, revision).await? {
            Some(artifact) => artifact,
            None => self.compile_again(tenant, revision).await?,
        };
        self.seal(scope, &artifact)
    }

    /// Makes the code of a revision anew, because no engine of this machine takes what there is.
    pub(crate) async fn rebuild(&self, tenant: TenantId, revision: &Digest) -> Result<(), String> {
        let artifact = self.compile_again(tenant, revision).await?;
        self.seal(self.scope(tenant, revision), &artifact).map(drop)
    }

    async fn compile_again(&self, tenant: TenantId, revision: &Digest) -> Result<Artifact, String> {
        info!(processor.digest = %revision, "compiling a component again");
        let compiled = match self.shipped(revision) {
            Some(shipped) => {
                let component = Bytes::from_static(shipped.component);
                self.compiler.compile(component, *revision).await
            }
            None => {
                let component = self.component(tenant, revision).await?;
                self.compile(tenant, revision, component).await
            }
        };
        compiled.map_err(|failure| failure.to_string())
    }

    fn seal(&self, scope: Scope, artifact: &Artifact) -> Result<Arc<SealedCode>, String> {
        let code = SealedCode::new(artifact)
            .map_err(|error| format!("copy its code into sealed memory: {error}"))?;
        Ok(self.sealed.insert(scope, code))
    }

    /// Compiles a component in the compile child and stores the result.
    pub(crate) async fn compile(
        &self,
        tenant: TenantId,
        revision: &Digest,
        component: Bytes,
    ) -> Result<Artifact, CompileFailure> {
        let artifact = self.compiler.compile(component, *revision).await?;
        let sealed = artifact.seal(&self.key).into();
        self.storage
            .put_blob(tenant, &artifact_blob(revision), sealed)
            .await
            .map_err(|error| CompileFailure::Failed(error.to_string()))?;
        self.seal(Some(tenant), &artifact)
            .map_err(CompileFailure::Failed)?;
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
}

fn artifact_blob(revision: &Digest) -> Blob {
    Blob {
        kind: BlobKind::Artifact(format!("{WASMTIME_VERSION}/{CONFIG_REVISION}")),
        digest: *revision,
    }
}
