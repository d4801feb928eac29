//! Builds the processors we ship to components, compiles each with the host's own engine function
//! and writes the table that `lib.rs` embeds.

#![expect(
    clippy::disallowed_methods,
    reason = "build scripts are exempt from the rules on environment and paths"
)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use greenroom_guest_build::{GuestBuild, rerun_if_changed};
use greenroom_sandbox::{
    Artifact, CallLimits, CallOutcome, CompileLimits, Compiler, Sandbox, SandboxOptions,
};

/// In alphabetical order; that they run in another is for their descriptors to say. On by default is what is modelled on
/// something that Backstage's default backend installs: a catalog that moves here behaves as it did.
const PROCESSORS: [(&str, bool); 11] = [
    ("annotate-location", true),
    ("annotate-scm-slug", false),
    ("builtin-kinds", true),
    ("codeowners", false),
    ("default-values", false),
    ("file-reader", true),
    ("openapi", false),
    ("placeholder", true),
    ("required-fields", false),
    ("template-kind", true),
    ("url-reader", true),
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
    for (name, _) in PROCESSORS {
        let source = workspace.join("processors").join(name);
        rerun_if_changed(&source.join("src"));
        rerun_if_changed(&source.join("Cargo.toml"));
        build = build.package(format!("greenroom-processor-{name}"));
    }
    let built = build.run().unwrap_or_else(|error| panic!("{error}"));

    let compiler = Compiler::new(CompileLimits::default()).expect("make the compiler");
    let sandbox = Sandbox::new(SandboxOptions {
        concurrent_calls: 1,
        ..SandboxOptions::default()
    })
    .expect("make a sandbox to ask processors what they are");
    let mut table = String::from("&[\n");
    for (name, on_by_default) in PROCESSORS {
        let path = built
            .component(&format!("greenroom_processor_{name}"))
            .unwrap_or_else(|error| panic!("{error}"));
        let wasm = fs::read(&path).expect("the component was just built");
        let artifact = compiler
            .compile(&wasm)
            .unwrap_or_else(|error| panic!("compile `{name}`: {error}"));
        let file = |kind: &str| out.join(format!("{name}.{kind}"));
        fs::write(file("wasm"), &wasm).expect("write the component");
        fs::write(file("artifact"), artifact.to_bytes()).expect("write the artifact");
        let descriptor = describe(&sandbox, name, &artifact);
        fs::write(file("descriptor"), descriptor).expect("write the descriptor");
        let digest = *artifact.wasm_digest().as_bytes();
        let embedded =
            |kind: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.{kind}\"))");
        let (wasm, artifact) = (embedded("wasm"), embedded("artifact"));
        let descriptor =
            format!("include_str!(concat!(env!(\"OUT_DIR\"), \"/{name}.descriptor\"))");
        writeln!(
            table,
            "BundledProcessor {{ name: {name:?}, on_by_default: {on_by_default}, wasm: {wasm}, digest: {digest:?}, artifact: {artifact}, descriptor: {descriptor} }},"
        )
        .expect("a string takes all");
    }
    table.push_str("]\n");
    fs::write(out.join("bundled.rs"), table).expect("write the table");
}

/// What a processor says it is, as JSON, so that a worker need not ask at each start.
fn describe(sandbox: &Sandbox, name: &str, artifact: &Artifact) -> String {
    let loaded = sandbox
        .load(None, artifact)
        .unwrap_or_else(|error| panic!("load `{name}`: {error}"));
    let called = sandbox
        .describe(&loaded, &CallLimits::default())
        .unwrap_or_else(|error| panic!("describe `{name}`: {error}"));
    match called.outcome {
        CallOutcome::Answered(descriptor) => {
            serde_json::to_string(&descriptor).expect("a descriptor is plain data")
        }
        CallOutcome::Faulted(fault) => panic!("describe `{name}`: {}", fault.message),
    }
}
