//! Every upload that was acknowledged is there with its bytes, and the revision that was activated last is current.

use super::Findings;
use crate::tenants::Ledger;
use crate::world::World;

pub(super) async fn check(world: &World, ledgers: &[Ledger]) -> Findings {
    let mut findings = Vec::new();
    let clients = world.clients();
    for ledger in ledgers {
        let processors = format!("/tenants/{}/processors", ledger.tenant);
        for ((processor, number), bytes) in &ledger.deployed.revisions {
            let path = format!("{processors}/{processor}/revisions/{number}");
            let reply = clients[0].get(&path).await;
            if reply.status != 200 || reply.json()["state"] != "ready" {
                findings.push(format!("{path} is not ready: {}", reply.body));
            } else if clients[0].download(&format!("{path}/component")).await != *bytes {
                findings.push(format!("{path} has other bytes than were uploaded"));
            }
        }
        let sql = format!(
            "SELECT p.current_revision FROM processors p JOIN tenants t ON t.tenant_id = p.tenant_id
             WHERE t.name = '{}' AND p.name = 'signer'",
            ledger.tenant
        );
        let (current, wanted) = (world.database.number(&sql).await?, ledger.deployed.current);
        if current != wanted {
            findings.push(format!(
                "revision {current} of {} is current, and {wanted} was activated last",
                ledger.tenant
            ));
        }
    }
    Ok(findings)
}
