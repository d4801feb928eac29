//! Builds the processors we ship to components, compiles each with the host's own engine function
//! and writes the table that `lib.rs` embeds.

#![expect(
    clippy::disallowed_methods,
    reason = "build scripts are exempt from the rules on environment and paths"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use greenroom_guest_build::{GuestBuild, rerun_if_changed};
use greenroom_sandbox::{CompileLimits, Compiler};

/// In alphabetical order; that they run in another is for their descriptors to say.
const PROCESSORS: [&str; 6] = [
    "annotate-location",
    "builtin-kinds",
    "file-reader",
    "placeholder",
    "template-kind",
    "url-reader",
];

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let workspace = here
        .join("../..")
        .canonicalize()
        .expect("the workspace is two up");
    rerun_if_changed(&here.join("build.rs"));

    let mut build = GuestBuild::new(&workspace);
    let mut names = Vec::new();
    for name in PROCESSORS {
        let source = workspace.join("processors").join(name);
        rerun_if_changed(&source.join("src"));
        rerun_if_changed(&source.join("Cargo.toml"));
        if exports(&source) {
            build = build.package(format!("greenroom-processor-{name}"));
            names.push(name);
        }
    }
    let mut table = String::from("&[\n");
    if !names.is_empty() {
        let built = build.run().unwrap_or_else(|error| panic!("{error}"));
        let compiler = Compiler::new(CompileLimits::default()).expect("make the compiler");
        for name in names {
            let path = built
                .component(&format!("greenroom_processor_{name}"))
                .unwrap_or_else(|error| panic!("{error}"));
            let wasm = fs::read(&path).expect("the component was just built");
            let artifact = compiler
                .compile(&wasm)
                .unwrap_or_else(|error| panic!("compile `{name}`: {error}"));
            fs::write(out.join(format!("{name}.wasm")), &wasm).expect("write the component");
            fs::write(out.join(format!("{name}.artifact")), artifact.to_bytes())
                .expect("write the artifact");
            writeln!(
                table,
                "    BundledProcessor {{\n        name: {name:?},\n        wasm: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.wasm\")),\n        artifact: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.artifact\")),\n    }},"
            )
            .expect("a string takes all");
        }
    }
    table.push_str("]\n");
    fs::write(out.join("bundled.rs"), table).expect("write the table");
}

/// Whether the crate exports a processor yet.
fn exports(source: &Path) -> bool {
    fs::read_to_string(source.join("src/lib.rs")).is_ok_and(|text| text.contains("export!("))
}
