//! The first operator token: made once, kept in the data directory, shown only on a terminal (DESIGN §4).

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use greenroom_storage::{NewToken, Scope, Storage};
use sha2::{Digest as _, Sha256};

use super::data_dir::{DataDir, random_bytes};

/// Name of the file in the data directory.
pub(super) const FILE: &str = "operator-token";

/// Makes the operator token if its file is not there.
pub(super) async fn ensure(data: &DataDir, storage: &dyn Storage) -> anyhow::Result<()> {
    if data.read_private(FILE)?.is_some() {
        return Ok(());
    }
    let id: String = uuid::Uuid::new_v4()
        .simple()
        .to_string()
        .chars()
        .take(16)
        .collect();
    let secret = URL_SAFE_NO_PAD
        .encode(random_bytes()?)
        .replace(['-', '_'], "A");
    let token = NewToken {
        id: id.clone(),
        tenant: None,
        name: "operator".to_owned(),
        secret_hash: Sha256::digest(secret.as_bytes()).into(),
        scopes: vec![Scope::Operator],
        not_before: None,
        expires_at: None,
    };
    storage
        .create_token(token)
        .await
        .context("store the operator token")?;
    data.create_private(FILE, format!("gr_{id}_{secret}\n").as_bytes())
        .with_context(|| format!("write `{}`", data.shown(FILE)))
}
