//! The key that authenticates stored artifacts: of the file that the operator names, or the data directory's own.
//!
//! Workers on several machines share a database, so they must share the key: an artifact under another key is compiled
//! again. The key is never in the database, because who can write rows must not be able to forge code.

use std::path::Path;

use anyhow::{Context as _, bail};

use super::data_dir::DataDir;
use crate::config::Config;

/// The key; says what to write where the named file holds none.
pub(super) fn read(config: &Config, data: &DataDir) -> anyhow::Result<[u8; 32]> {
    match &config.artifact_key_file {
        Some(path) => of_file(path),
        None => data.artifact_key(),
    }
}

fn of_file(path: &Path) -> anyhow::Result<[u8; 32]> {
    let shown = path.display();
    #[expect(
        clippy::disallowed_methods,
        reason = "commands read the files that the configuration names"
    )]
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("read the artifact key `{shown}`"))?;
    match of_hex(text.trim()) {
        Some(key) => Ok(key),
        None => bail!("`{shown}` holds no key: write one with `openssl rand -hex 32 > {shown}`"),
    }
}

fn of_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_64_hex_digits() {
        let key = of_hex(&"0aF9".repeat(16)).unwrap();
        assert_eq!(key[..4], [0x0a, 0xf9, 0x0a, 0xf9]);
        for text in [
            String::new(),
            "0".repeat(63),
            "g".repeat(64),
            "é".repeat(32),
        ] {
            assert_eq!(of_hex(&text), None, "{text}");
        }
    }
}
