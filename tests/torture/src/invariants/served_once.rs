//! Each accepted entity is served exactly once, with its last content, processed by the current revision; nothing else is served.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Findings;
use crate::tenants::Ledger;
use crate::world::World;

const SERVED: &str = "SELECT t.name, f.entity_ref, f.entity_id, f.final_entity
    FROM final_entities f JOIN tenants t ON t.tenant_id = f.tenant_id";

pub(super) async fn check(world: &World, ledgers: &[Ledger]) -> Findings {
    let mut findings = Vec::new();
    let mut expected = BTreeMap::new();
    for ledger in ledgers {
        let signature = ledger.deployed.signature;
        for (name, promised) in &ledger.entities {
            let mut expect = |name: String| {
                let key = (ledger.tenant.clone(), format!("component:default/{name}"));
                expected.insert(key, (promised.version, signature));
            };
            expect(name.clone());
            (0..promised.children).for_each(|child| expect(format!("{name}.{child}")));
        }
    }
    let total = expected.len();
    let mut uids = BTreeMap::new();
    for row in world.database.rows(SERVED).await? {
        let [tenant, entity_ref, uid, body] = row.as_slice() else {
            return Err(format!("four columns, not {row:?}"));
        };
        let who = format!("{tenant}/{entity_ref}");
        if let Some(other) = uids.insert(uid.clone(), who.clone()) {
            findings.push(format!("{who} and {other} have one uid"));
        }
        let entity: Value =
            serde_json::from_str(body).map_err(|error| format!("{who}: {error}"))?;
        let Some((version, signature)) = expected.remove(&(tenant.clone(), entity_ref.clone()))
        else {
            findings.push(format!(
                "{who} is served and was removed, or never pushed: {entity}"
            ));
            continue;
        };
        let annotation = |name: &str| {
            let value = &entity["metadata"]["annotations"][name];
            value.as_str().unwrap_or("none").to_owned()
        };
        let served = (
            annotation("example.com/version"),
            annotation("example.com/before"),
            annotation("example.com/after"),
        );
        let wanted = (
            version.to_string(),
            signature.to_owned(),
            signature.to_owned(),
        );
        if served != wanted {
            findings.push(format!("{who} is served as {served:?}, not as {wanted:?}"));
        }
        if entity["metadata"]["uid"] != uid.as_str() {
            findings.push(format!("{who} is served with another uid than its own"));
        }
    }
    let lost = expected.keys().take(5).collect::<Vec<_>>();
    if !lost.is_empty() {
        findings.push(format!(
            "{} of {total} are not served: {lost:?}",
            expected.len()
        ));
    }
    Ok(findings)
}
