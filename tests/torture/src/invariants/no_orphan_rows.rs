//! No row speaks of what is not there.

use super::Findings;
use crate::world::World;

/// Rows that would be left over, with a word for them.
const ORPHANS: &[(&str, &str)] = &[
    ("served and not known", "SELECT f.entity_ref FROM final_entities f WHERE NOT EXISTS (SELECT 1 FROM refresh_state s
        WHERE s.tenant_id = f.tenant_id AND s.entity_id = f.entity_id AND s.entity_ref = f.entity_ref)"),
    ("known and not served", "SELECT s.entity_ref, s.status, s.diagnostics FROM refresh_state s WHERE NOT EXISTS (SELECT 1
        FROM final_entities f WHERE f.tenant_id = s.tenant_id AND f.entity_id = s.entity_id)"),
    ("known and without a source", "SELECT s.entity_ref FROM refresh_state s WHERE NOT EXISTS (SELECT 1
        FROM refresh_state_references r WHERE r.tenant_id = s.tenant_id AND r.target_entity_ref = s.entity_ref)"),
    ("edges to nothing", "SELECT r.target_entity_ref, r.source_key, r.source_entity_ref FROM refresh_state_references r
        WHERE NOT EXISTS (SELECT 1 FROM refresh_state s WHERE s.tenant_id = r.tenant_id AND s.entity_ref = r.target_entity_ref)"),
    ("edges from nothing", "SELECT r.target_entity_ref, r.source_entity_ref FROM refresh_state_references r
        WHERE r.source_entity_ref <> '' AND NOT EXISTS (SELECT 1 FROM refresh_state s
            WHERE s.tenant_id = r.tenant_id AND s.entity_ref = r.source_entity_ref)"),
    ("relations of nothing", "SELECT r.source_entity_ref, r.type, r.target_entity_ref FROM relations r WHERE NOT EXISTS (SELECT 1
        FROM refresh_state s WHERE s.tenant_id = r.tenant_id AND s.entity_id = r.originating_entity_id)"),
    ("refresh keys of nothing", "SELECT k.key FROM refresh_keys k WHERE NOT EXISTS (SELECT 1 FROM refresh_state s
        WHERE s.tenant_id = k.tenant_id AND s.entity_id = k.entity_id)"),
    ("reads used by nothing", "SELECT u.want FROM read_uses u WHERE NOT EXISTS (SELECT 1 FROM refresh_state s
        WHERE s.tenant_id = u.tenant_id AND s.entity_id = u.entity_id)"),
    ("conflicts, where nobody shares a name", "SELECT entity_ref, source_key, source_entity_ref FROM conflicts"),
    ("orphans that stay", "SELECT entity_ref FROM refresh_state WHERE orphaned_at IS NOT NULL"),
    ("failed although nothing is wrong with them", "SELECT entity_ref, status, attempts, diagnostics FROM refresh_state WHERE status <> 1"),
    ("entities of a canary that is over", "SELECT c.processor, c.activation FROM canary_entities c WHERE NOT EXISTS (SELECT 1
        FROM activations a WHERE a.tenant_id = c.tenant_id AND a.processor = c.processor AND a.number = c.activation
            AND a.state = 'canary')"),
    ("lines of no mutation", "SELECT m.mutation_id, count(*) FROM mutation_rows m WHERE NOT EXISTS (SELECT 1 FROM mutations o
        WHERE o.tenant_id = m.tenant_id AND o.mutation_id = m.mutation_id) GROUP BY m.mutation_id"),
    ("bytes of no blob", "SELECT c.version, count(*) FROM blob_chunks c WHERE NOT EXISTS (SELECT 1 FROM blobs b
        WHERE b.tenant_id = c.tenant_id AND b.version = c.version) AND NOT EXISTS (SELECT 1 FROM blob_staging g
        WHERE g.tenant_id = c.tenant_id AND g.version = c.version) GROUP BY c.version"),
    ("revisions without bytes", "SELECT r.processor, r.number FROM processor_revisions r WHERE NOT EXISTS (SELECT 1 FROM blobs b
        WHERE b.tenant_id = r.tenant_id AND b.digest = r.digest AND b.engine = '')"),
    ("blobs that are cut", "SELECT b.version, b.bytes FROM blobs b WHERE b.bytes <> (SELECT coalesce(sum(length(c.data)), 0)
        FROM blob_chunks c WHERE c.tenant_id = b.tenant_id AND c.version = b.version)"),
];

pub(super) async fn check(world: &World) -> Findings {
    let mut findings = Vec::new();
    for (what, sql) in ORPHANS {
        let rows = world.database.rows(sql).await?;
        if !rows.is_empty() {
            let some: Vec<_> = rows.iter().take(5).collect();
            findings.push(format!("{what}: {}, such as {some:?}", rows.len()));
        }
    }
    Ok(findings)
}
