//! What the first eight bytes of an upload say (a01–a04). Only that is looked at here: the API parses no component; a
//! compile child does, and what it dislikes ends as a rejected revision.

/// Why bytes cannot be a component; each its own sentence.
pub(super) fn refusal(bytes: &[u8]) -> Option<&'static str> {
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    const ARCHIVES: [(&[u8], &str); 6] = [
        (b"\x1f\x8b", "looks like gzip: send the component's bytes"),
        (b"PK", "looks like zip: send the component's bytes"),
        (
            b"\x28\xb5\x2f\xfd",
            "looks like zstd: send the component's bytes",
        ),
        (b"\xfd7zXZ", "looks like xz: send the component's bytes"),
        (b"BZh", "looks like bzip2: send the component's bytes"),
        (
            b"{",
            "looks like JSON, perhaps an OCI manifest: send the component's bytes",
        ),
    ];
    if bytes.starts_with(COMPONENT) {
        return None;
    }
    if bytes.is_empty() {
        return Some("the body is empty: send the component's bytes");
    }
    if bytes.starts_with(MODULE) {
        return Some("this is a core module; build for wasm32-wasip2 or wrap it");
    }
    if bytes.starts_with(b"\x7fELF") {
        return Some("precompiled code is never accepted; send the component it was compiled from");
    }
    if let Some((_, sentence)) = ARCHIVES.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(sentence);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Some("looks like tar: send the component's bytes");
    }
    if bytes.starts_with(b"(") {
        return Some("this is Wasm text; assemble it to a binary component first");
    }
    if bytes.starts_with(b"\0asm") {
        return Some("this is Wasm of a version that is not supported; build for wasm32-wasip2");
    }
    Some("this is not a Wasm component; build for wasm32-wasip2 and send the .wasm file")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each kind of archive begins with, around whatever it holds.
    #[test]
    fn a04_archives_are_named_and_the_bytes_are_asked_for() {
        let tar = [vec![b'a'; 257], b"ustar\0".to_vec()].concat();
        let archives: [(&[u8], &str); 10] = [
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"PK\x03\x04", "zip"),
            (b"PK\x05\x06", "zip"),
            (b"\x28\xb5\x2f\xfd", "zstd"),
            (b"\xfd7zXZ\0", "xz"),
            (b"BZh9", "bzip2"),
            (&tar, "tar"),
            (
                br#"{"imageLayoutVersion":"1.0.0"}"#,
                "JSON, perhaps an OCI manifest",
            ),
            (br#"{"schemaVersion":2}"#, "JSON, perhaps an OCI manifest"),
            (b"{", "JSON, perhaps an OCI manifest"),
        ];
        for (bytes, name) in archives {
            let sentence = format!("looks like {name}: send the component's bytes");
            assert_eq!(refusal(bytes), Some(sentence.as_str()), "{bytes:?}");
        }
    }

    #[test]
    fn a01_a02_a03_a04_each_has_its_own_sentence() {
        assert_eq!(refusal(b"\0asm\x0d\0\x01\0rest"), None);
        let bad: [&[u8]; 8] = [
            b"",
            b"(component)",
            b"\x91\x02\x33\x04\x55\x06\x77\x08",
            b"\0asm\x01\0\0\0",
            b"\x7fELF\x02\x01\x01\0",
            b"\x1f\x8b\x08\0\0\0\0\0",
            b"PK\x03\x04\0\0\0\0",
            b"\0asm\x0a\0\x01\0",
        ];
        let sentences: std::collections::HashSet<_> =
            bad.iter().map(|bytes| refusal(bytes).unwrap()).collect();
        assert_eq!(sentences.len(), bad.len());
        assert!(refusal(b"\0asm").is_some());
    }
}
