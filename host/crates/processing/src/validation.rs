//! Batch validation: catalog files taken through a pipeline together, writing nothing, and what the catalog would become.
//!
//! Files are read as the catalog reads them: each is the target of a Location, so that its documents are parsed in the
//! sandbox by the pipeline's own readers, and every entity has the place in its file that its reader said (DESIGN §8). Each
//! entity is then run for itself. What a run reads is answered from the files of the batch first, as if they were
//! where they are going to be.
//!
//! Together means: a ref that two documents have is an error, a relation may lead from one document to another, and only
//! what leads nowhere at all is warned of. Emitted entities are named and not followed: what they become is decided when
//! they are read.

mod given;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use greenroom_model::location::{generated, own_location};
use greenroom_model::{
    Diagnostic, Entity, EntityRef, GivenFile, GivenFiles, Level, LocationRef, NOWHERE, Position,
    Presence, annotations,
};
use greenroom_orchestrator::{EmittedChild, Processed, Verdict};
use greenroom_storage::{Lane, Storage};
use serde_json::Value;

use crate::diff::diff;
use crate::drive::{End, Ports, drive};
use crate::{ProcessingError, TenantPipeline};
use given::GivenReads;
pub use report::{
    CatalogChange, DocumentOutcome, ValidatedDocument, ValidationReport, ValidationSummary,
};

/// Most documents of a batch.
pub const MAX_BATCH_DOCUMENTS: usize = 1_000;
/// Bytes of diffs that a report shows; later changes are listed without.
const MAX_DIFF_BYTES: usize = 4 * 1024 * 1024;
/// Refs looked up by one statement.
const REFS: usize = 100;
/// Most refs at the ends of relations that are looked up.
const MAX_ENDS: usize = 10_000;
/// Annotations that say where a document is from: of no interest where nobody said it.
const PLACES: [&str; 5] = [
    annotations::MANAGED_BY_LOCATION,
    annotations::MANAGED_BY_ORIGIN_LOCATION,
    annotations::VIEW_URL,
    annotations::EDIT_URL,
    annotations::SOURCE_LOCATION,
];

/// Validates a batch against a pipeline, and against the catalog of its tenant where there is one.
///
/// # Errors
/// Ours only: what is wrong with a document is part of the report.
pub async fn validate_documents(
    given: &GivenFiles,
    pipeline: &Arc<TenantPipeline>,
    catalog: Option<&dyn Storage>,
    ports: Ports<'_>,
) -> Result<ValidationReport, ProcessingError> {
    let reads = GivenReads::new(given, ports.reads);
    let ports = Ports {
        reads: &reads,
        ..ports
    };
    let mut batch = Batch {
        given,
        pipeline,
        ports,
        documents: Vec::new(),
    };
    for file in &given.files {
        batch.read(file).await?;
    }
    batch.refuse_duplicates();
    for at in 0..batch.documents.len() {
        batch.run(at).await?;
    }
    if let Some(catalog) = catalog {
        batch.compare(catalog).await?;
        batch.warn_of_loose_ends(catalog).await?;
    }
    let documents = batch.documents.into_iter().map(|one| one.report).collect();
    Ok(ValidationReport::new(documents, reads.into_wanted()))
}

/// A batch under way.
struct Batch<'a> {
    given: &'a GivenFiles,
    pipeline: &'a Arc<TenantPipeline>,
    ports: Ports<'a>,
    documents: Vec<Document>,
}

/// One document: what is said of it so far, and what there is to run.
struct Document {
    report: ValidatedDocument,
    unprocessed: Option<Entity>,
    processed: Option<Box<Processed>>,
}

impl Batch<'_> {
    /// Reads a file into its documents.
    async fn read(&mut self, file: &GivenFile) -> Result<(), ProcessingError> {
        let location = LocationRef::new("url", self.given.url_of(&file.path));
        let root = match generated(&location, Some(Presence::Required), None) {
            Ok(root) => root,
            Err(error) => {
                let wrong = Diagnostic::error(error.name(), error.to_string());
                self.add(&file.path, None, vec![wrong]);
                return Ok(());
            }
        };
        let text = root.to_json();
        let (end, _) = drive(text, self.pipeline, Lane::OnRequest, None, self.ports).await?;
        let outcome = match end {
            End::Outcome(outcome) => *outcome,
            End::Unavailable { reason, .. } => {
                self.add(&file.path, None, Vec::new());
                self.wait(self.documents.len() - 1, reason);
                return Ok(());
            }
        };
        let before = self.documents.len();
        if let Verdict::Processed(processed) = outcome.verdict {
            for child in processed.children {
                if own_location(&child.entity).is_ok_and(|own| own == location) {
                    self.add(&file.path, Some(child), Vec::new());
                }
            }
        }
        for mut said in outcome.diagnostics {
            let about = |one: &Document| one.report.position == said.position.as_deref().copied();
            let about = self.documents[before..].iter().position(about);
            match about {
                _ if said.level == Level::Error => self.add(&file.path, None, vec![said]),
                Some(at) => self.say(before + at, vec![said]),
                // A place that no entity came from: what stands there is not read at all.
                None if said.position.is_some() => {
                    said.level = Level::Error;
                    self.add(&file.path, None, vec![said]);
                }
                None if self.documents.len() > before => self.say(before, vec![said]),
                None => {}
            }
        }
        if self.documents.len() == before {
            let empty =
                "there is no document in the file: leave it out, or write an entity into it";
            self.add(
                &file.path,
                None,
                vec![Diagnostic::error("InputError", empty)],
            );
        }
        self.documents[before..].sort_by_key(|one| one.report.position);
        Ok(())
    }

    fn add(&mut self, path: &str, child: Option<EmittedChild>, said: Vec<Diagnostic>) {
        if self.documents.len() >= MAX_BATCH_DOCUMENTS {
            return self.overflow();
        }
        let position = match &child {
            Some(child) => child.position,
            None => said.iter().find_map(|one| one.position.as_deref().copied()),
        };
        let report = ValidatedDocument::new(
            path,
            position,
            child.as_ref().map(|child| child.entity_ref.clone()),
        );
        self.documents.push(Document {
            report,
            unprocessed: child.map(|child| child.entity),
            processed: None,
        });
        let at = self.documents.len() - 1;
        self.say(at, said);
    }

    /// The last document of a batch that is too large says so; it is not run.
    fn overflow(&mut self) {
        let at = self.documents.len() - 1;
        if self.documents[at].report.outcome == DocumentOutcome::TooMany {
            return;
        }
        let many = format!(
            "there are more than {MAX_BATCH_DOCUMENTS} documents, and the rest is not looked at: validate fewer files at a time"
        );
        self.say(at, vec![Diagnostic::error("InputError", many)]);
        self.documents[at].report.outcome = DocumentOutcome::TooMany;
        self.documents[at].unprocessed = None;
    }

    fn say(&mut self, at: usize, said: Vec<Diagnostic>) {
        let report = &mut self.documents[at].report;
        for mut one in said {
            one.message = self.given.shown(&one.message);
            one.target = one.target.map(|target| self.given.shown(&target));
            // A place that a stage after reading names is in another file than this one.
            one.position = report.position.map(Box::new);
            report.diagnostics.push(one);
        }
    }

    fn wait(&mut self, at: usize, reason: String) {
        let wrong = Diagnostic::error("ServiceUnavailableError", reason);
        self.say(at, vec![wrong]);
        self.documents[at].report.outcome = DocumentOutcome::Waiting;
    }

    /// The first document of a ref stands, the others are errors.
    fn refuse_duplicates(&mut self) {
        let mut first: BTreeMap<EntityRef, (String, Option<Position>)> = BTreeMap::new();
        for at in 0..self.documents.len() {
            let report = &self.documents[at].report;
            let Some(entity_ref) = report.entity_ref.clone() else {
                continue;
            };
            let here = (report.path.clone(), report.position);
            let Some((path, position)) = first.get(&entity_ref) else {
                first.insert(entity_ref, here);
                continue;
            };
            let line = position.map_or_else(String::new, |at| format!(", line {}", at.line));
            let twice = format!(
                "`{entity_ref}` is also in `{path}`{line}: the catalog keeps one of them, give the other another name"
            );
            self.say(at, vec![Diagnostic::error("ConflictError", twice)]);
        }
    }

    /// Takes a document's entity through the stages.
    async fn run(&mut self, at: usize) -> Result<(), ProcessingError> {
        let Some(entity) = self.documents[at].unprocessed.take() else {
            return Ok(());
        };
        if let Some(name) = self.pipeline.held_for(&entity) {
            let held = format!("Processor {name} is quarantined: the entity was run without it");
            self.say(at, vec![Diagnostic::warning("Warning", held)]);
        }
        let text = entity.to_json();
        let (end, _) = drive(text, self.pipeline, Lane::OnRequest, None, self.ports).await?;
        let outcome = match end {
            End::Outcome(outcome) => *outcome,
            End::Unavailable { reason, .. } => {
                self.wait(at, reason);
                return Ok(());
            }
        };
        self.say(at, outcome.diagnostics);
        let Verdict::Processed(processed) = outcome.verdict else {
            return Ok(());
        };
        let document = &mut self.documents[at];
        let report = &mut document.report;
        report.relations.clone_from(&processed.relations);
        report.emitted = processed
            .children
            .iter()
            .map(|child| child.entity_ref.clone())
            .collect();
        let wrong = |one: &Diagnostic| one.level == Level::Error;
        if processed.complete && !report.diagnostics.iter().any(wrong) {
            report.outcome = DocumentOutcome::Valid;
            document.processed = Some(processed);
        }
        Ok(())
    }

    /// Says what each good document would change.
    async fn compare(&mut self, catalog: &dyn Storage) -> Result<(), ProcessingError> {
        let mut bytes = 0;
        let good: Vec<usize> = (0..self.documents.len())
            .filter(|at| self.documents[*at].processed.is_some())
            .collect();
        for some in good.chunks(REFS) {
            let refs: Vec<String> = some
                .iter()
                .filter_map(|at| self.documents[*at].report.entity_ref.as_ref())
                .map(ToString::to_string)
                .collect();
            let served = catalog
                .find_entities_by_refs(self.pipeline.tenant, &refs, usize::MAX)
                .await?;
            for (at, served) in some.iter().zip(served) {
                let document = &mut self.documents[*at];
                let Some(processed) = &document.processed else {
                    continue;
                };
                let report = &mut document.report;
                let Some(served) = served else {
                    report.change = Some(CatalogChange::New);
                    continue;
                };
                let served: Value = serde_json::from_str(&served.body).unwrap_or_default();
                let would_be = Value::Object(processed.entity.as_map().clone());
                let nowhere = self.given.base == NOWHERE;
                report.diff = diff(&comparable(served, nowhere), &comparable(would_be, nowhere));
                report.change = Some(match report.diff.is_empty() {
                    true => CatalogChange::Unchanged,
                    false => CatalogChange::Changed,
                });
                bytes += serde_json::to_string(&report.diff).map_or(0, |text| text.len());
                if bytes > MAX_DIFF_BYTES {
                    report.diff.clear();
                    report.diff_omitted = true;
                }
            }
        }
        Ok(())
    }

    /// Warns of relations to what is neither in the catalog nor in the batch.
    async fn warn_of_loose_ends(&mut self, catalog: &dyn Storage) -> Result<(), ProcessingError> {
        let mut known: BTreeSet<EntityRef> = BTreeSet::new();
        for Document { report, .. } in &self.documents {
            known.extend(report.entity_ref.iter().cloned());
            known.extend(report.emitted.iter().cloned());
        }
        let ends: BTreeSet<&EntityRef> = self
            .documents
            .iter()
            .flat_map(|one| one.report.own_relations())
            .map(|relation| &relation.target)
            .filter(|end| !known.contains(*end))
            .collect();
        let ends: Vec<String> = ends
            .into_iter()
            .take(MAX_ENDS)
            .map(ToString::to_string)
            .collect();
        let mut loose: BTreeSet<String> = BTreeSet::new();
        for some in ends.chunks(REFS) {
            let served = catalog
                .find_entities_by_refs(self.pipeline.tenant, some, usize::MAX)
                .await?;
            let missing = some
                .iter()
                .zip(served)
                .filter(|(_, served)| served.is_none());
            loose.extend(missing.map(|(end, _)| end.clone()));
        }
        for at in 0..self.documents.len() {
            let said: Vec<Diagnostic> = self.documents[at]
                .report
                .own_relations()
                .filter(|relation| loose.contains(&relation.target.to_string()))
                .map(|relation| {
                    let message = format!(
                        "`{}` names `{}`, which is neither in the catalog nor among these documents",
                        relation.r#type, relation.target
                    );
                    Diagnostic::warning("NotFoundError", message)
                })
                .collect();
            self.say(at, said);
        }
        Ok(())
    }
}

/// An entity without what is not its document's: what stitching adds, and places that nobody named.
fn comparable(mut entity: Value, nowhere: bool) -> Value {
    let Some(object) = entity.as_object_mut() else {
        return entity;
    };
    object.shift_remove("relations");
    object.shift_remove("status");
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return entity;
    };
    metadata.shift_remove("uid");
    metadata.shift_remove("etag");
    if nowhere && let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        for key in PLACES {
            annotations.shift_remove(key);
        }
        if annotations.is_empty() {
            metadata.shift_remove("annotations");
        }
    }
    entity
}
