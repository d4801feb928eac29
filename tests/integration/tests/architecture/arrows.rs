//! The arrows, as data: what each crate of this repository may depend on, and which crates own which library. The arrows
//! between the modules of the host are names, in `sources.rs`.

/// Each crate with everything it may depend on from this repository, normally or from its build script.
pub(crate) const ARROWS: &[(&str, &[&str])] = &[
    ("greenroom-model", &[]),
    ("greenroom-sandbox", &["greenroom-model"]),
    (
        "greenroom-orchestrator",
        &["greenroom-sandbox", "greenroom-model"],
    ),
    // Knows neither Wasm nor frames: a stand-in for an escaped guest runs under the same function.
    ("greenroom-lockdown", &[]),
    // What runs guests cannot reach storage, reader or runtime, because it does not link them.
    (
        "greenroom-sandbox-child",
        &[
            "greenroom-lockdown",
            "greenroom-orchestrator",
            "greenroom-sandbox",
            "greenroom-model",
        ],
    ),
    ("greenroom-storage", &["greenroom-model"]),
    (
        "greenroom-storage-sqlite",
        &["greenroom-storage", "greenroom-model"],
    ),
    (
        "greenroom-storage-postgres",
        &["greenroom-storage", "greenroom-model"],
    ),
    ("greenroom-reader", &["greenroom-model"]),
    ("greenroom-query", &["greenroom-model"]),
    (
        "greenroom-processing",
        &[
            "greenroom-orchestrator",
            "greenroom-storage",
            "greenroom-model",
        ],
    ),
    ("greenroom-sdk", &["greenroom-model"]),
    ("greenroom-processor-annotate-location", &["greenroom-sdk"]),
    ("greenroom-processor-annotate-scm-slug", &["greenroom-sdk"]),
    ("greenroom-processor-builtin-kinds", &["greenroom-sdk"]),
    ("greenroom-processor-codeowners", &["greenroom-sdk"]),
    ("greenroom-processor-default-values", &["greenroom-sdk"]),
    ("greenroom-processor-file-reader", &["greenroom-sdk"]),
    ("greenroom-processor-openapi", &["greenroom-sdk"]),
    ("greenroom-processor-placeholder", &["greenroom-sdk"]),
    ("greenroom-processor-required-fields", &["greenroom-sdk"]),
    ("greenroom-processor-template-kind", &["greenroom-sdk"]),
    ("greenroom-processor-url-reader", &["greenroom-sdk"]),
    // Runs inside build scripts, before anything else of this repository is built.
    ("greenroom-guest-build", &[]),
    // The sandbox speaks in the model's words (digests, names), so whoever hands it artifacts does too.
    (
        "greenroom-bundle",
        &[
            "greenroom-guest-build",
            "greenroom-sandbox",
            "greenroom-model",
        ],
    ),
    (
        "greenroom",
        &[
            "greenroom-bundle",
            "greenroom-lockdown",
            "greenroom-model",
            "greenroom-orchestrator",
            "greenroom-processing",
            "greenroom-query",
            "greenroom-reader",
            "greenroom-sandbox",
            "greenroom-sandbox-child",
            "greenroom-storage",
            "greenroom-storage-postgres",
            "greenroom-storage-sqlite",
        ],
    ),
    ("greenroom-test-programs", &["greenroom-sdk"]),
    ("greenroom-test-postgres", &[]),
    ("greenroom-test-artifacts", &["greenroom-guest-build"]),
    (
        "greenroom-test-support",
        &[
            "greenroom",
            "greenroom-bundle",
            "greenroom-lockdown",
            "greenroom-model",
            "greenroom-orchestrator",
            "greenroom-processing",
            "greenroom-query",
            "greenroom-reader",
            "greenroom-sandbox",
            "greenroom-storage",
            "greenroom-storage-sqlite",
            "greenroom-test-artifacts",
            "greenroom-test-postgres",
        ],
    ),
    (
        "greenroom-demo",
        &["greenroom-test-artifacts", "greenroom-test-support"],
    ),
    // Calls what reads strangers' bytes, wherever that is.
    (
        "greenroom-fuzz",
        &[
            "greenroom",
            "greenroom-model",
            "greenroom-orchestrator",
            "greenroom-query",
            "greenroom-sandbox",
            "greenroom-sandbox-child",
            "greenroom-sdk",
            "greenroom-storage",
            "greenroom-test-artifacts",
        ],
    ),
    (
        "greenroom-bench",
        &[
            "greenroom",
            "greenroom-bundle",
            "greenroom-model",
            "greenroom-orchestrator",
            "greenroom-processing",
            "greenroom-sandbox",
            "greenroom-storage",
            "greenroom-storage-sqlite",
            "greenroom-test-artifacts",
            "greenroom-test-postgres",
            "greenroom-test-support",
        ],
    ),
    (
        "greenroom-torture",
        &[
            "greenroom-test-artifacts",
            "greenroom-test-postgres",
            "greenroom-test-support",
        ],
    ),
    (
        "greenroom-integration-tests",
        &[
            "greenroom",
            "greenroom-test-artifacts",
            "greenroom-test-support",
        ],
    ),
];

/// Each library that only some crates may depend on, with those crates.
pub(crate) const OWNERS: &[(&str, &[&str])] = &[
    // An upgrade, or a second engine, touches one crate.
    // The bench compares our calls with a bare loop over the same engine.
    ("wasmtime", &["greenroom-sandbox", "greenroom-bench"]),
    ("wasmtime-wasi", &["greenroom-sandbox"]),
    ("wasmparser", &["greenroom-sandbox"]),
    // What a process may still do is decided in one place.
    ("seccompiler", &["greenroom-lockdown"]),
    ("landlock", &["greenroom-lockdown"]),
    ("libc", &["greenroom-lockdown"]),
    // One place says how worker and sandbox child speak.
    ("rmp-serde", &["greenroom-sandbox-child"]),
    // No driver above the backend that speaks it. What nothing may be lost of is asked for past the backends.
    (
        "rusqlite",
        &["greenroom-storage-sqlite", "greenroom-torture"],
    ),
    (
        "tokio-postgres",
        &[
            "greenroom-storage-postgres",
            "greenroom-test-postgres",
            "greenroom-torture",
        ],
    ),
    ("deadpool-postgres", &["greenroom-storage-postgres"]),
    ("tokio-postgres-rustls", &["greenroom-storage-postgres"]),
    // The core speaks outcomes, the edge speaks HTTP.
    ("axum", &["greenroom"]),
    // The bench asks as often as it can, which a client with more to offer would slow down.
    ("hyper", &["greenroom", "greenroom-bench"]),
    ("hyper-util", &["greenroom", "greenroom-bench"]),
    ("tower", &["greenroom"]),
    // One place decides where we connect; the host's commands and the tests are clients of a host.
    (
        "reqwest",
        &[
            "greenroom-reader",
            "greenroom",
            "greenroom-test-support",
            "greenroom-demo",
        ],
    ),
    (
        "rustls",
        &[
            "greenroom-reader",
            "greenroom-storage-postgres",
            "greenroom",
            "greenroom-test-support",
            "greenroom-demo",
        ],
    ),
    // Errors that are only printed.
    (
        "anyhow",
        &["greenroom", "greenroom-test-support", "greenroom-demo"],
    ),
    // The contract is bound by the SDK, and by programs that misuse it.
    ("wit-bindgen", &["greenroom-sdk", "greenroom-test-programs"]),
    // Catalog files are parsed in the sandbox, by guests.
    ("saphyr-parser", &["greenroom-sdk"]),
];
