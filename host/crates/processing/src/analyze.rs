//! Analysing a location (ref §7.9): what its repository brings to the catalog, or a skeleton to begin with.
//!
//! The catalog file at the root of the repository is tried as a dry run tries a location, so it is read under the tenant's
//! own policy and parsed in the sandbox. A file that is not there, or that the tenant may not read, means a skeleton, which
//! is made of the URL alone; it is all that Backstage answers without its modules for source hosts.

use std::sync::Arc;

use greenroom_model::location::generated;
use greenroom_model::url_arithmetic::{Integrations, Project, WebUrl, root_file, slug_annotation};
use greenroom_model::{Diagnostic, Entity, LocationRef};
use serde_json::{Value, json};

use crate::drive::Ports;
use crate::on_request::run_with_reads;
use crate::{DryRunError, TenantPipeline, dry_run_location};

/// Looked for where the request names no file.
const CATALOG_FILE: &str = "catalog-info.yaml";

/// What an analysis found.
#[derive(Debug)]
pub enum Analysis {
    /// A catalog file, and the processed entities behind it, its Location first.
    Existing {
        /// Where it is.
        location: LocationRef,
        /// What it brings.
        entities: Vec<Entity>,
    },
    /// No catalog file: an entity to begin with.
    Skeleton(Value),
}

/// Looks for the catalog file of the repository that `target` points at.
///
/// # Errors
/// See [`DryRunError`]; `Rejected` for a target that is no URL, and for a file with errors.
pub async fn analyze_location(
    target: &str,
    file: Option<&str>,
    pipeline: &Arc<TenantPipeline>,
    ports: Ports<'_>,
) -> Result<Analysis, DryRunError> {
    let Some(url) = WebUrl::parse(target) else {
        let problem = "The given location.target is not a URL";
        let problem = Diagnostic::error("InputError", problem.to_owned());
        return Err(DryRunError::Rejected(vec![problem]));
    };
    let project = Project::of(&url);
    let known = pipeline.pipeline.url_integrations().as_slice().to_vec();
    let hosts = Integrations::with_public_hosts(known);
    let host = hosts.by_url(target).map(|host| host.r#type);
    let file = host.and_then(|host| root_file(&url, host, file.unwrap_or(CATALOG_FILE)));
    if let Some(file) = file
        && let Some(found) = existing(&file, pipeline, ports).await?
    {
        return Ok(found);
    }
    let mut metadata = json!({"name": project.name});
    if let Some(annotation) = host.and_then(slug_annotation) {
        let slug = format!("{}/{}", project.owner, project.name);
        metadata["annotations"] = json!({annotation: slug});
    }
    Ok(Analysis::Skeleton(json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": metadata,
        "spec": {"type": "other", "lifecycle": "unknown"},
    })))
}

/// What a file brings; `None` where there is none to be read.
async fn existing(
    file: &str,
    pipeline: &Arc<TenantPipeline>,
    ports: Ports<'_>,
) -> Result<Option<Analysis>, DryRunError> {
    let location = LocationRef::new("url", file);
    let Ok(entity) = generated(&location, None, None) else {
        return Ok(None);
    };
    let (_, reads) = run_with_reads(&entity, pipeline, ports).await?;
    if !reads.iter().any(|read| read.outcome == "document") {
        return Ok(None);
    }
    let found = dry_run_location(
        &location,
        None,
        pipeline,
        ports.orchestrate,
        ports.reads,
        ports.clock,
    )
    .await?;
    Ok(Some(Analysis::Existing {
        location,
        entities: found.entities,
    }))
}
