//! Bearer tokens; only the hash of a secret is here.

use async_trait::async_trait;
use greenroom_model::TenantId;
use greenroom_storage::{NewToken, StorageError, Token, TokenRepository};
use rusqlite::{Row, params};

use crate::damage::{bytes32, json, optional_timestamp, timestamp, to_json, value};
use crate::sqlite_storage::SqliteStorage;
use crate::statement;

#[async_trait]
impl TokenRepository for SqliteStorage {
    async fn create_token(&self, token: NewToken) -> Result<Token, StorageError> {
        self.write("create a token", move |tx| {
            let now = tx.now();
            tx.run(
                "INSERT INTO tokens (token_id, tenant_id, name, secret_hash, scopes, created_at, expires_at, not_before)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    token.id,
                    token.tenant.map(|tenant| tenant.0),
                    token.name,
                    token.secret_hash,
                    to_json(&token.scopes)?,
                    now.0,
                    token.expires_at.map(|at| at.0),
                    token.not_before.map(|at| at.0),
                ],
            )?;
            Ok(Token {
                id: token.id,
                tenant: token.tenant,
                name: token.name,
                secret_hash: token.secret_hash,
                scopes: token.scopes,
                created_at: now,
                not_before: token.not_before,
                expires_at: token.expires_at,
                revoked_at: None,
            })
        })
        .await
    }

    async fn find_token(&self, id: &str) -> Result<Option<Token>, StorageError> {
        let id = id.to_owned();
        self.read("find a token", move |conn| {
            statement::one(
                conn,
                "SELECT token_id, tenant_id, name, secret_hash, scopes, created_at, expires_at, revoked_at, not_before
                 FROM tokens WHERE token_id = ?1",
                params![id],
                read_token,
            )
        })
        .await
    }

    async fn list_tokens(&self, tenant: Option<TenantId>) -> Result<Vec<Token>, StorageError> {
        self.read("list tokens", move |conn| {
            statement::all(
                conn,
                "SELECT token_id, tenant_id, name, secret_hash, scopes, created_at, expires_at, revoked_at, not_before
                 FROM tokens WHERE tenant_id IS ?1 ORDER BY created_at DESC, rowid DESC",
                params![tenant.map(|tenant| tenant.0)],
                read_token,
            )
        })
        .await
    }

    async fn revoke_token(&self, tenant: Option<TenantId>, id: &str) -> Result<bool, StorageError> {
        let id = id.to_owned();
        self.write("revoke a token", move |tx| {
            let now = tx.now_ms();
            let found = tx.run(
                "UPDATE tokens SET revoked_at = coalesce(revoked_at, ?3) WHERE token_id = ?1 AND tenant_id IS ?2",
                params![id, tenant.map(|tenant| tenant.0), now],
            )?;
            Ok(found > 0)
        })
        .await
    }
}

fn read_token(row: &Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        id: value(row, 0, "tokens.token_id")?,
        tenant: value::<Option<i64>>(row, 1, "tokens.tenant_id")?.map(TenantId),
        name: value(row, 2, "tokens.name")?,
        secret_hash: bytes32(row, 3, "tokens.secret_hash")?,
        scopes: json(row, 4, "tokens.scopes")?,
        created_at: timestamp(row, 5, "tokens.created_at")?,
        expires_at: optional_timestamp(row, 6, "tokens.expires_at")?,
        revoked_at: optional_timestamp(row, 7, "tokens.revoked_at")?,
        not_before: optional_timestamp(row, 8, "tokens.not_before")?,
    })
}
