//! Final entities, and what the API does to entities: delete by uid, refresh, ancestry.

mod ancestry;
mod deletion;
mod prune;
mod refresh;
mod refs;

use std::sync::Arc;

use async_trait::async_trait;
use greenroom_model::{EntityRef, EntityUid, TenantId};
use greenroom_storage::{
    AncestryItem, Deleted, EntityRepository, FinalEntity, RefreshScope, StorageError,
};
use rusqlite::{Connection, Row, params};

use crate::SqliteStorage;
use crate::damage::{uid, unsigned, value};
use crate::statement;

pub(crate) use deletion::{Gone, delete_row};
pub(crate) use prune::{Pruning, prune_rest};
pub(crate) use refs::{ref_of_text, stored_ref, uid_of};

/// Reads the columns of [`find_final`]'s statements.
fn read_final(row: &Row<'_>) -> rusqlite::Result<FinalEntity> {
    let body: String = value(row, 3, "final_entities.final_entity")?;
    Ok(FinalEntity {
        uid: uid(row, 0, "final_entities.entity_id")?,
        entity_ref: stored_ref(row, 1, "final_entities.entity_ref")?,
        etag: value(row, 2, "final_entities.etag")?,
        body: Arc::from(body),
    })
}

/// The served entity with that ref text.
pub(crate) fn find_final(
    conn: &Connection,
    tenant: TenantId,
    entity_ref: &str,
) -> rusqlite::Result<Option<FinalEntity>> {
    statement::one(
        conn,
        "SELECT entity_id, entity_ref, etag, final_entity FROM final_entities
         WHERE tenant_id = ?1 AND entity_ref = ?2",
        params![tenant.0, entity_ref],
        read_final,
    )
}

fn find_by_uid(
    conn: &Connection,
    tenant: TenantId,
    uid: &EntityUid,
) -> rusqlite::Result<Option<FinalEntity>> {
    statement::one(
        conn,
        "SELECT entity_id, entity_ref, etag, final_entity FROM final_entities
         WHERE tenant_id = ?1 AND entity_id = ?2",
        params![tenant.0, uid.as_str()],
        read_final,
    )
}

/// Rows until their bodies reach that many bytes.
fn up_to(
    rows: impl Iterator<Item = rusqlite::Result<Option<FinalEntity>>>,
    max_bytes: usize,
) -> rusqlite::Result<Vec<Option<FinalEntity>>> {
    let (mut found, mut bytes) = (Vec::new(), 0_usize);
    for row in rows {
        let row = row?;
        bytes = bytes.saturating_add(row.as_ref().map_or(0, |entity| entity.body.len()));
        found.push(row);
        if bytes >= max_bytes {
            break;
        }
    }
    Ok(found)
}

#[async_trait]
impl EntityRepository for SqliteStorage {
    async fn find_entity(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
    ) -> Result<Option<FinalEntity>, StorageError> {
        let entity_ref = entity_ref.clone();
        self.read("find an entity", move |conn| {
            find_final(conn, tenant, entity_ref.as_str())
        })
        .await
    }

    async fn find_entity_by_uid(
        &self,
        tenant: TenantId,
        uid: &EntityUid,
    ) -> Result<Option<FinalEntity>, StorageError> {
        let uid = uid.clone();
        self.read("find an entity by uid", move |conn| {
            find_by_uid(conn, tenant, &uid)
        })
        .await
    }

    async fn find_entities_by_refs(
        &self,
        tenant: TenantId,
        refs: &[String],
        max_bytes: usize,
    ) -> Result<Vec<Option<FinalEntity>>, StorageError> {
        let refs = refs.to_vec();
        self.read("find entities by refs", move |conn| {
            let rows = refs.iter().map(|text| find_final(conn, tenant, text));
            up_to(rows, max_bytes)
        })
        .await
    }

    async fn find_entities_by_uids(
        &self,
        tenant: TenantId,
        uids: &[EntityUid],
        max_bytes: usize,
    ) -> Result<Vec<Option<FinalEntity>>, StorageError> {
        let uids = uids.to_vec();
        self.read("find entities by uids", move |conn| {
            let rows = uids.iter().map(|uid| find_by_uid(conn, tenant, uid));
            up_to(rows, max_bytes)
        })
        .await
    }

    async fn scan_entities(
        &self,
        tenant: TenantId,
        after: Option<&EntityUid>,
        limit: u32,
    ) -> Result<Vec<FinalEntity>, StorageError> {
        let after = after.map_or(String::new(), |uid| uid.as_str().to_owned());
        self.read("scan entities", move |conn| {
            statement::all(
                conn,
                "SELECT entity_id, entity_ref, etag, final_entity FROM final_entities
                 WHERE tenant_id = ?1 AND entity_id > ?2 ORDER BY entity_id LIMIT ?3",
                params![tenant.0, after, limit],
                read_final,
            )
        })
        .await
    }

    async fn ancestry(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
    ) -> Result<Option<Vec<AncestryItem>>, StorageError> {
        let entity_ref = entity_ref.clone();
        self.read("find an ancestry", move |conn| {
            ancestry::ancestry(conn, tenant, entity_ref)
        })
        .await
    }

    async fn delete_entity(
        &self,
        tenant: TenantId,
        uid: &EntityUid,
    ) -> Result<Deleted, StorageError> {
        let uid = uid.clone();
        self.write("delete an entity", move |tx| {
            deletion::delete_by_uid(tx, tenant, &uid)
        })
        .await
    }

    async fn refresh_entity(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
        scope: RefreshScope,
    ) -> Result<bool, StorageError> {
        let entity_ref = entity_ref.clone();
        self.write("refresh an entity", move |tx| {
            refresh::refresh(tx, tenant, &entity_ref, scope)
        })
        .await
    }

    async fn refresh_by_keys(
        &self,
        tenant: TenantId,
        keys: Vec<String>,
    ) -> Result<u64, StorageError> {
        let mut count = 0;
        for key in keys {
            let mut after = None;
            loop {
                let (key, last) = (key.clone(), after.take());
                let uids = self
                    .write("refresh entities by key", move |tx| {
                        refresh::refresh_keyed(tx, tenant, &key, last.as_ref())
                    })
                    .await?;
                count += uids.len() as u64;
                after = uids.last().cloned();
                if uids.len() < refresh::KEYED_AT_ONCE as usize {
                    break;
                }
            }
        }
        Ok(count)
    }

    async fn count_entities(&self, tenant: TenantId) -> Result<u64, StorageError> {
        self.read("count entities", move |conn| {
            let count = statement::one(
                conn,
                "SELECT count(*) FROM final_entities WHERE tenant_id = ?1",
                params![tenant.0],
                |row| unsigned(row, 0, "final_entities"),
            )?;
            Ok(count.unwrap_or(0))
        })
        .await
    }
}
