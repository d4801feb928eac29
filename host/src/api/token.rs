//! Bearer tokens as text: `gr_<id>_<secret>`, both of lower-case hex digits.
//!
//! The text is made here and shown once; storage keeps the SHA-256 of the secret. The secret has 256 random bits of the
//! operating system, so a plain hash is enough. Nothing here implements `Display` or derives `Debug` over a secret.

use rand::TryRng as _;
use rand::rngs::SysRng;
use sha2::{Digest as _, Sha256};

/// Longest bearer credential that is looked at.
const MAX_TEXT_BYTES: usize = 256;

/// A token just made.
pub(crate) struct TokenSecret {
    /// The public part, as stored and listed.
    pub(crate) id: String,
    /// SHA-256 of the secret part, as stored.
    pub(crate) secret_hash: [u8; 32],
    /// `gr_<id>_<secret>`, to be shown once.
    pub(crate) text: String,
}

/// Makes a token.
pub(crate) fn new_token() -> TokenSecret {
    let id = random_hex::<8>();
    let secret = random_hex::<32>();
    TokenSecret {
        secret_hash: hash(&secret),
        text: format!("gr_{id}_{secret}"),
        id,
    }
}

/// The SHA-256 of a secret part.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Takes a credential apart into id and secret; `None` if it has not the form of one.
pub(crate) fn parse(text: &str) -> Option<(&str, &str)> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    let (id, secret) = text.strip_prefix("gr_")?.split_once('_')?;
    let plain =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (plain(id) && plain(secret)).then_some((id, secret))
}

/// `N` random bytes as hex digits.
pub(crate) fn random_hex<const N: usize>() -> String {
    random_bytes::<N>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// `N` random bytes of the operating system.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .expect("the operating system has randomness once the process runs");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i01_only_the_form_is_taken_apart() {
        let token = new_token();
        let (id, secret) = parse(&token.text).unwrap();
        assert_eq!((id, hash(secret)), (token.id.as_str(), token.secret_hash));
        for bad in [
            "", "gr_", "gr__", "gr_a_", "gr__b", "gr_a_b_c", "gr_a_b\0", "gr_ä_b", "Gr_a_b", "a_b",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
        assert!(parse(&format!("gr_a_{}", "b".repeat(100_000))).is_none());
    }
}
