//! The files of a new processor's crate, as text. Pure: what is written where is decided here, writing is `new`'s.

use super::sdk::{self, SDK_FOLDER};

/// A file of the new crate: its path in it, and its text.
pub(super) type NewFile = (String, String);

/// The SDK the crate uses.
pub(super) enum Sdk<'a> {
    /// The copy that came with this binary, put into the crate.
    Embedded,
    /// One on this disk.
    At(&'a str),
}

/// All files of a crate called `name`.
pub(super) fn files(name: &str, sdk: &Sdk<'_>) -> anyhow::Result<Vec<NewFile>> {
    let path = match sdk {
        Sdk::Embedded => format!("{SDK_FOLDER}/guest-sdk"),
        Sdk::At(path) => (*path).to_owned(),
    };
    let filled = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{sdk}}", &toml_text(&path))
    };
    let mut files: Vec<NewFile> = [
        (
            "Cargo.toml",
            filled(include_str!("template/Cargo.toml.txt")),
        ),
        ("README.md", filled(include_str!("template/README.md.txt"))),
        (
            ".cargo/config.toml",
            include_str!("template/config.toml.txt").to_owned(),
        ),
        (".gitignore", "/target\n".to_owned()),
        ("src/lib.rs", include_str!("template/lib.rs").to_owned()),
        (
            "fixtures/component/entity.yaml",
            include_str!("template/entity.yaml").to_owned(),
        ),
        (
            "fixtures/component/expected.json",
            include_str!("template/expected.json").to_owned(),
        ),
    ]
    .map(|(path, text)| (path.to_owned(), text))
    .into();
    if matches!(sdk, Sdk::Embedded) {
        files.extend(sdk::files()?);
        files.push(("Cargo.lock".to_owned(), sdk::lock_for(name)?));
    }
    Ok(files)
}

/// A path as it stands in a basic string of TOML.
fn toml_text(path: &str) -> String {
    path.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_has_its_name_and_the_sdk_in_it() {
        let files = files("team-label", &Sdk::Embedded).unwrap();
        let text = |path: &str| {
            &files
                .iter()
                .find(|(name, _)| name == path)
                .unwrap_or_else(|| panic!("{path}"))
                .1
        };
        let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("team-label"));
        assert_eq!(
            manifest["dependencies"]["greenroom-sdk"]["path"].as_str(),
            Some("greenroom-sdk/guest-sdk")
        );
        for path in [
            "greenroom-sdk/Cargo.toml",
            "greenroom-sdk/guest-sdk/src/lib.rs",
            "greenroom-sdk/model/src/lib.rs",
            "greenroom-sdk/wit/v0.1/world.wit",
        ] {
            assert!(!text(path).is_empty());
        }
        assert!(
            files
                .iter()
                .filter(|(path, _)| !path.starts_with("greenroom-sdk/"))
                .all(|(_, text)| !text.contains("{{")),
            "every place of the template is filled"
        );
    }

    #[test]
    fn another_sdk_is_named_and_not_copied() {
        let files = files("x", &Sdk::At("/a \"b\"/guest-sdk")).unwrap();
        let manifest: toml::Table = files[0].1.parse().unwrap();
        assert_eq!(
            manifest["dependencies"]["greenroom-sdk"]["path"].as_str(),
            Some("/a \"b\"/guest-sdk")
        );
        assert!(
            !files
                .iter()
                .any(|(path, _)| path.starts_with("greenroom-sdk/"))
        );
    }
}
