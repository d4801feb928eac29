//! Files: what is found, and that nothing outside the roots is.

use cap_std::ambient_authority;
use tempfile::TempDir;

use super::*;

struct Fixture {
    _folder: TempDir,
    outside: Dir,
    reader: FileReader,
}

/// A folder with `catalog/`, the root `/srv/catalog`, and `secret.yaml` beside it.
fn fixture() -> Fixture {
    let folder = TempDir::new().expect("a folder");
    let outside = Dir::open_ambient_dir(folder.path(), ambient_authority()).expect("the folder");
    outside
        .create_dir_all("catalog/teams/deep")
        .expect("folders");
    for (path, text) in [
        ("secret.yaml", "secret"),
        ("catalog/all.yaml", "all"),
        ("catalog/teams/a.yaml", "a"),
        ("catalog/teams/b.yml", "b"),
        ("catalog/teams/.hidden.yaml", "hidden"),
        ("catalog/teams/deep/c.yaml", "c"),
    ] {
        outside.write(path, text).expect("a file");
    }
    let dir = outside.open_dir("catalog").expect("the root");
    let root = FileRoot {
        path: PathBuf::from("/srv/catalog/"),
        dir,
    };
    let reader = FileReader::new(vec![root], 1000).expect("a reader");
    Fixture {
        _folder: folder,
        outside,
        reader,
    }
}

impl Fixture {
    fn get(&self, target: &str) -> ReadOutcome {
        self.reader
            .read(&Grant::everything(), &Want::Get(target.to_owned()))
    }

    fn list(&self, pattern: &str) -> ReadOutcome {
        self.reader
            .read(&Grant::everything(), &Want::List(pattern.to_owned()))
    }

    fn targets(&self, pattern: &str) -> Vec<String> {
        match self.list(pattern) {
            ReadOutcome::Listing { targets, .. } => targets,
            other => panic!("{other:?}"),
        }
    }
}

fn is_refused(outcome: &ReadOutcome) -> bool {
    matches!(outcome, ReadOutcome::Refused { .. })
}

#[test]
fn documents_are_read_in_every_spelling() {
    let files = fixture();
    for target in [
        "/srv/catalog/teams/a.yaml",
        "file:/srv/catalog/teams/a.yaml",
        "file:///srv/catalog/teams/a.yaml",
        "/srv/catalog/./x/..//teams/a.yaml",
    ] {
        let ReadOutcome::Document {
            bytes,
            digest,
            final_url,
            ..
        } = files.get(target)
        else {
            panic!("{target}");
        };
        assert_eq!((&bytes[..], digest), (&b"a"[..], Digest::of("a")));
        assert_eq!(final_url, "/srv/catalog/teams/a.yaml");
    }
    assert_eq!(files.get("/srv/catalog/none.yaml"), ReadOutcome::NotFound);
    assert_eq!(files.get("/srv/catalog/all.yaml/x"), ReadOutcome::NotFound);
    assert_eq!(
        files.reader.root_of("/srv/catalog/x"),
        Some(Path::new("/srv/catalog"))
    );
    assert_eq!(files.reader.root_of("/srv/catalogue/x"), None);
}

#[test]
fn y15_nothing_outside_the_roots_is_opened() {
    let files = fixture();
    files
        .outside
        .symlink("../secret.yaml", "catalog/up.yaml")
        .expect("a link");
    files
        .outside
        .symlink("..", "catalog/parent")
        .expect("a link");
    files
        .outside
        .symlink("../secret.yaml", "catalog/teams/up.yaml")
        .expect("a link");
    for target in [
        "/etc/passwd",
        "/srv/secret.yaml",
        "/srv/catalog/../secret.yaml",
        "/srv/catalog/teams/../../secret.yaml",
        "/srv/catalogue/a.yaml",
        "/srv/catalog/up.yaml",
        "/srv/catalog/parent/secret.yaml",
        "/srv/catalog",
        "/srv/catalog/teams",
        "secret.yaml",
        "../secret.yaml",
        "/srv/catalog/a\0b",
        "",
        "file:",
        "file://host/srv/catalog/all.yaml",
        "https://host/srv/catalog/all.yaml",
    ] {
        let outcome = files.get(target);
        assert!(is_refused(&outcome), "{target}: {outcome:?}");
        assert!(!format!("{outcome:?}").contains("secret\""), "{target}");
    }
    // A link outside counts for no match, and folders behind links are not entered.
    assert_eq!(files.targets("/srv/catalog/up.*"), Vec::<String>::new());
    assert_eq!(
        files.targets("/srv/catalog/**/secret.yaml"),
        Vec::<String>::new()
    );
}

#[test]
fn y15_a_grant_bounds_the_root() {
    let files = fixture();
    let want = Want::Get("/srv/catalog/all.yaml".to_owned());
    assert!(is_refused(&files.reader.read(&Grant::default(), &want)));
    assert!(is_refused(
        &files
            .reader
            .read(&Grant::file_root("/srv/catalog/teams"), &want)
    ));
    let granted = files.reader.read(&Grant::file_root("/srv/catalog"), &want);
    assert!(matches!(granted, ReadOutcome::Document { .. }));
    let urls = Grant::prefixes(["https://h/*"]).expect("a grant");
    assert!(is_refused(&files.reader.read(&urls, &want)));
}

#[test]
fn links_that_stay_inside_are_followed_to_files() {
    let files = fixture();
    files
        .outside
        .symlink("teams/a.yaml", "catalog/link.yaml")
        .expect("a link");
    assert!(matches!(
        files.get("/srv/catalog/link.yaml"),
        ReadOutcome::Document { .. }
    ));
    assert_eq!(
        files.targets("/srv/catalog/l*.yaml"),
        ["/srv/catalog/link.yaml"]
    );
}

#[test]
fn globs_list_sorted_paths() {
    let files = fixture();
    assert_eq!(
        files.targets("/srv/catalog/teams/*.{yaml,yml}"),
        ["/srv/catalog/teams/a.yaml", "/srv/catalog/teams/b.yml",]
    );
    assert_eq!(
        files.targets("file:/srv/catalog/**/*.yaml"),
        [
            "/srv/catalog/all.yaml",
            "/srv/catalog/teams/a.yaml",
            "/srv/catalog/teams/deep/c.yaml",
        ]
    );
    assert_eq!(
        files.targets("/srv/catalog/all.yaml"),
        ["/srv/catalog/all.yaml"]
    );
    assert_eq!(files.targets("/srv/catalog/none/*"), Vec::<String>::new());
    assert_eq!(files.list("/srv/catalog/none.yaml"), ReadOutcome::NotFound);
    assert!(is_refused(&files.list("/srv/*/all.yaml")));
    assert!(is_refused(&files.list("/srv/catalog/{a")));
}

#[test]
fn the_digest_of_a_listing_covers_contents() {
    let files = fixture();
    let digest = || match files.list("/srv/catalog/teams/*.yaml") {
        ReadOutcome::Listing { digest, .. } => digest,
        other => panic!("{other:?}"),
    };
    let before = digest();
    assert_eq!(before, digest());
    files
        .outside
        .write("catalog/teams/a.yaml", "changed")
        .expect("a file");
    assert_ne!(before, digest());
}

#[test]
fn y16_too_large_files_are_named_and_spoil_no_listing() {
    let files = fixture();
    files
        .outside
        .write("catalog/teams/big.yaml", "x".repeat(1001))
        .expect("a file");
    files
        .outside
        .write("catalog/teams/fits.yaml", "x".repeat(1000))
        .expect("a file");
    let outcome = files.get("/srv/catalog/teams/big.yaml");
    assert!(is_refused(&outcome) && format!("{outcome:?}").contains("1000 bytes"));
    assert!(matches!(
        files.get("/srv/catalog/teams/fits.yaml"),
        ReadOutcome::Document { .. }
    ));
    assert!(
        files
            .targets("/srv/catalog/teams/*.yaml")
            .contains(&"/srv/catalog/teams/big.yaml".to_owned())
    );
}

#[test]
fn y16_a_glob_with_too_many_matches_is_refused_whole() {
    let files = fixture();
    files.outside.create_dir("catalog/many").expect("a folder");
    for number in 0..=crate::listing::MATCHES {
        files
            .outside
            .write(format!("catalog/many/{number}.yaml"), "")
            .expect("a file");
    }
    assert!(is_refused(&files.list("/srv/catalog/many/*.yaml")));
    assert_eq!(files.targets("/srv/catalog/many/1.*").len(), 1);
}

#[test]
fn pipes_and_devices_are_refused_without_waiting() {
    let files = fixture();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(
        &files.outside,
        "catalog/pipe",
        rustix::fs::FileType::Fifo,
        mode,
        0,
    )
    .expect("a pipe");
    assert!(is_refused(&files.get("/srv/catalog/pipe")));
    assert_eq!(files.targets("/srv/catalog/p*"), Vec::<String>::new());
}

#[test]
fn relative_roots_are_refused() {
    let files = fixture();
    let dir = files.outside.open_dir("catalog").expect("the root");
    let root = FileRoot {
        path: PathBuf::from("catalog"),
        dir,
    };
    assert!(FileReader::new(vec![root], 10).is_err());
}
