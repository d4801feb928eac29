//! Proves that no statement of the queue side looks through a whole table: the plan of every statement in its sources.
//!
//! The statements are taken from the sources as they are, so that none is forgotten and none is a copy. Planned without
//! statistics, as in a new database.

use rusqlite::{Connection, Statement};

const SOURCES: &[&str] = &[
    include_str!("../activations.rs"),
    include_str!("../activations/begin.rs"),
    include_str!("../activations/end.rs"),
    include_str!("../activations/observe.rs"),
    include_str!("../activations/settings.rs"),
    include_str!("../children.rs"),
    include_str!("../children/conflicts.rs"),
    include_str!("../children/edges.rs"),
    include_str!("../entities.rs"),
    include_str!("../entities/deletion.rs"),
    include_str!("../entities/prune.rs"),
    include_str!("../entities/refresh.rs"),
    include_str!("../entities/refs.rs"),
    include_str!("../healing.rs"),
    include_str!("../left.rs"),
    include_str!("../locations.rs"),
    include_str!("../mutations.rs"),
    include_str!("../mutations/staged.rs"),
    include_str!("../orphans.rs"),
    include_str!("../orphans/reach.rs"),
    include_str!("../orphans/strategy.rs"),
    include_str!("../quotas.rs"),
    include_str!("../record.rs"),
    include_str!("../record/failure.rs"),
    include_str!("../record/reads_used.rs"),
    include_str!("../record/relations.rs"),
    include_str!("../record/success.rs"),
    include_str!("../stitching.rs"),
    include_str!("../stitching/input.rs"),
    include_str!("../work.rs"),
    include_str!("bulk.rs"),
    include_str!("claim.rs"),
    include_str!("enqueue.rs"),
    include_str!("item.rs"),
    include_str!("lanes.rs"),
    include_str!("take.rs"),
    include_str!("../workers.rs"),
];

/// Scans that are meant: what recursion has found, partial indexes of few rows, and the counts behind gauges.
const MEANT: &[&str] = &[
    "SCAN CONSTANT ROW",
    "SCAN up",
    "SCAN down",
    "SCAN tenant_lanes USING INDEX tenant_lanes_asked",
    "SCAN tenant_lanes USING COVERING INDEX tenant_lanes_wait",
    "SCAN tenant_lanes USING COVERING INDEX tenant_lanes_held",
    "SCAN work USING INDEX work_due",
    "SCAN stitch_queue USING COVERING INDEX",
    // Open canaries are few.
    "SCAN activations USING INDEX activations_canary",
    "SCAN a USING INDEX activations_canary",
    // Tenants that are being queued as a whole, for a gauge.
    "SCAN l",
];

/// String literals of a source that are whole statements.
fn statements(source: &str) -> impl Iterator<Item = &str> {
    source.split('"').skip(1).step_by(2).filter(|text| {
        ["SELECT ", "UPDATE ", "DELETE ", "INSERT ", "WITH "]
            .iter()
            .any(|verb| text.starts_with(verb))
    })
}

/// The lines of a plan; parameters stay unbound.
fn details(plan: &mut Statement<'_>) -> Vec<String> {
    let mut rows = plan.raw_query();
    let mut details = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        details.push(row.get(3).unwrap());
    }
    details
}

#[test]
fn no_statement_scans_a_table() {
    let mut conn = Connection::open_in_memory().unwrap();
    crate::migrations::migrate(&mut conn).unwrap();
    let (mut planned, mut wrong) = (0, Vec::new());
    for sql in SOURCES.iter().flat_map(|source| statements(source)) {
        let mut plan = conn
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap_or_else(|error| panic!("{error} in {sql}"));
        let details = details(&mut plan);
        planned += 1;
        for detail in &details {
            let meant = MEANT.iter().any(|meant| detail.starts_with(meant));
            if (detail.starts_with("SCAN") && !meant) || detail.contains("AUTOMATIC") {
                wrong.push(format!("{detail} in {sql}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(planned > 80, "{planned} statements found");
}

#[test]
fn a_claim_walks_its_indexes_in_order() {
    let mut conn = Connection::open_in_memory().unwrap();
    crate::migrations::migrate(&mut conn).unwrap();
    let sources = [
        include_str!("claim.rs"),
        include_str!("take.rs"),
        include_str!("lanes.rs"),
    ];
    for sql in sources.iter().flat_map(|source| statements(source)) {
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let details = details(&mut plan);
        let sorts = details.iter().any(|detail| detail.contains("TEMP B-TREE"));
        assert!(!sorts, "{sql}\n{details:#?}");
    }
}
