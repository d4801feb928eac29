//! The project a URL names, and where its catalog file would be: what analysing a location goes by (ref §7.9).

use super::integration::IntegrationType;
use super::repository::Repository;
use super::web_url::{WebUrl, percent_decode};

/// A project on a source host, as `project-slug` annotations name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Owner, group path, or project key.
    pub owner: String,
    /// Name of the repository.
    pub name: String,
}

impl Project {
    /// The project of a URL that points at a repository, at something in it, or is only shaped like one; without a name
    /// where the path is empty, as in Backstage.
    #[must_use]
    pub fn of(url: &WebUrl) -> Project {
        let path = match Repository::of(url) {
            Some(repository) => repository.full_name,
            None => url.path.clone(),
        };
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (owner, name) = match parts.as_slice() {
            ["projects" | "users", key, "repos", name] => ((*key).to_owned(), *name),
            [.., owner, "_git", name] => ((*owner).to_owned(), *name),
            [owner @ .., name] => (owner.join("/"), *name),
            [] => (String::new(), ""),
        };
        let name = name.strip_suffix(".git").unwrap_or(name);
        Project {
            owner: percent_decode(&owner),
            name: percent_decode(name),
        }
    }
}

/// The annotation that links an entity to its project on that kind of host, where Backstage has one.
#[must_use]
pub fn slug_annotation(host: IntegrationType) -> Option<&'static str> {
    match host {
        IntegrationType::Azure => Some("dev.azure.com/project-slug"),
        IntegrationType::BitbucketCloud => Some("bitbucket.org/project-slug"),
        IntegrationType::Github => Some("github.com/project-slug"),
        IntegrationType::Gitlab => Some("gitlab.com/project-slug"),
        IntegrationType::BitbucketServer | IntegrationType::Gitea => None,
    }
}

/// The URL of a file at the root of the repository that a URL points at, at its branch or else the default one. `None`
/// where the host's URLs cannot name the default branch and the URL names none.
#[must_use]
pub fn root_file(url: &WebUrl, host: IntegrationType, file: &str) -> Option<String> {
    let repository = Repository::of(url);
    let (path, reference) = match &repository {
        Some(repository) => (repository.full_name.as_str(), repository.reference.as_str()),
        None => (url.path.trim_matches('/'), ""),
    };
    let path = path.strip_suffix(".git").unwrap_or(path);
    let named = (!reference.is_empty()).then_some(reference);
    let reference = named.unwrap_or("HEAD");
    let file = encoded(file.trim_start_matches('/'));
    let below = match host {
        IntegrationType::Github => format!("blob/{reference}/{file}"),
        IntegrationType::Gitlab => format!("-/blob/{reference}/{file}"),
        IntegrationType::BitbucketCloud => format!("src/{reference}/{file}"),
        IntegrationType::BitbucketServer => match named {
            Some(reference) => format!("browse/{file}?at={}", encoded(reference)),
            None => format!("browse/{file}"),
        },
        // Azure's files are not read, and Gitea names the kind of a reference, which the URL does not tell.
        IntegrationType::Azure | IntegrationType::Gitea => return None,
    };
    let enough = path.contains('/') && !path.contains("//");
    enough.then(|| format!("{}://{}/{path}/{below}", url.scheme, url.host))
}

/// Percent-encodes everything but what a path holds as it is.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(url: &str) -> (String, String) {
        let project = Project::of(&WebUrl::parse(url).unwrap());
        (project.owner, project.name)
    }

    #[test]
    fn projects_are_named_by_every_shape_of_url() {
        for (url, owner, name) in [
            ("https://github.com/o/r", "o", "r"),
            ("https://github.com/o/r.git", "o", "r"),
            ("https://github.com/o/r/", "o", "r"),
            ("https://github.com/o/r/blob/main/a/c.yaml", "o", "r"),
            ("https://gitlab.com/g/s/r/-/tree/main", "g/s", "r"),
            ("https://b.test/projects/P/repos/r/browse", "P", "r"),
            ("https://dev.azure.com/o/p/_git/r?path=/c.yaml", "p", "r"),
            ("https://h/only", "", "only"),
            ("https://h/o/a%20b", "o", "a b"),
            ("https://h/", "", ""),
            ("https://h//", "", ""),
        ] {
            assert_eq!(project(url), (owner.into(), name.into()), "{url}");
        }
    }

    #[test]
    fn the_catalog_file_is_looked_for_at_the_root() {
        use IntegrationType::{Azure, BitbucketCloud, BitbucketServer, Gitea, Github, Gitlab};
        let file = |url: &str, host| root_file(&WebUrl::parse(url).unwrap(), host, "a b/c.yaml");
        for (url, host, expected) in [
            (
                "https://h/o/r.git",
                Github,
                "https://h/o/r/blob/HEAD/a%20b/c.yaml",
            ),
            (
                "https://h/o/r/tree/dev/sub",
                Github,
                "https://h/o/r/blob/dev/a%20b/c.yaml",
            ),
            (
                "http://h:81/g/s/r",
                Gitlab,
                "http://h:81/g/s/r/-/blob/HEAD/a%20b/c.yaml",
            ),
            (
                "https://h/o/r",
                BitbucketCloud,
                "https://h/o/r/src/HEAD/a%20b/c.yaml",
            ),
            (
                "https://h/projects/P/repos/r/browse?at=a%26b",
                BitbucketServer,
                "https://h/projects/P/repos/r/browse/a%20b/c.yaml?at=a%26b",
            ),
            (
                "https://h/projects/P/repos/r",
                BitbucketServer,
                "https://h/projects/P/repos/r/browse/a%20b/c.yaml",
            ),
        ] {
            assert_eq!(file(url, host).as_deref(), Some(expected));
        }
        assert_eq!(file("https://h/o/p/_git/r", Azure), None);
        assert_eq!(file("https://h/o/r", Gitea), None);
        assert_eq!(file("https://h/only", Github), None);
        assert_eq!(file("https://h/o//r", Github), None);
    }
}
