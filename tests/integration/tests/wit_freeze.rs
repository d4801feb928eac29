//! Proves that a track of the contract stays what it was: the digest of each of its files, without comments, is the one that
//! docs/wit-compatibility.md lists. Documentation may be mended; a type, a name, an import or an export may not.

use std::collections::BTreeMap;
use std::fs;

use greenroom_integration_tests::documents::{code_words, read, root, tables};
use greenroom_model::Digest;

const PAGE: &str = "docs/wit-compatibility.md";

/// What the tools see of a file: without comments, and with one space where there was any.
fn interface(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("//").into_iter().chain(rest.find("/*")).min() {
        code.push_str(&rest[..at]);
        let end = if rest[at..].starts_with("//") {
            "\n"
        } else {
            "*/"
        };
        rest = rest[at..].split_once(end).map_or("", |(_, rest)| rest);
        code.push(' ');
    }
    code.push_str(rest);
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The files of all tracks, and the digests of what is in them.
fn tracks() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for track in fs::read_dir(root().join("wit")).expect("the tracks") {
        let track = track.expect("a track").path();
        let name = track.file_name().unwrap_or_default().to_string_lossy();
        for file in fs::read_dir(&track).expect("the files of a track") {
            let file = file.expect("a file").file_name();
            let path = format!("wit/{name}/{}", file.to_string_lossy());
            let digest = Digest::of(interface(&read(&path))).to_string();
            files.insert(path, digest);
        }
    }
    files
}

#[test]
fn a_track_is_frozen() {
    let page = read(PAGE);
    let table = tables(&page)
        .into_iter()
        .find(|table| table.columns == ["file", "digest without comments"])
        .unwrap_or_else(|| panic!("{PAGE} lists the files of each track"));
    let listed: BTreeMap<String, String> = table
        .rows
        .iter()
        .map(|row| {
            (
                code_words(&row[0])[0].to_owned(),
                code_words(&row[1])[0].to_owned(),
            )
        })
        .collect();
    let found = tracks();
    let mut offences = Vec::new();
    for (path, digest) in &found {
        match listed.get(path) {
            Some(known) if known == digest => {}
            Some(_) => offences.push(format!("{path} is changed: it is now {digest}")),
            None => offences.push(format!("{path} is not listed: it is {digest}")),
        }
    }
    let gone = listed.keys().filter(|path| !found.contains_key(*path));
    offences.extend(gone.map(|path| format!("{path} is gone")));
    assert!(
        offences.is_empty(),
        "a track is frozen: components that were built against it are running, and a host or a component of the same track \
         must not mean something else by it. Take the change back and make it in a new track, a directory beside this one \
         with a package version of its own ({PAGE} says how); comments may be mended freely. List the files of a new track \
         when it is released.\n  {}",
        offences.join("\n  ")
    );
}

#[test]
fn comments_do_not_count_and_everything_else_does() {
    let text = "/// A.\nrecord a { // b\n  c: u8, /* d\n e */ f: u8 }\n";
    assert_eq!(interface(text), "record a { c: u8, f: u8 }");
    let mended = text.replace("/// A.", "/// Another.\n///\n/// Longer.");
    assert_eq!(interface(&mended), interface(text));
    for other in [
        text.replace("c: u8", "c: u16"),
        text.replace("f: u8", "f: u8, g: u8"),
        text.replace("record a", "record b"),
    ] {
        assert_ne!(interface(&other), interface(text), "{other}");
    }
}
