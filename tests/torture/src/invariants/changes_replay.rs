//! The change log has no gap from its first number to the tenant's last, and replaying it gives what is served.

use std::collections::BTreeMap;

use super::Findings;
use crate::world::World;

const GAPS: &str = "SELECT s.tenant_id, s.seq, count(c.seq), min(c.seq), max(c.seq) FROM tenant_seq s
    LEFT JOIN changes c ON c.tenant_id = s.tenant_id GROUP BY s.tenant_id, s.seq
    HAVING s.seq <> count(c.seq) OR (count(c.seq) > 0 AND (min(c.seq) <> 1 OR max(c.seq) <> s.seq))";
const CHANGES: &str =
    "SELECT tenant_id, entity_ref, kind, entity_id, etag FROM changes ORDER BY tenant_id, seq";
const SERVED: &str = "SELECT tenant_id, entity_ref, entity_id, etag FROM final_entities";

pub(super) async fn check(world: &World) -> Findings {
    let gaps = world.database.rows(GAPS).await?;
    let mut findings: Vec<String> = gaps
        .iter()
        .map(|row| format!("tenant, last number, changes, first, last: {row:?}"))
        .collect();
    let mut replayed = BTreeMap::new();
    for row in world.database.rows(CHANGES).await? {
        let [tenant, entity_ref, kind, uid, etag] = row.as_slice() else {
            return Err(format!("five columns, not {row:?}"));
        };
        let key = (tenant.clone(), entity_ref.clone());
        if kind == "delete" {
            // What is deleted was there, under that uid.
            let before = replayed.remove(&key);
            if before.as_ref().map(|(uid, _): &(String, String)| uid) != Some(uid) {
                findings.push(format!("{key:?} was deleted as {uid} and was {before:?}"));
            }
        } else {
            replayed.insert(key, (uid.clone(), etag.clone()));
        }
    }
    for row in world.database.rows(SERVED).await? {
        let [tenant, entity_ref, uid, etag] = row.as_slice() else {
            return Err(format!("four columns, not {row:?}"));
        };
        let key = (tenant.clone(), entity_ref.clone());
        let served = (uid.clone(), etag.clone());
        let told = replayed.remove(&key);
        if told.as_ref() != Some(&served) {
            findings.push(format!(
                "{key:?} is served as {served:?}; the log says {told:?}"
            ));
        }
    }
    if !replayed.is_empty() {
        let some: Vec<_> = replayed.iter().take(5).collect();
        findings.push(format!("the log has what is not served: {some:?}"));
    }
    Ok(findings)
}
