//! Bearer tokens, stored hashed (DESIGN §4).
use crate::StorageError;
use async_trait::async_trait;
use greenroom_model::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// What a token may do. `Operator` is over all tenants; the others are within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Read the catalog.
    Read,
    /// Change the catalog: locations, mutations, refresh, deletes.
    Write,
    /// Upload, activate, roll back processors.
    Deploy,
    /// Everything within the tenant, its tokens and faults included.
    Admin,
    /// Everything, in every tenant.
    Operator,
}

/// A stored token. Its secret is not here; only the SHA-256 of it.
#[derive(Debug, Clone)]
pub struct Token {
    /// The public part of `gr_<id>_<secret>`.
    pub id: String,
    /// Its tenant; none for an operator token.
    pub tenant: Option<TenantId>,
    /// A name for people.
    pub name: String,
    /// SHA-256 of the secret part.
    pub secret_hash: [u8; 32],
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is good, if not at once.
    pub not_before: Option<Timestamp>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A token to store.
#[derive(Debug)]
pub struct NewToken {
    /// See [`Token::id`].
    pub id: String,
    /// See [`Token::tenant`].
    pub tenant: Option<TenantId>,
    /// See [`Token::name`].
    pub name: String,
    /// See [`Token::secret_hash`].
    pub secret_hash: [u8; 32],
    /// See [`Token::scopes`].
    pub scopes: Vec<Scope>,
    /// See [`Token::not_before`].
    pub not_before: Option<Timestamp>,
    /// See [`Token::expires_at`].
    pub expires_at: Option<Timestamp>,
}

/// All tokens; works across tenants.
#[async_trait]
pub trait TokenRepository {
    /// Stores a token.
    async fn create_token(&self, token: NewToken) -> Result<Token, StorageError>;
    /// The token with that id, revoked and expired ones included.
    async fn find_token(&self, id: &str) -> Result<Option<Token>, StorageError>;
    /// The tokens of a tenant, or with `None` the operator tokens, newest first.
    async fn list_tokens(&self, tenant: Option<TenantId>) -> Result<Vec<Token>, StorageError>;
    /// Revokes a token of that tenant (`None`: an operator token); `false` if there is none.
    async fn revoke_token(&self, tenant: Option<TenantId>, id: &str) -> Result<bool, StorageError>;
}
