//! The index of every API process, which has followed all of it, answers as one does that is built anew.

use greenroom_test_support::Client;
use serde_json::Value;

use super::Findings;
use crate::tenants::Ledger;
use crate::world::World;

/// What an index answers: which entities, in which order, how many, and what is among them.
const QUESTIONS: &[&str] = &[
    "/entities?fields=metadata.name,metadata.uid,metadata.annotations",
    "/entities/by-query?limit=1000&orderField=metadata.name,desc&fields=metadata.uid",
    "/entities/by-query?limit=0&filter=metadata.annotations.example.com/after=one",
    "/entities/by-query?limit=1000&fullTextFilterTerm=c1&fullTextFilterFields=metadata.name&fields=metadata.uid",
    "/entity-facets?facet=kind&facet=spec.owner&facet=relations.ownedBy&facet=metadata.annotations.example.com/version",
];

pub(super) async fn check(world: &mut World, ledgers: &[Ledger]) -> Findings {
    let mut before = Vec::new();
    for client in world.clients() {
        before.push(answers(&client, ledgers).await);
    }
    world.start_again().await;
    let mut findings = Vec::new();
    for (number, (client, before)) in world.clients().iter().zip(before).enumerate() {
        let fresh = answers(client, ledgers).await;
        for ((question, followed), (_, built)) in before.iter().zip(&fresh) {
            if followed != built {
                findings.push(format!(
                    "API process {number}, {question}: {followed} and, built anew, {built}"
                ));
            }
        }
    }
    Ok(findings)
}

async fn answers(client: &Client, ledgers: &[Ledger]) -> Vec<(String, Value)> {
    let mut answers = Vec::new();
    for ledger in ledgers {
        for question in QUESTIONS {
            let path = format!("/tenants/{}/api/catalog{question}", ledger.tenant);
            let mut answer = client.get(&path).await.json();
            in_order(&mut answer);
            answers.push((path, answer));
        }
    }
    answers
}

/// Facets come in no order, and neither do entities that were not asked for in one.
fn in_order(answer: &mut Value) {
    let sort = |values: &mut Value| {
        if let Some(values) = values.as_array_mut() {
            values.sort_by_key(Value::to_string);
        }
    };
    if answer.is_array() {
        sort(answer);
    }
    if let Some(facets) = answer.get_mut("facets").and_then(Value::as_object_mut) {
        facets.values_mut().for_each(sort);
    }
}
