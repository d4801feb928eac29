//! Which files of a repository match a pattern.
//!
//! Globs need an API that lists files, so a plain host has none. The targets are the URLs a browser
//! shows, ready to be read; the digest covers each file's blob id, so that it changes with any
//! content. A listing that the host cuts short is refused, never served as complete.

use serde::Deserialize;
use url::Url;

use crate::conditional::Conditional;
use crate::glob::PathPattern;
use crate::integration::{HostKind, IntegrationConfig};
use crate::mapping::{github_tree_request, gitlab_tree_request};
use crate::outcome::{ReadOutcome, Stop};
use crate::policy::Route;
use crate::reader::{Gates, Reader, check_grant, parse_target};
use crate::repository::SourceFile;

/// Most matches of one pattern.
pub(crate) const MATCHES: usize = 10_000;
/// GitLab gives at most 100 entries a page.
const PAGE_ENTRIES: usize = 100;
const PAGES: usize = 200;

/// The (path, blob id) of every file at a revision.
struct Tree {
    files: Vec<(String, String)>,
    conditional: Conditional,
}

/// Lists the URLs that match `pattern`. A pattern without wildcard lists itself if it exists.
pub(crate) async fn list(
    reader: &Reader,
    gates: Gates<'_>,
    pattern: &str,
    conditional: Option<&Conditional>,
) -> Result<ReadOutcome, Stop> {
    let path = pattern.split(['?', '#']).next().unwrap_or_default();
    // The host part of a URL may hold brackets; only the path has wildcards.
    let path = path.splitn(4, '/').nth(3).unwrap_or_default();
    if !path.contains(['*', '[', '{']) {
        return single(reader, gates, pattern, conditional).await;
    }
    // In a pattern `?` is a wildcard and not the beginning of a query.
    let url = parse_target(&pattern.replace('?', "%3F"))?;
    check_grant(gates.grant, &url)?;
    let Route::Source(integration, kind, source) = gates.policy.route(&url)? else {
        return Err(Stop::refused(format!(
            "globs need an integration, and `{}` has none; list the files one by one",
            url.host_str().unwrap_or_default()
        )));
    };
    let matcher = PathPattern::new(&source.file)
        .ok_or_else(|| Stop::refused("the pattern is not a glob of at most 1024 bytes"))?;
    let tree = match kind {
        HostKind::Github => github_tree(reader, gates, integration, &source, conditional).await?,
        HostKind::Gitlab => gitlab_tree(reader, gates, integration, &source).await?,
        HostKind::Gitea | HostKind::BitbucketCloud | HostKind::BitbucketServer => {
            return Err(Stop::refused(format!(
                "globs are not read from integrations of type `{}`; list the files one by one",
                integration.r#type
            )));
        }
    };
    let matching = tree
        .files
        .into_iter()
        .filter(|(path, _)| matcher.matches(path));
    let entries: Vec<(String, String)> = matching
        .filter_map(|(path, id)| Some((file_url(&url, source.lead, &path)?, id)))
        .take(MATCHES + 1)
        .collect();
    if entries.len() > MATCHES {
        return Err(Stop::refused(format!(
            "the pattern matches more than {MATCHES} files"
        )));
    }
    Ok(ReadOutcome::listing(entries, tree.conditional))
}

async fn single(
    reader: &Reader,
    gates: Gates<'_>,
    target: &str,
    conditional: Option<&Conditional>,
) -> Result<ReadOutcome, Stop> {
    let outcome = Box::pin(reader.get(gates, target, conditional)).await?;
    let ReadOutcome::Document {
        digest,
        conditional,
        ..
    } = outcome
    else {
        return Ok(outcome);
    };
    let entry = (target.to_owned(), digest.to_string());
    Ok(ReadOutcome::listing(vec![entry], conditional))
}

/// The URL of the file `path`, made from a URL that has `lead` segments before the file.
fn file_url(like: &Url, lead: usize, path: &str) -> Option<String> {
    let before: Vec<&str> = like.path().split('/').skip(1).take(lead).collect();
    let mut url = like.clone();
    url.set_path(&format!("/{}/", before.join("/")));
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend(path.split('/'));
    Some(url.to_string())
}

#[derive(Deserialize)]
struct TreeEntry {
    path: String,
    r#type: String,
    #[serde(alias = "sha")]
    id: String,
}

#[derive(Deserialize)]
struct GithubTree {
    tree: Vec<TreeEntry>,
    #[serde(default)]
    truncated: bool,
}

fn files(entries: Vec<TreeEntry>) -> impl Iterator<Item = (String, String)> {
    let blobs = entries.into_iter().filter(|entry| entry.r#type == "blob");
    blobs.map(|entry| (entry.path, entry.id))
}

fn odd_answer() -> Stop {
    Stop::unavailable("the host's answer is not a file tree")
}

async fn github_tree(
    reader: &Reader,
    gates: Gates<'_>,
    integration: &IntegrationConfig,
    source: &SourceFile,
    conditional: Option<&Conditional>,
) -> Result<Tree, Stop> {
    let request = github_tree_request(integration, source)?;
    let fetched = reader.fetch(gates, request, conditional).await?;
    let tree: GithubTree = serde_json::from_slice(&fetched.bytes).map_err(|_| odd_answer())?;
    if tree.truncated {
        return Err(Stop::refused(
            "the repository is too large for its host to list; list the files one by one",
        ));
    }
    Ok(Tree {
        files: files(tree.tree).collect(),
        conditional: fetched.conditional,
    })
}

/// Pages have no common validator, so this listing is always read in full.
async fn gitlab_tree(
    reader: &Reader,
    gates: Gates<'_>,
    integration: &IntegrationConfig,
    source: &SourceFile,
) -> Result<Tree, Stop> {
    let mut found = Vec::new();
    for page in 1..=PAGES {
        let request = gitlab_tree_request(integration, source, page, PAGE_ENTRIES)?;
        let fetched = reader.fetch(gates, request, None).await?;
        let entries: Vec<TreeEntry> =
            serde_json::from_slice(&fetched.bytes).map_err(|_| odd_answer())?;
        let last = entries.len() < PAGE_ENTRIES;
        found.extend(files(entries));
        if last {
            return Ok(Tree {
                files: found,
                conditional: Conditional::default(),
            });
        }
    }
    Err(Stop::refused(
        "the repository is too large to list; list the files one by one",
    ))
}
