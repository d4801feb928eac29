//! Bearer tokens; only the hash of a secret is here.

use async_trait::async_trait;
use greenroom_model::TenantId;
use greenroom_storage::{NewToken, StorageError, Token, TokenRepository};
use tokio_postgres::Row;

use crate::damage::{bytes32, json, optional_timestamp, text, timestamp, to_json, value};
use crate::postgres_storage::PostgresStorage;
use crate::text::Text;

#[async_trait]
impl TokenRepository for PostgresStorage {
    async fn create_token(&self, token: NewToken) -> Result<Token, StorageError> {
        let tx = self.begin("create a token").await?;
        let scopes = to_json(tx.operation(), &token.scopes)?;
        tx.run(
            "INSERT INTO tokens (token_id, tenant_id, name, secret_hash, scopes, created_at, expires_at, not_before)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            &[
                &Text(&token.id),
                &token.tenant.map(|tenant| tenant.0),
                &Text(&token.name),
                &token.secret_hash.as_slice(),
                &Text(&scopes),
                &tx.now_ms(),
                &token.expires_at.map(|at| at.0),
                &token.not_before.map(|at| at.0),
            ],
        )
        .await?;
        let created_at = tx.now();
        tx.commit().await?;
        Ok(Token {
            id: token.id,
            tenant: token.tenant,
            name: token.name,
            secret_hash: token.secret_hash,
            scopes: token.scopes,
            created_at,
            not_before: token.not_before,
            expires_at: token.expires_at,
            revoked_at: None,
        })
    }

    async fn find_token(&self, id: &str) -> Result<Option<Token>, StorageError> {
        self.read_one(
            "find a token",
            "SELECT token_id, tenant_id, name, secret_hash, scopes, created_at, expires_at, revoked_at, not_before
             FROM tokens WHERE token_id = $1",
            &[&Text(id)],
            read_token,
        )
        .await
    }

    async fn list_tokens(&self, tenant: Option<TenantId>) -> Result<Vec<Token>, StorageError> {
        const OPERATION: &str = "list tokens";
        // Two statements, because an index serves `=` and `IS NULL` but not `IS NOT DISTINCT FROM`.
        match tenant {
            Some(tenant) => {
                self.read_all(
                    OPERATION,
                    "SELECT token_id, tenant_id, name, secret_hash, scopes, created_at, expires_at, revoked_at, not_before
                     FROM tokens WHERE tenant_id = $1 ORDER BY created_at DESC, token_id",
                    &[&tenant.0],
                    read_token,
                )
                .await
            }
            None => {
                self.read_all(
                    OPERATION,
                    "SELECT token_id, tenant_id, name, secret_hash, scopes, created_at, expires_at, revoked_at, not_before
                     FROM tokens WHERE tenant_id IS NULL ORDER BY created_at DESC, token_id",
                    &[],
                    read_token,
                )
                .await
            }
        }
    }

    async fn revoke_token(&self, tenant: Option<TenantId>, id: &str) -> Result<bool, StorageError> {
        let tx = self.begin("revoke a token").await?;
        let found = tx
            .run(
                "UPDATE tokens SET revoked_at = coalesce(revoked_at, $3)
                 WHERE token_id = $1 AND tenant_id IS NOT DISTINCT FROM $2",
                &[&Text(id), &tenant.map(|tenant| tenant.0), &tx.now_ms()],
            )
            .await?;
        tx.commit().await?;
        Ok(found > 0)
    }
}

fn read_token(row: &Row) -> Result<Token, StorageError> {
    Ok(Token {
        id: text(row, 0, "tokens.token_id")?,
        tenant: value::<Option<i64>>(row, 1, "tokens.tenant_id")?.map(TenantId),
        name: text(row, 2, "tokens.name")?,
        secret_hash: bytes32(row, 3, "tokens.secret_hash")?,
        scopes: json(row, 4, "tokens.scopes")?,
        created_at: timestamp(row, 5, "tokens.created_at")?,
        expires_at: optional_timestamp(row, 6, "tokens.expires_at")?,
        revoked_at: optional_timestamp(row, 7, "tokens.revoked_at")?,
        not_before: optional_timestamp(row, 8, "tokens.not_before")?,
    })
}
