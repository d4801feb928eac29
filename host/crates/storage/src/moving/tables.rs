//! Which tables of a tenant are moved, and which are left behind.

use greenroom_model::{Diagnostic, Digest, Entity, ProcessorName};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::columns::ColumnKind::{
    Digest as Sha256, Flag, Id, Json, Number, OneOf, Processor, Ref, RefOrEmpty, Text,
};
use super::columns::{Column, ColumnKind, MovedRow, MovedTable, MovedValue};
use crate::{BundledSettings, ProcessorSettings, QuotaOverrides, RevisionState, TracedRead};

/// Rows that belong to where a tenant is: who may enter (`tokens`), its log and its numbers, what is under way or waits, what
/// was read and by whom, what is derived from a component, and what of the past is of use to nobody elsewhere. The bytes of
/// components are moved, by pieces of their own.
pub const LEFT_TABLES: &[&str] = &[
    "activation_calls",
    "blob_chunks",
    "blob_staging",
    "blobs",
    "canary_entities",
    "changes",
    "compilations",
    "compile_turns",
    "faults",
    "mutation_rows",
    "mutations",
    "read_bodies",
    "read_uses",
    "reads",
    "runs",
    "tenant_lanes",
    "tenant_seq",
    "tenant_usage",
    "tenants",
    "tokens",
    "work",
];

const fn has(name: &'static str, kind: ColumnKind) -> Column {
    Column {
        name,
        kind,
        nullable: false,
    }
}

const fn may(name: &'static str, kind: ColumnKind) -> Column {
    Column {
        name,
        kind,
        nullable: true,
    }
}

/// What is moved, in the order of a file: what rows refer to comes before them.
pub const MOVED_TABLES: &[MovedTable] = &[
    MovedTable {
        name: "tenant_settings",
        columns: &[
            has("settings", Json(reads_as::<Value>)),
            has("version", Number),
        ],
        key: 0,
        entity: None,
        check: None,
    },
    MovedTable {
        name: "tenant_quotas",
        columns: &[has("overrides", Json(reads_as::<QuotaOverrides>))],
        key: 0,
        entity: None,
        check: None,
    },
    MovedTable {
        name: "pipelines",
        columns: &[has("version", Number)],
        key: 0,
        entity: None,
        check: None,
    },
    MovedTable {
        name: "bundled_settings",
        columns: &[
            has("name", Processor),
            has("settings", Json(reads_as::<BundledSettings>)),
            has("settings_version", Number),
        ],
        key: 1,
        entity: None,
        check: None,
    },
    MovedTable {
        name: "processors",
        columns: &[
            has("name", Processor),
            has("settings", Json(reads_as::<ProcessorSettings>)),
            may("current_revision", Number),
            has("last_revision", Number),
            has("created_at", Number),
            has("settings_version", Number),
            has("last_activation", Number),
            has("held", Flag),
            has("ever_passed", Flag),
        ],
        key: 1,
        entity: None,
        check: None,
    },
    MovedTable {
        name: "processor_revisions",
        columns: &[
            has("processor", Processor),
            has("number", Number),
            has("digest", Sha256),
            has("bytes", Number),
            has("state", Json(reads_as::<RevisionState>)),
            has("created_at", Number),
            may("activated_at", Number),
            may("passed_activation", Number),
        ],
        key: 2,
        entity: None,
        check: Some(small_number),
    },
    MovedTable {
        name: "activations",
        columns: &[
            has("processor", Processor),
            has("number", Number),
            has("revision", Number),
            has("digest", Sha256),
            has(
                "state",
                OneOf(&["canary", "passed", "alarmed", "quarantined", "superseded"]),
            ),
            has("automatic", Flag),
            has("started_at", Number),
            may("picked_at", Number),
            may("ends_at", Number),
            has("matching", Number),
            has("processed", Number),
            may("alarm_at", Number),
            may("alarm_reason", Text),
            may("returned_to", Number),
            may("config_before", Json(reads_as::<Value>)),
            may("config_after", Json(reads_as::<Value>)),
        ],
        key: 2,
        entity: None,
        check: Some(small_number),
    },
    MovedTable {
        name: "regressions",
        columns: &[
            has("processor", Processor),
            has("activation", Number),
            has("entity_id", Id),
            has("entity_ref", Ref),
            has("in_canary", Flag),
            has("fault", Text),
            has("message", Text),
            has("at", Number),
        ],
        key: 3,
        entity: None,
        check: None,
    },
    MovedTable {
        name: "refresh_state",
        columns: &[
            has("entity_id", Id),
            has("entity_ref", Ref),
            may("location_key", Text),
            has("status", Number),
            has("dead_letter", Flag),
            has("attempts", Number),
            may("waiting", Text),
            may("last_run_at", Number),
            may("orphaned_at", Number),
            may("memo", Sha256),
            has("trace", Json(reads_as::<Vec<TracedRead>>)),
            has("diagnostics", Json(reads_as::<Vec<Diagnostic>>)),
            has("cache", Json(reads_as::<IgnoredAny>)),
            has("unprocessed_entity", Text),
            may("processed_entity", Json(entity)),
            may("good_digest", Sha256),
            may("good_trace", Json(reads_as::<Vec<TracedRead>>)),
            may("left_digest", Sha256),
            has("revisions", Json(reads_as::<Vec<(ProcessorName, Digest)>>)),
        ],
        key: 1,
        entity: None,
        check: Some(state_of_its_entity),
    },
    MovedTable {
        name: "final_entities",
        columns: &[
            has("entity_id", Id),
            has("entity_ref", Ref),
            has("etag", Text),
            has("final_entity", Json(entity)),
        ],
        key: 1,
        entity: Some(("entity_id", "entity_id")),
        check: Some(final_of_its_entity),
    },
    MovedTable {
        name: "refresh_state_references",
        columns: &[
            has("target_entity_ref", Ref),
            has("source_key", Text),
            has("source_entity_ref", RefOrEmpty),
        ],
        key: 3,
        entity: None,
        check: Some(one_source),
    },
    MovedTable {
        name: "refresh_keys",
        columns: &[has("entity_id", Id), has("key", Text)],
        key: 2,
        entity: Some(("entity_id", "entity_id")),
        check: None,
    },
    MovedTable {
        name: "relations",
        columns: &[
            has("source_entity_ref", Ref),
            has("type", Text),
            has("target_entity_ref", Ref),
            has("originating_entity_id", Id),
        ],
        key: 4,
        entity: Some(("originating_entity_id", "entity_id")),
        check: None,
    },
    MovedTable {
        name: "conflicts",
        columns: &[
            has("entity_ref", Ref),
            has("source_key", Text),
            has("source_entity_ref", RefOrEmpty),
            may("location_key", Text),
            may("owner_location_key", Text),
            may("unprocessed_entity", Text),
            has("at", Number),
        ],
        key: 3,
        entity: None,
        check: Some(one_source),
    },
    MovedTable {
        name: "locations",
        columns: &[
            has("id", Id),
            has("type", Text),
            has("target", Text),
            has("entity_ref", Ref),
        ],
        key: 1,
        entity: Some(("entity_ref", "entity_ref")),
        check: None,
    },
    MovedTable {
        name: "orphan_checks",
        columns: &[has("entity_ref", Ref), has("due_at", Number)],
        key: 1,
        entity: None,
        check: None,
    },
    MovedTable {
        name: "stitch_queue",
        columns: &[
            has("entity_ref", Ref),
            has("ticket", Number),
            has("next_stitch_at", Number),
        ],
        key: 1,
        entity: None,
        check: None,
    },
];

/// A row as it waits for the end of its import: an open canary is neither begun nor ended until then, because nothing of the
/// tenant is called.
pub fn at_rest(table: &MovedTable, row: &mut MovedRow) {
    if table.name != "activations" || table.value(row, "state").text() != Some("canary") {
        return;
    }
    for (column, value) in table.columns.iter().zip(&mut row.0) {
        match column.name {
            "picked_at" => *value = MovedValue::Number(0),
            "ends_at" => *value = MovedValue::Number(i64::MAX),
            _ => {}
        }
    }
}

/// JSON text that is a `T`.
fn reads_as<T: DeserializeOwned>(text: &str) -> Result<(), String> {
    match serde_json::from_str::<T>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("does not read back: {error}")),
    }
}

/// The text of an entity.
fn entity(text: &str) -> Result<(), String> {
    match Entity::from_json(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("is no entity: {error}")),
    }
}

/// A number of a revision or an activation.
fn small_number(table: &MovedTable, row: &MovedRow) -> Result<(), String> {
    match table.value(row, "number") {
        MovedValue::Number(number) if (1..=i64::from(u32::MAX)).contains(number) => Ok(()),
        _ => Err("`number` is not between 1 and 4294967295".to_owned()),
    }
}

/// The state is one there is, and the bytes are of the entity it is the state of.
fn state_of_its_entity(table: &MovedTable, row: &MovedRow) -> Result<(), String> {
    if !matches!(table.value(row, "status"), MovedValue::Number(0..=3)) {
        return Err("`status` is none there is".to_owned());
    }
    same_ref(table, row, "unprocessed_entity")
}

fn final_of_its_entity(table: &MovedTable, row: &MovedRow) -> Result<(), String> {
    same_ref(table, row, "final_entity")
}

fn same_ref(table: &MovedTable, row: &MovedRow, body: &str) -> Result<(), String> {
    let named = table.value(row, "entity_ref").text().unwrap_or_default();
    let text = table.value(row, body).text().unwrap_or_default();
    match Entity::from_json(text) {
        Ok(entity) if entity.entity_ref().as_str() == named => Ok(()),
        Ok(entity) => Err(format!(
            "`{body}` is of `{}` and not of `{named}`",
            entity.entity_ref()
        )),
        Err(error) => Err(format!("`{body}` of `{named}` is no entity: {error}")),
    }
}

/// An edge comes from a provider or from a parent.
fn one_source(table: &MovedTable, row: &MovedRow) -> Result<(), String> {
    let empty = |name| table.value(row, name).text().is_none_or(str::is_empty);
    if empty("source_key") == empty("source_entity_ref") {
        return Err("exactly one of `source_key` and `source_entity_ref` is to be said".to_owned());
    }
    Ok(())
}
