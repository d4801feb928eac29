//! The lines of a mutation over HTTP (h21): whatever pieces they come in, the answer is the same, and without the closing line
//! there is none.

use greenroom::api::read_mutation;
use greenroom_storage::MutationKind;

/// Reads the bytes as a mutation, whole and in pieces.
pub fn run(data: &[u8]) {
    for kind in [MutationKind::Delta, MutationKind::Full] {
        let whole = read_mutation(kind, "fuzz", [data]);
        let pieces = read_mutation(kind, "fuzz", data.chunks(7));
        match (whole, pieces) {
            (Ok(whole), Ok(pieces)) => {
                assert_eq!(whole.added.len(), pieces.added.len());
                assert_eq!(whole.removed, pieces.removed);
                assert!(kind == MutationKind::Delta || whole.removed.is_empty());
                assert!(
                    data.windows(8).any(|word| word == b"\"commit\""),
                    "a closing line was there"
                );
                for added in &whole.added {
                    assert!(serde_json::from_str::<serde_json::Value>(&added.unprocessed).is_ok());
                }
            }
            (Err(whole), Err(pieces)) => assert_eq!(whole, pieces),
            (whole, pieces) => panic!("whole {:?}, in pieces {:?}", whole.err(), pieces.err()),
        }
    }
}
