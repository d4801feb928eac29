//! Final entities, and what the API does to entities: delete by uid, refresh, ancestry.
//!
//! Reads are one statement each: by name is what is asked most, and costs one round trip.

mod ancestry;
mod deletion;
mod prune;
mod refresh;
mod refs;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use async_trait::async_trait;
use greenroom_model::{EntityRef, EntityUid, TenantId};
use greenroom_storage::{
    AncestryItem, Deleted, EntityRepository, FinalEntity, RefreshScope, StorageError,
};
use tokio_postgres::Row;

use crate::PostgresStorage;
use crate::damage::{stored, text, uid};
use crate::text::{Text, texts};

pub(crate) use deletion::delete;
pub(crate) use prune::{Pruning, prune_rest};
pub(crate) use refs::{ref_of_text, ref_texts, stored_ref, uid_of, uid_texts, uids_of};

/// Reads the first four columns of the statements below.
pub(crate) fn read_final(row: &Row) -> Result<FinalEntity, StorageError> {
    Ok(FinalEntity {
        uid: uid(row, 0, "final_entities.entity_id")?,
        entity_ref: stored_ref(row, 1, "final_entities.entity_ref")?,
        etag: text(row, 2, "final_entities.etag")?,
        body: Arc::from(text(row, 3, "final_entities.final_entity")?),
    })
}

/// What was found in the order asked for, up to the one with which the bodies reach that many bytes.
fn in_order<K: Eq + Hash>(
    asked: impl Iterator<Item = K>,
    found: &HashMap<K, FinalEntity>,
    max_bytes: usize,
) -> Vec<Option<FinalEntity>> {
    let (mut answer, mut bytes) = (Vec::new(), 0_usize);
    for key in asked {
        let entity = found.get(&key).cloned();
        bytes = bytes.saturating_add(entity.as_ref().map_or(0, |entity| entity.body.len()));
        answer.push(entity);
        if bytes >= max_bytes {
            break;
        }
    }
    answer
}

/// The bound that the statements take: what is found first comes however small it is.
fn stored_bound(max_bytes: usize) -> i64 {
    stored(max_bytes.max(1) as u64)
}

#[async_trait]
impl EntityRepository for PostgresStorage {
    async fn find_entity(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
    ) -> Result<Option<FinalEntity>, StorageError> {
        self.read_one(
            "find an entity",
            "SELECT entity_id, entity_ref, etag, final_entity FROM final_entities
             WHERE tenant_id = $1 AND entity_ref = $2",
            &[&tenant.0, &Text(entity_ref.as_str())],
            read_final,
        )
        .await
    }

    async fn find_entity_by_uid(
        &self,
        tenant: TenantId,
        uid: &EntityUid,
    ) -> Result<Option<FinalEntity>, StorageError> {
        self.read_one(
            "find an entity by uid",
            "SELECT entity_id, entity_ref, etag, final_entity FROM final_entities
             WHERE tenant_id = $1 AND entity_id = $2",
            &[&tenant.0, &Text(uid.as_str())],
            read_final,
        )
        .await
    }

    /// Bodies are sent up to the bound and no further; `octet_length` does not unpack them.
    async fn find_entities_by_refs(
        &self,
        tenant: TenantId,
        refs: &[String],
        max_bytes: usize,
    ) -> Result<Vec<Option<FinalEntity>>, StorageError> {
        let found = self
            .read_all(
                "find entities by refs",
                "SELECT entity_id, entity_ref, etag, final_entity FROM (
                     SELECT f.entity_id, f.entity_ref, f.etag, f.final_entity,
                         sum(octet_length(f.final_entity)) OVER (ORDER BY asked.n)
                             - octet_length(f.final_entity) AS bytes_before
                     FROM unnest($2::text[]) WITH ORDINALITY asked (entity_ref, n)
                     JOIN final_entities f ON f.tenant_id = $1 AND f.entity_ref = asked.entity_ref
                 ) found WHERE bytes_before < $3",
                &[
                    &tenant.0,
                    &texts(refs.iter().map(String::as_str)),
                    &stored_bound(max_bytes),
                ],
                read_final,
            )
            .await?;
        let found: HashMap<String, FinalEntity> = found
            .into_iter()
            .map(|entity| (entity.entity_ref.to_string(), entity))
            .collect();
        Ok(in_order(refs.iter().cloned(), &found, max_bytes))
    }

    async fn find_entities_by_uids(
        &self,
        tenant: TenantId,
        uids: &[EntityUid],
        max_bytes: usize,
    ) -> Result<Vec<Option<FinalEntity>>, StorageError> {
        let found = self
            .read_all(
                "find entities by uids",
                "SELECT entity_id, entity_ref, etag, final_entity FROM (
                     SELECT f.entity_id, f.entity_ref, f.etag, f.final_entity,
                         sum(octet_length(f.final_entity)) OVER (ORDER BY asked.n)
                             - octet_length(f.final_entity) AS bytes_before
                     FROM unnest($2::text[]) WITH ORDINALITY asked (entity_id, n)
                     JOIN final_entities f ON f.tenant_id = $1 AND f.entity_id = asked.entity_id
                 ) found WHERE bytes_before < $3",
                &[&tenant.0, &uid_texts(uids), &stored_bound(max_bytes)],
                read_final,
            )
            .await?;
        let found: HashMap<EntityUid, FinalEntity> = found
            .into_iter()
            .map(|entity| (entity.uid.clone(), entity))
            .collect();
        Ok(in_order(uids.iter().cloned(), &found, max_bytes))
    }

    async fn scan_entities(
        &self,
        tenant: TenantId,
        after: Option<&EntityUid>,
        limit: u32,
    ) -> Result<Vec<FinalEntity>, StorageError> {
        let after = after.map_or("", EntityUid::as_str);
        self.read_all(
            "scan entities",
            "SELECT entity_id, entity_ref, etag, final_entity FROM final_entities
             WHERE tenant_id = $1 AND entity_id > $2 ORDER BY entity_id LIMIT $3",
            &[&tenant.0, &Text(after), &i64::from(limit)],
            read_final,
        )
        .await
    }

    async fn ancestry(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
    ) -> Result<Option<Vec<AncestryItem>>, StorageError> {
        ancestry::ancestry(self, tenant, entity_ref).await
    }

    async fn delete_entity(
        &self,
        tenant: TenantId,
        uid: &EntityUid,
    ) -> Result<Deleted, StorageError> {
        deletion::delete_by_uid(self, tenant, uid).await
    }

    async fn refresh_entity(
        &self,
        tenant: TenantId,
        entity_ref: &EntityRef,
        scope: RefreshScope,
    ) -> Result<bool, StorageError> {
        refresh::refresh(self, tenant, entity_ref, scope).await
    }

    async fn refresh_by_keys(
        &self,
        tenant: TenantId,
        keys: Vec<String>,
    ) -> Result<u64, StorageError> {
        refresh::refresh_by_keys(self, tenant, &keys).await
    }

    async fn count_entities(&self, tenant: TenantId) -> Result<u64, StorageError> {
        self.read_count(
            "count entities",
            "SELECT count(*) FROM final_entities WHERE tenant_id = $1",
            &[&tenant.0],
        )
        .await
    }
}
