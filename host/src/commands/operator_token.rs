//! The operator token that the host begins with (DESIGN §4): of the file that the operator names, or made once and kept in the
//! data directory. It is never printed, only where it is.
//!
//! Hosts that share a database are given the same one, so that what an operator's scripts hold works at each of them. The file
//! comes first and storage is told what is in it: a start that was cut off, a database that is new or an old one that was
//! restored leaves nobody with a token that opens nothing.

use std::path::Path;

use anyhow::{Context as _, bail};
use greenroom_storage::{NewToken, Scope, Storage};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::data_dir::{DataDir, random_bytes};
use crate::config::Config;

/// Name of the file in the data directory.
pub(super) const FILE: &str = "operator-token";
/// Fewest characters of an id and of a secret: what can be guessed is no token.
const MIN_ID_CHARS: usize = 8;
const MIN_SECRET_CHARS: usize = 32;
/// Most characters of a token, as the API looks at.
const MAX_CHARS: usize = 256;

/// Makes storage know the token, made first if its file is not there. Answers where the file is, for people.
pub(super) async fn ensure(
    config: &Config,
    data: &DataDir,
    storage: &dyn Storage,
) -> anyhow::Result<String> {
    let (shown, text) = match &config.operator_token_file {
        Some(path) => (path.display().to_string(), of_file(path)?),
        None => (data.shown(FILE), of_data_dir(data)?),
    };
    let Some((id, secret)) = parts(text.trim()) else {
        bail!(
            "`{shown}` holds no operator token: write one with \
             `printf 'gr_%s_%s' $(openssl rand -hex 8) $(openssl rand -hex 32) > {shown}`"
        );
    };
    admit(storage, id, secret, &shown).await?;
    Ok(shown)
}

fn of_file(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    #[expect(
        clippy::disallowed_methods,
        reason = "commands read the files that the configuration names"
    )]
    let text = std::fs::read_to_string(path);
    text.with_context(|| format!("read the operator token `{shown}`"))
}

fn of_data_dir(data: &DataDir) -> anyhow::Result<String> {
    loop {
        if let Some(bytes) = data.read_private(FILE)? {
            return Ok(String::from_utf8(bytes).unwrap_or_default());
        }
        let id = hex(&random_bytes()?[..8]);
        let secret = hex(&random_bytes()?);
        match data.create_private(FILE, format!("gr_{id}_{secret}\n").as_bytes()) {
            Ok(()) => {}
            // Another process of this directory was quicker.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("write `{}`", data.shown(FILE)));
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Id and secret of `gr_<id>_<secret>`.
fn parts(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix("gr_")?.split_once('_')?;
    let plain = |part: &str, least| {
        part.len() >= least && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let whole = plain(id, MIN_ID_CHARS) && plain(secret, MIN_SECRET_CHARS);
    (whole && text.len() <= MAX_CHARS).then_some((id, secret))
}

async fn admit(storage: &dyn Storage, id: &str, secret: &str, shown: &str) -> anyhow::Result<()> {
    let secret_hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
    let token = NewToken {
        id: id.to_owned(),
        tenant: None,
        name: "operator".to_owned(),
        secret_hash,
        scopes: vec![Scope::Operator],
        not_before: None,
        expires_at: None,
    };
    let known = match storage.find_token(id).await? {
        Some(known) => known,
        None => match storage.create_token(token).await {
            Ok(created) => created,
            // Of hosts that start at once with the same token, one is the first.
            Err(error) => match storage.find_token(id).await? {
                Some(known) => known,
                None => return Err(error).context("store the operator token"),
            },
        },
    };
    if known.secret_hash != secret_hash || known.tenant.is_some() {
        bail!(
            "`{shown}` holds a token whose id is another's in the database: write one with another id"
        );
    }
    if known.revoked_at.is_some() {
        warn!(
            file = shown,
            token.id = id,
            "the operator token is revoked: write another into its file, or remove the file"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_guessed_is_no_token() {
        let secret = "0".repeat(MIN_SECRET_CHARS);
        let whole = format!("gr_12345678_{secret}");
        assert_eq!(parts(&whole), Some(("12345678", secret.as_str())));
        let long = format!("gr_12345678_{}", "0".repeat(MAX_CHARS));
        for text in [
            "",
            "gr_",
            "gr_12345678_",
            &whole[1..],
            &whole[..whole.len() - 1],
            &whole.replace("12345678", "1234567"),
            &whole.replace('0', "é"),
            &format!("{whole}_x"),
            &long,
        ] {
            assert_eq!(parts(text), None, "{text}");
        }
    }
}
