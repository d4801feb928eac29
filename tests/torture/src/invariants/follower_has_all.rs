//! Who followed the change feed over HTTP has what is served.

use std::collections::BTreeMap;

use super::Findings;
use crate::tenants::Followed;
use crate::world::World;

pub(super) async fn check(world: &World, followed: &[Followed]) -> Findings {
    let mut findings = Vec::new();
    for one in followed {
        let tenant = &one.tenant;
        let sql = format!(
            "SELECT f.entity_ref, f.entity_id, f.etag FROM final_entities f
             JOIN tenants t ON t.tenant_id = f.tenant_id WHERE t.name = '{tenant}'"
        );
        let mut served = BTreeMap::new();
        for row in world.database.rows(&sql).await? {
            let [entity_ref, uid, etag] = row.as_slice() else {
                return Err(format!("three columns, not {row:?}"));
            };
            served.insert(entity_ref.clone(), (uid.clone(), etag.clone()));
        }
        if served != one.entities {
            let differs = |(entity_ref, value): (&String, &(String, String))| {
                (served.get(entity_ref) != Some(value)).then(|| entity_ref.clone())
            };
            let wrong: Vec<_> = one.entities.iter().filter_map(differs).take(5).collect();
            findings.push(format!(
                "{tenant}: {} are served, the follower has {}; it is wrong about {wrong:?}",
                served.len(),
                one.entities.len()
            ));
        }
    }
    Ok(findings)
}
