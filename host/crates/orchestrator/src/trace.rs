//! The digest of what a read gave. Equality of reads is this digest, never an `ETag` (DESIGN §2.1): it is what a memo
//! holds and what storage compares.

use greenroom_model::Digest;
use greenroom_sandbox::ReadOutcome;

/// The digest of an outcome, its contents and its address included. Parts are labelled and length-framed (c29).
pub fn outcome_digest(outcome: &ReadOutcome) -> Digest {
    match outcome {
        ReadOutcome::Document {
            final_url, digest, ..
        } => Digest::of_parts([
            b"document".as_slice(),
            digest.as_bytes(),
            final_url.as_bytes(),
        ]),
        ReadOutcome::Listing(entries) => Digest::of_parts(
            std::iter::once(b"listing".as_slice()).chain(entries.iter().map(String::as_bytes)),
        ),
        ReadOutcome::NotFound => Digest::of_parts([b"not-found".as_slice()]),
        ReadOutcome::Refused(reason) => {
            Digest::of_parts([b"refused".as_slice(), reason.as_bytes()])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c29_outcomes_that_concatenate_alike_differ() {
        let listing = |entries: &[&str]| {
            outcome_digest(&ReadOutcome::Listing(
                entries.iter().map(ToString::to_string).collect(),
            ))
        };
        assert_ne!(listing(&["ab", "c"]), listing(&["a", "bc"]));
        assert_ne!(listing(&[]), outcome_digest(&ReadOutcome::NotFound));
        assert_ne!(
            outcome_digest(&ReadOutcome::Refused("x".into())),
            listing(&["x"])
        );
    }
}
