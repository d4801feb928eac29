//! Documents given as fixtures, answered as the host answers wants.

use greenroom_model::Digest;

use super::Test;
use crate::bindings::greenroom::processor::types as wit;

/// What a URL or pattern gives.
#[derive(Clone, Debug)]
pub(super) enum Fixture {
    Document(Vec<u8>),
    Listing(Vec<String>),
    Missing,
    Refused(String),
}

/// Answers one want; a read nobody thought of is a mistake of the test.
pub(super) fn resolve(test: &Test, want: wit::Want) -> wit::Read {
    let (key, listing) = match &want {
        wit::Want::Get(url) => (url, false),
        wit::Want::List(pattern) => (pattern, true),
    };
    let found = test.fixtures.iter().rev().find(|(name, fixture)| {
        name == key
            && match fixture {
                Fixture::Document(_) => !listing,
                Fixture::Listing(_) => listing,
                Fixture::Missing | Fixture::Refused(_) => true,
            }
    });
    let Some((_, fixture)) = found else {
        panic!("the processor wants `{key}`, for which the test gives nothing; add a fixture");
    };
    let outcome = match fixture {
        Fixture::Document(body) => wit::ReadOutcome::Document(wit::Document {
            body: body.clone(),
            final_url: key.clone(),
            digest: Digest::of(body).to_string(),
        }),
        Fixture::Listing(urls) => {
            let mut urls = urls.clone();
            urls.sort();
            wit::ReadOutcome::Listing(urls)
        }
        Fixture::Missing => wit::ReadOutcome::NotFound,
        Fixture::Refused(reason) => wit::ReadOutcome::Refused(reason.clone()),
    };
    wit::Read { want, outcome }
}
