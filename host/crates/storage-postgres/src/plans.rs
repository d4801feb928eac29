//! Proves that no statement of this crate looks through a whole table: the plan of every statement in its sources.
//!
//! The statements are taken from the sources as they are, so that none is forgotten and none is a copy. They are planned for
//! whatever they may be given, on a database in which every table has many rows of many tenants and is analysed: with the
//! statistics of a real one the planner's choice says what the indexes are worth, and it is free to choose otherwise.

use std::collections::HashSet;

use serde_json::Value;
use tokio_postgres::types::Type;

use crate::testing::{new_database, parse, runtime, statements};
use crate::{PostgresStorage, damage, moving, tenant_deletion};

/// Rows of each table, in tenants of 50.
const ROWS: i64 = 8_000;

/// Looks through all that are meant: the beginning of what stands after the verb, or a part of the statement, and why.
const MEANT: &[(&str, &str)] = &[
    ("SELECT version FROM schema_version", "one row"),
    ("DELETE FROM schema_version", "one row"),
    (
        "FROM tenants WHERE deleted_at IS NULL ORDER BY name",
        "all are asked for",
    ),
    (
        "FROM scheduled_tasks t ORDER BY task_id",
        "all are asked for; a dozen",
    ),
    (
        "WHERE importing_at < $2",
        "the sweep, once in a while over all tenants",
    ),
    (
        "FROM tenants WHERE deleted_at IS NOT NULL",
        "the sweep, once in a while over all tenants",
    ),
    (
        "FROM tenant_seq s CROSS JOIN LATERAL",
        "the sweep, a row of each tenant",
    ),
    (
        "SELECT DISTINCT b.tenant_id FROM blobs b",
        "the sweep, a row of each component and artifact",
    ),
    (
        "FROM read_bodies GROUP BY tenant_id",
        "the sweep, sums over all tenants",
    ),
    (
        "SELECT lane, sum(items)::bigint FROM (",
        "a gauge, rows of each tenant",
    ),
    ("SELECT count(*) FROM stitch_queue", "a gauge"),
    ("LIMIT 10000) few", "a figure, of a table's first rows"),
    ("FROM pg_class WHERE oid", "a figure, of one table"),
    ("split_part(entity_ref", "a figure, now and then"),
    (
        "JOIN tenant_lanes l ON",
        "a figure, now and then, of what is due",
    ),
    (
        "FROM processors p CROSS JOIN LATERAL",
        "a figure, a row of each processor",
    ),
    (
        "FROM faults GROUP BY",
        "a figure, 100 rows of each processor",
    ),
    (
        "min(least(revoked_at, expires_at)) FROM tokens",
        "a figure, tokens are few",
    ),
    (
        "FROM tokens WHERE revoked_at < $1 OR expires_at < $1",
        "the sweep, tokens are few",
    ),
];

#[test]
fn no_statement_looks_through_a_table() {
    if greenroom_test_postgres::skipped() {
        return;
    }
    let url = new_database();
    runtime().block_on(async {
        let storage = PostgresStorage::open(&parse(&url)).await.unwrap();
        let client = storage.client("plan").await.unwrap();
        client
            .batch_execute(&format!(
                // Without triggers: what they count is filled as any table. With all that sessions forbid, so that it is seen.
                "SET statement_timeout = 0; SET plan_cache_mode = force_generic_plan;
                 SET enable_seqscan = on; SET enable_mergejoin = on;
                 SET session_replication_role = replica; {}; SET session_replication_role = origin; ANALYZE",
                FILL.replace("ROWS", &ROWS.to_string())
            ))
            .await
            .unwrap();
        let partial =
            "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                       WHERE i.indpred IS NOT NULL";
        let partial = client.query(partial, &[]).await.unwrap();
        let partial: HashSet<String> = partial.iter().map(|row| row.get(0)).collect();

        let mut statements = statements();
        statements.extend(tenant_deletion::deletions(&storage).await.unwrap());
        statements.extend(moving::statements());
        let mut wrong = Vec::new();
        for sql in &statements {
            let prepared = client.prepare(sql).await.unwrap_or_else(|error| {
                panic!("{} in {sql}", damage::storage_error("plan", error))
            });
            let plan = plan(&client, sql, prepared.params()).await;
            let mut looks = Vec::new();
            look(&plan, false, &partial, &mut looks);
            let meant = MEANT.iter().any(|(part, _)| sql.contains(part));
            if !looks.is_empty() && !meant {
                wrong.push(format!("{}\n  in {sql}", looks.join(", ")));
            }
        }
        for (part, why) in MEANT {
            let there = statements.iter().any(|sql| sql.contains(part));
            assert!(there, "no statement has `{part}` ({why})");
        }
        assert!(
            wrong.is_empty(),
            "{} of {}:\n{}",
            wrong.len(),
            statements.len(),
            wrong.join("\n")
        );
        assert!(
            statements.len() > 150,
            "{} statements found",
            statements.len()
        );
    });
}

/// Fills each table by the types of its columns: tenants of 50 rows, where a tenant has more than one, and everything else
/// different in each row; a column that may be null, or has a default, mostly is.
const FILL: &str = "DO $$ DECLARE t record; BEGIN
    FOR t IN SELECT c.oid::regclass AS name, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns,
            string_agg(format(CASE WHEN a.attname = 'tenant_id' OR d.adbin IS NULL AND a.attnotnull THEN '%1$s'
                              ELSE 'CASE WHEN i %% 20 = 0 THEN %1$s ELSE %2$s END' END,
                CASE
                    WHEN a.attname = 'tenant_id' AND NOT EXISTS (SELECT 1 FROM pg_index x WHERE x.indrelid = c.oid
                        AND x.indisunique AND x.indnatts = 1 AND x.indkey[0] = a.attnum) THEN 'i / 50'
                    WHEN a.atttypid = 'text'::regtype THEN '''row '' || i'
                    WHEN a.atttypid = 'bytea'::regtype THEN 'decode(md5(i::text) || md5(i::text), ''hex'')'
                    WHEN a.atttypid = 'boolean'::regtype THEN 'i % 100 = 0'
                    ELSE 'i' END,
                coalesce(pg_get_expr(d.adbin, d.adrelid), 'NULL')), ', ' ORDER BY a.attnum) AS expressions
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND a.attidentity = ''
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'schema_version'
        GROUP BY c.oid
    LOOP
        EXECUTE format('INSERT INTO %s (%s) SELECT %s FROM generate_series(1, ROWS) AS i', t.name, t.columns, t.expressions);
    END LOOP; END $$";

/// The plan of a prepared statement, whatever its parameters.
async fn plan(client: &deadpool_postgres::Object, sql: &str, params: &[Type]) -> Value {
    let none = vec!["NULL"; params.len()].join(", ");
    let none = if none.is_empty() {
        none
    } else {
        format!("({none})")
    };
    let setup = format!("DEALLOCATE ALL; PREPARE s AS {sql}");
    client.batch_execute(&setup).await.unwrap();
    let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE s{none}");
    let rows = client.simple_query(&explain).await.unwrap();
    let mut text = String::new();
    for message in rows {
        if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
            text.push_str(row.get(0).unwrap());
        }
    }
    let plans: Value = serde_json::from_str(&text).unwrap();
    plans[0]["Plan"].clone()
}

/// Finds what looks through a table or through an index of all of a table, but for those that end with the first rows.
fn look(node: &Value, limited: bool, partial: &HashSet<String>, looks: &mut Vec<String>) {
    let kind = node["Node Type"].as_str().unwrap();
    let index = node["Index Name"].as_str();
    let table = node["Relation Name"].as_str().unwrap_or_default();
    let whole = match kind {
        "Seq Scan" => {
            let first_rows = limited && node.get("Filter").is_none();
            !first_rows && !table.starts_with("pg_")
        }
        "Index Scan" | "Index Only Scan" | "Bitmap Index Scan" => {
            let all = node.get("Index Cond").is_none() && !limited;
            all && !index.is_some_and(|index| partial.contains(index) || index.starts_with("pg_"))
        }
        _ => false,
    };
    if whole {
        looks.push(format!("{kind} {table} {}", index.unwrap_or_default()));
    }
    // What is below a sort is read to its end, whatever is above.
    let limited = match kind {
        "Limit" => true,
        "Sort" | "Hash" | "Aggregate" | "WindowAgg" => false,
        _ => limited,
    };
    for child in node["Plans"].as_array().into_iter().flatten() {
        look(child, limited, partial, looks);
    }
}
