//! Reads of a batch, answered from its files before anybody else is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use greenroom_model::rules::glob_matches;
use greenroom_model::{Digest, GivenFile, GivenFiles, NOWHERE};
use greenroom_orchestrator::{Read, ReadOutcome, Want};
use greenroom_storage::ReadKey;

use crate::{ReadAnswer, ReadSource, Reading, Wanted};

/// Most paths that a report says were wanted.
const MAX_WANTED: usize = 1_000;

/// Answers from the files of a batch, then from elsewhere.
pub(super) struct GivenReads<'a> {
    given: &'a GivenFiles,
    documents: BTreeMap<String, (Arc<[u8]>, Digest)>,
    elsewhere: &'a dyn ReadSource,
    wanted: Mutex<BTreeSet<String>>,
}

impl<'a> GivenReads<'a> {
    pub(super) fn new(given: &'a GivenFiles, elsewhere: &'a dyn ReadSource) -> Self {
        let files = given.files.iter().chain(&given.references);
        let document = |file: &GivenFile| {
            let body: Arc<[u8]> = file.text.as_bytes().into();
            let digest = Digest::of(&body);
            (given.url_of(&file.path), (body, digest))
        };
        Self {
            given,
            documents: files.map(document).collect(),
            elsewhere,
            wanted: Mutex::default(),
        }
    }

    /// Paths below the base that were read and not given.
    pub(super) fn into_wanted(self) -> Vec<String> {
        let wanted = self.wanted.into_inner();
        let wanted = wanted.unwrap_or_else(PoisonError::into_inner);
        wanted.into_iter().collect()
    }

    fn answer(&self, want: &Want) -> Option<ReadOutcome> {
        let outcome = match want {
            Want::Get(url) => {
                let plain = url.split(['?', '#']).next().unwrap_or(url);
                if let Some((body, digest)) = self.documents.get(plain) {
                    return Some(ReadOutcome::Document {
                        body: Arc::clone(body),
                        final_url: url.clone(),
                        digest: *digest,
                    });
                }
                self.note(self.given.path_of(url)?);
                ReadOutcome::NotFound
            }
            Want::List(pattern) => {
                let found = self.documents.keys();
                let found: Vec<String> = found
                    .filter(|url| glob_matches(pattern, url))
                    .cloned()
                    .collect();
                if found.is_empty() && !pattern.starts_with(&self.given.base) {
                    return None;
                }
                ReadOutcome::Listing(found)
            }
        };
        // Where the files have a place in the world, what is not among them may be there already.
        (self.given.base == NOWHERE).then_some(outcome)
    }

    fn note(&self, path: String) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.len() < MAX_WANTED {
            wanted.insert(path);
        }
    }
}

#[async_trait]
impl ReadSource for GivenReads<'_> {
    async fn read(&self, wanted: Wanted<'_>) -> ReadAnswer {
        let wants = &wanted.reads.wants;
        let mut answers: Vec<Option<Reading>> = wants
            .iter()
            .map(|want| self.answer(want).map(|outcome| reading(want, outcome)))
            .collect();
        let mut others = wanted.reads.clone();
        others.wants = wants
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| answer.is_none())
            .map(|(want, _)| want.clone())
            .collect();
        if !others.wants.is_empty() {
            let elsewhere = Wanted {
                reads: &others,
                ..wanted
            };
            match self.elsewhere.read(elsewhere).await {
                ReadAnswer::Read(found) => {
                    let open = answers.iter_mut().filter(|answer| answer.is_none());
                    for (answer, found) in open.zip(found) {
                        *answer = Some(found);
                    }
                }
                unavailable @ ReadAnswer::Unavailable { .. } => return unavailable,
            }
        }
        ReadAnswer::Read(answers.into_iter().flatten().collect())
    }
}

/// Nothing of a batch is stored, so its key is of no credential.
fn reading(want: &Want, outcome: ReadOutcome) -> Reading {
    let (Want::Get(address) | Want::List(address)) = want;
    Reading {
        key: ReadKey {
            credential: String::new(),
            want: address.clone(),
        },
        read: Read {
            want: want.clone(),
            outcome,
        },
    }
}
