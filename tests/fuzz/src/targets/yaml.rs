//! YAML as catalog files are read (section Y): any bytes give documents or errors with a place, and never more than the
//! limits allow.

use greenroom_sdk::yaml::{MAX_ALIASED_BYTES, MAX_DOCUMENTS, document, documents};
/// Reads the bytes as a stream and as one document.
pub fn run(data: &[u8]) {
    let read = documents(data);
    assert!(read.len() <= MAX_DOCUMENTS + 1);
    for document in &read {
        match document {
            Ok((value, position)) => {
                assert!(position.line >= 1 && position.column >= 1);
                // Aliases may copy so much, and everything else stands in the stream itself. A JSON text is longer than its
                // YAML by quotes, commas and escapes.
                let bytes = serde_json::to_vec(value).map_or(0, |text| text.len());
                assert!(
                    bytes <= MAX_ALIASED_BYTES * 8 + data.len() * 16 + 64,
                    "{bytes} bytes"
                );
            }
            Err(error) => {
                assert!(error.line >= 1 && !error.message.is_empty());
                assert!(
                    error.message.len() < 1024,
                    "errors do not quote the document: {error}"
                );
            }
        }
    }
    assert_eq!(
        read,
        documents(data),
        "the same bytes give the same documents"
    );
    if let Ok(value) = document(data) {
        assert!(
            read.iter()
                .all(|read| read.as_ref().is_ok_and(|(first, _)| *first == value))
        );
    }
}
