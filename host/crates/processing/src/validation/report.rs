//! What a validation says: of each document, and in sum.

use greenroom_model::{Diagnostic, EntityRef, Level, Position, Relation};
use serde::Serialize;

use crate::diff::Change;

/// What became of a batch.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidationReport {
    /// Whether every document is valid.
    pub ok: bool,
    /// Counts.
    pub summary: ValidationSummary,
    /// Each document, by file as given and place in it.
    pub documents: Vec<ValidatedDocument>,
    /// Paths that documents refer to and that were not among the files.
    pub wanted: Vec<String>,
}

/// A report in numbers.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidationSummary {
    /// All documents.
    pub documents: usize,
    /// Those that would be served.
    pub valid: usize,
    /// Those that would not.
    pub invalid: usize,
    /// Those that wait for a read.
    pub waiting: usize,
    /// Valid ones that the catalog does not have.
    pub new: usize,
    /// Valid ones that it has otherwise.
    pub changed: usize,
    /// Valid ones that it has just so.
    pub unchanged: usize,
    /// Diagnostics of level warning.
    pub warnings: usize,
}

/// One document of a batch, or what stands in the place of one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidatedDocument {
    /// The file it is in.
    pub path: String,
    /// Where it begins.
    #[serde(flatten)]
    pub position: Option<Position>,
    /// Its ref, where it is an entity.
    pub entity_ref: Option<EntityRef>,
    /// Whether it would be served.
    pub outcome: DocumentOutcome,
    /// What it would be to the catalog; none where it is not valid, or compared with none.
    pub change: Option<CatalogChange>,
    /// What is said of it.
    pub diagnostics: Vec<Diagnostic>,
    /// From what is served to what would be.
    pub diff: Vec<Change>,
    /// Whether the report had no room for the diff.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub diff_omitted: bool,
    /// Relations it would have part in.
    pub relations: Vec<Relation>,
    /// What it would emit.
    pub emitted: Vec<EntityRef>,
}

/// Whether a document would be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentOutcome {
    /// Yes.
    Valid,
    /// No.
    Invalid,
    /// A read cannot be answered now.
    Waiting,
    /// It is the last of too many.
    TooMany,
}

/// What a document would be to the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CatalogChange {
    /// It has no such entity.
    New,
    /// It has another.
    Changed,
    /// It has the same.
    Unchanged,
}

impl ValidatedDocument {
    /// A document that nothing good is known of yet.
    pub(super) fn new(
        path: &str,
        position: Option<Position>,
        entity_ref: Option<EntityRef>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            position,
            entity_ref,
            outcome: DocumentOutcome::Invalid,
            change: None,
            diagnostics: Vec::new(),
            diff: Vec::new(),
            diff_omitted: false,
            relations: Vec::new(),
            emitted: Vec::new(),
        }
    }

    /// The relations that begin at it.
    pub(super) fn own_relations(&self) -> impl Iterator<Item = &Relation> {
        let own = self.entity_ref.as_ref();
        let from = self.relations.iter();
        from.filter(move |relation| Some(&relation.source) == own)
    }
}

impl ValidationReport {
    pub(super) fn new(documents: Vec<ValidatedDocument>, wanted: Vec<String>) -> Self {
        let outcome = |wanted| documents.iter().filter(|one| one.outcome == wanted).count();
        let change = |wanted| {
            let of = |one: &&ValidatedDocument| one.change == Some(wanted);
            documents.iter().filter(of).count()
        };
        let warnings = documents.iter().flat_map(|one| &one.diagnostics);
        let warnings = warnings.filter(|one| one.level == Level::Warning).count();
        let valid = outcome(DocumentOutcome::Valid);
        let waiting = outcome(DocumentOutcome::Waiting);
        let summary = ValidationSummary {
            documents: documents.len(),
            valid,
            waiting,
            invalid: documents.len() - valid - waiting,
            new: change(CatalogChange::New),
            changed: change(CatalogChange::Changed),
            unchanged: change(CatalogChange::Unchanged),
            warnings,
        };
        Self {
            ok: summary.valid == summary.documents,
            summary,
            documents,
            wanted,
        }
    }
}
