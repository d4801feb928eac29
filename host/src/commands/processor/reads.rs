//! Documents for a local run, instead of a network: what a processor wants is answered from what the author gave, and from
//! the folder of the entity as if it were the repository at the base URL. Anything else stays unanswered and is shown.
//!
//! The folder is held as a directory handle, so that no document of an entity names its way out of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use greenroom_model::Digest;
use greenroom_sandbox::{ReadOutcome, Want};
use serde::Deserialize;

use crate::commands::files;

/// Where an entity on this disk says it comes from, unless told otherwise. The documentation's own domain: nobody's.
pub(super) const BASE: &str = "https://example.com/";
/// Largest document (DESIGN §3.1).
const DOCUMENT_BYTES: u64 = 16 << 20;

/// Answers to wants.
#[derive(Default)]
pub(super) struct Reads {
    given: BTreeMap<String, ReadOutcome>,
    folder: Option<(String, Dir)>,
}

/// One answer in `reads.json`: a file, or what became of the read.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    File(PathBuf),
    Said(Said),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Said {
    Listing(Vec<String>),
    NotFound(bool),
    Refused(String),
}

impl Reads {
    /// Answers those of a `reads.json`: an object from URL or pattern to a file name, `{"listing": […]}`,
    /// `{"notFound": true}` or `{"refused": "why"}`. File names are relative to it.
    pub(super) fn add_file(&mut self, path: &Path) -> anyhow::Result<()> {
        let shown = path.display();
        let answers: BTreeMap<String, Answer> = serde_json::from_str(&files::read_text(path)?)
            .map_err(|error| {
                anyhow::anyhow!(
                    "`{shown}` is not a list of reads: {error}; each URL has a file name, \
                     {{\"listing\": […]}}, {{\"notFound\": true}} or {{\"refused\": \"why\"}}"
                )
            })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for (key, answer) in answers {
            let outcome = match answer {
                Answer::File(file) => {
                    document(&key, &files::read(&folder.join(file), DOCUMENT_BYTES)?)
                }
                Answer::Said(Said::Listing(mut urls)) => {
                    urls.sort();
                    ReadOutcome::Listing(urls)
                }
                Answer::Said(Said::NotFound(true)) => ReadOutcome::NotFound,
                Answer::Said(Said::NotFound(false)) => {
                    bail!("`{shown}`: leave `{key}` out, or say `\"notFound\": true`")
                }
                Answer::Said(Said::Refused(reason)) => ReadOutcome::Refused(reason),
            };
            self.given.insert(key, outcome);
        }
        Ok(())
    }

    /// Answers one `URL=FILE`.
    pub(super) fn add_flag(&mut self, flag: &str) -> anyhow::Result<()> {
        let Some((url, file)) = flag
            .rsplit_once('=')
            .filter(|(url, file)| !url.is_empty() && !file.is_empty())
        else {
            bail!("`--read {flag}` is not URL=FILE");
        };
        let bytes = files::read(Path::new(file), DOCUMENT_BYTES)?;
        self.given.insert(url.to_owned(), document(url, &bytes));
        Ok(())
    }

    /// The same answers, and URLs below `base` are the files of a folder.
    pub(super) fn with_folder(&self, base: &str, folder: &Path) -> anyhow::Result<Reads> {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let dir = Dir::open_ambient_dir(folder, ambient_authority())
            .with_context(|| format!("open the folder `{}`", folder.display()))?;
        Ok(Reads {
            given: self.given.clone(),
            folder: Some((base.to_owned(), dir)),
        })
    }

    /// What a want gives; none where nobody said.
    pub(super) fn answer(&self, want: &Want) -> Option<ReadOutcome> {
        let (key, listing) = match want {
            Want::Get(url) => (url, false),
            Want::List(pattern) => (pattern, true),
        };
        match self.given.get(key) {
            Some(ReadOutcome::Document { .. }) if listing => None,
            Some(ReadOutcome::Listing(_)) if !listing => None,
            Some(outcome) => Some(outcome.clone()),
            None if listing => None,
            None => self.in_folder(key),
        }
    }

    fn in_folder(&self, url: &str) -> Option<ReadOutcome> {
        let (base, dir) = self.folder.as_ref()?;
        let path = url.strip_prefix(base.as_str())?;
        let path = path
            .split(['?', '#'])
            .next()
            .filter(|path| !path.is_empty())?;
        let file = dir.open(path).ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || metadata.len() > DOCUMENT_BYTES {
            return None;
        }
        Some(document(url, &dir.read(path).ok()?))
    }
}

fn document(url: &str, bytes: &[u8]) -> ReadOutcome {
    ReadOutcome::Document {
        body: Arc::from(bytes),
        final_url: url.to_owned(),
        digest: Digest::of(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("repository");
        files::make_folder(&repository.join("docs")).unwrap();
        files::write(&repository.join("docs/README.md"), b"hello").unwrap();
        files::write(&folder.path().join("secret"), b"secret").unwrap();
        folder
    }

    fn get(reads: &Reads, url: &str) -> Option<Vec<u8>> {
        match reads.answer(&Want::Get(url.into()))? {
            ReadOutcome::Document { body, .. } => Some(body.to_vec()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_folder_is_the_repository_and_nothing_leads_out_of_it() {
        let folder = folder();
        let repository = folder.path().join("repository");
        std::os::unix::fs::symlink("../secret", repository.join("link")).unwrap();
        let reads = Reads::default().with_folder(BASE, &repository).unwrap();
        assert_eq!(
            get(&reads, "https://example.com/docs/README.md?x").unwrap(),
            b"hello"
        );
        for url in [
            "https://example.com/../secret",
            "https://example.com/link",
            "https://example.com//etc/passwd",
            "https://example.com/docs",
            "https://example.com/",
            "https://other.example/docs/README.md",
        ] {
            assert_eq!(get(&reads, url), None, "{url}");
        }
        let list = Want::List("https://example.com/docs/*".into());
        assert_eq!(reads.answer(&list), None, "a listing is not made up");
    }

    #[test]
    fn answers_are_given_by_file_and_flag() {
        let folder = folder();
        let file = folder.path().join("reads.json");
        let text = r#"{"https://a/x": "secret", "https://a/*": {"listing": ["https://a/x"]},
            "https://a/no": {"notFound": true}, "https://a/not": {"refused": "no grant"}}"#;
        files::write(&file, text.as_bytes()).unwrap();
        let mut reads = Reads::default();
        reads.add_file(&file).unwrap();
        reads
            .add_flag(&format!(
                "https://a/y?a=b={}",
                folder.path().join("secret").display()
            ))
            .unwrap();
        assert_eq!(get(&reads, "https://a/x").unwrap(), b"secret");
        assert_eq!(get(&reads, "https://a/y?a=b").unwrap(), b"secret");
        let list = Want::List("https://a/*".into());
        assert_eq!(
            reads.answer(&list),
            Some(ReadOutcome::Listing(vec!["https://a/x".into()]))
        );
        assert_eq!(
            reads.answer(&Want::Get("https://a/no".into())),
            Some(ReadOutcome::NotFound)
        );
        assert_eq!(
            reads.answer(&Want::List("https://a/x".into())),
            None,
            "a document is no listing"
        );
        for wrong in ["https://a/x", "=x", "https://a="] {
            assert!(
                reads
                    .add_flag(wrong)
                    .unwrap_err()
                    .to_string()
                    .contains("URL=FILE"),
                "{wrong}"
            );
        }
        files::write(&file, br#"{"https://a/x": {"missing": true}}"#).unwrap();
        assert!(
            reads
                .add_file(&file)
                .unwrap_err()
                .to_string()
                .contains("notFound")
        );
    }
}
