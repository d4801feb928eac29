//! Looks at an uploaded component before anything is compiled: what it is, whether it is valid under
//! our features, how large its parts are, what it imports and exports.
//!
//! Cheap and bounded by the input's size. Compiling is what can take long, so everything that would
//! make it take long has a limit here (a08); the limits of one call's instance are checked here as
//! well, so that nothing fails at the first call (a13).

use wasmparser::{Encoding, FunctionBody, Parser, Payload, Validator, WasmFeatures};

use crate::engine::{MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLES, offered_features};
use crate::imports::OFFERED;
use crate::printable::printable;
use crate::{CompileLimits, Rejection};

/// What a component must export.
pub(crate) const EXPECTED_EXPORT: &str = "greenroom:processor/processor@0.1.0";

/// Judges the first bytes of an upload. For the edge, which may ask before it has read the rest.
///
/// # Errors
/// The [`Rejection`] for what it is instead of a component.
pub fn check_start(bytes: &[u8]) -> Result<(), Rejection> {
    let after_space = bytes.trim_ascii_start();
    if bytes.is_empty() {
        Err(Rejection::Empty)
    } else if Parser::is_component(bytes) {
        Ok(())
    } else if Parser::is_core_wasm(bytes) {
        Err(Rejection::CoreModule)
    } else if bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"MZ") {
        Err(Rejection::Precompiled)
    } else if bytes.starts_with(&[0x1f, 0x8b]) {
        Err(Rejection::Packed("gzip"))
    } else if bytes.starts_with(b"PK\x03\x04") {
        Err(Rejection::Packed("zip"))
    } else if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Err(Rejection::Packed("zstd"))
    } else if bytes.get(257..262) == Some(b"ustar") {
        Err(Rejection::Packed("tar"))
    } else if after_space.starts_with(b"(") || after_space.starts_with(b";;") {
        Err(Rejection::Text)
    } else if after_space.starts_with(b"{") {
        Err(Rejection::Packed("JSON, perhaps of an OCI layout"))
    } else {
        Err(Rejection::Unknown)
    }
}

/// Judges a whole component.
///
/// # Errors
/// The first reason to reject it.
pub(crate) fn inspect(bytes: &[u8], limits: &CompileLimits) -> Result<(), Rejection> {
    check_start(bytes)?;
    if bytes.len() > limits.component_bytes {
        return Err(Rejection::TooLarge {
            bytes: bytes.len(),
            limit: limits.component_bytes,
        });
    }
    count(bytes, limits)?;
    validate(bytes)
}

fn validate(bytes: &[u8]) -> Result<(), Rejection> {
    let ours = Validator::new_with_features(offered_features()).validate_all(bytes);
    let Err(error) = ours else { return Ok(()) };
    let (offset, reason) = (error.offset(), printable(error.message(), 1024));
    let anywhere = Validator::new_with_features(WasmFeatures::all()).validate_all(bytes);
    Err(match anywhere {
        Ok(_) => Rejection::Proposal { offset, reason },
        Err(_) => Rejection::Invalid { offset, reason },
    })
}

/// What is counted over all modules of a component.
#[derive(Default)]
struct Counts {
    functions: u64,
    core_instances: u64,
    types: u64,
    globals: u64,
    imports: u64,
    segments: u64,
    memories: u64,
    tables: u64,
    depth: Vec<bool>,
    exports: Vec<String>,
}

fn count(bytes: &[u8], limits: &CompileLimits) -> Result<(), Rejection> {
    let mut counts = Counts::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| Rejection::Invalid {
            offset: error.offset(),
            reason: printable(error.message(), 1024),
        })?;
        payload_counts(&payload, &mut counts, limits).map_err(|error| match error {
            Counted::Rejected(rejection) => rejection,
            Counted::Broken(error) => Rejection::Invalid {
                offset: error.offset(),
                reason: printable(error.message(), 1024),
            },
        })?;
    }
    if !counts.exports.iter().any(|name| is_processor(name)) {
        let near: Vec<String> = counts
            .exports
            .iter()
            .filter(|name| name.starts_with("greenroom:"))
            .map(|name| format!("`{}`", printable(name, 256)))
            .collect();
        let found = if near.is_empty() {
            String::new()
        } else {
            format!(", but {}; this host speaks track 0.1", near.join(", "))
        };
        return Err(Rejection::Export {
            expected: EXPECTED_EXPORT,
            found,
        });
    }
    Ok(())
}

enum Counted {
    Rejected(Rejection),
    Broken(wasmparser::BinaryReaderError),
}

impl From<wasmparser::BinaryReaderError> for Counted {
    fn from(error: wasmparser::BinaryReaderError) -> Counted {
        Counted::Broken(error)
    }
}

impl From<Rejection> for Counted {
    fn from(rejection: Rejection) -> Counted {
        Counted::Rejected(rejection)
    }
}

fn payload_counts(
    payload: &Payload<'_>,
    counts: &mut Counts,
    limits: &CompileLimits,
) -> Result<(), Counted> {
    match payload {
        Payload::Version { encoding, .. } => {
            counts.depth.push(*encoding == Encoding::Component);
            at_most(
                "levels of nesting",
                counts.depth.len() as u64,
                limits.nesting,
            )?;
        }
        Payload::End(_) => {
            counts.depth.pop();
        }
        Payload::TypeSection(section) => {
            counts.types += u64::from(section.count());
            at_most("types", counts.types, limits.types)?;
        }
        Payload::FunctionSection(section) => {
            counts.functions += u64::from(section.count());
            at_most("functions", counts.functions, limits.functions)?;
        }
        Payload::InstanceSection(section) => {
            for instance in section.clone() {
                if let wasmparser::Instance::Instantiate { .. } = instance? {
                    counts.core_instances += 1;
                }
            }
            at_most(
                "core instances",
                counts.core_instances,
                u64::from(MAX_CORE_INSTANCES),
            )?;
        }
        Payload::MemorySection(section) => {
            counts.memories += u64::from(section.count());
            at_most("memories", counts.memories, u64::from(MAX_MEMORIES))?;
            for memory in section.clone() {
                let memory = memory?;
                let page_bytes = 1_u64 << memory.page_size_log2.unwrap_or(16).min(16);
                let bytes = memory.initial.saturating_mul(page_bytes);
                at_most("bytes of initial memory", bytes, limits.memory_bytes)?;
            }
        }
        Payload::TableSection(section) => {
            counts.tables += u64::from(section.count());
            at_most("tables", counts.tables, u64::from(MAX_TABLES))?;
            for table in section.clone() {
                at_most(
                    "initial table elements",
                    table?.ty.initial,
                    limits.table_elements,
                )?;
            }
        }
        Payload::GlobalSection(section) => {
            counts.globals += u64::from(section.count());
            at_most("globals", counts.globals, limits.globals)?;
        }
        Payload::ImportSection(section) => {
            counts.imports += u64::from(section.count());
            at_most("imports of modules", counts.imports, limits.globals)?;
        }
        Payload::DataSection(section) => {
            counts.segments += u64::from(section.count());
            at_most(
                "data and element segments",
                counts.segments,
                limits.segments,
            )?;
        }
        Payload::ElementSection(section) => {
            counts.segments += u64::from(section.count());
            at_most(
                "data and element segments",
                counts.segments,
                limits.segments,
            )?;
        }
        Payload::CodeSectionEntry(body) => body_counts(body, limits)?,
        Payload::ComponentImportSection(section) if counts.depth.len() == 1 => {
            for import in section.clone() {
                let name = import?.name.name;
                if !is_offered(name) {
                    return Err(not_offered(name).into());
                }
            }
        }
        Payload::ComponentExportSection(section) if counts.depth.len() == 1 => {
            for export in section.clone() {
                counts.exports.push(export?.name.name.to_owned());
            }
        }
        _ => {}
    }
    Ok(())
}

fn body_counts(body: &FunctionBody<'_>, limits: &CompileLimits) -> Result<(), Counted> {
    at_most(
        "bytes in one function",
        body.range().len() as u64,
        limits.function_bytes,
    )?;
    let mut locals = 0_u64;
    for group in body.get_locals_reader()? {
        locals += u64::from(group?.0);
        at_most("locals in one function", locals, limits.locals)?;
    }
    let (mut depth, mut targets) = (0_u64, 0_u64);
    for operator in body.get_operators_reader()? {
        match operator? {
            wasmparser::Operator::Block { .. }
            | wasmparser::Operator::Loop { .. }
            | wasmparser::Operator::If { .. } => {
                depth += 1;
                at_most("levels of blocks in one function", depth, limits.blocks)?;
            }
            wasmparser::Operator::End => depth = depth.saturating_sub(1),
            wasmparser::Operator::BrTable { targets: table } => {
                targets += u64::from(table.len());
                at_most(
                    "branch targets in one function",
                    targets,
                    limits.branch_targets,
                )?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn at_most(what: &'static str, figure: u64, limit: u64) -> Result<(), Rejection> {
    if figure > limit {
        return Err(Rejection::OverLimit {
            what,
            figure,
            limit,
        });
    }
    Ok(())
}

/// Whether `name` is the contract in a track we speak.
fn is_processor(name: &str) -> bool {
    name.strip_prefix("greenroom:processor/processor@0.1.")
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether `name` is an interface of [`OFFERED`] at some version of its track.
fn is_offered(name: &str) -> bool {
    OFFERED.iter().any(|offered| {
        name.strip_prefix(offered)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|patch| patch.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

pub(crate) fn not_offered(import: &str) -> Rejection {
    Rejection::Import {
        import: printable(import, 256),
        offered: OFFERED.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a01_a02_a03_a04_each_start_has_its_own_sentence() {
        let tar = [vec![b'a'; 257], b"ustar".to_vec()].concat();
        let starts: [(&[u8], Rejection); 9] = [
            (b"", Rejection::Empty),
            (b"(component)", Rejection::Text),
            (b" \n;; text", Rejection::Text),
            (b"\x93\x01\xfe\x33\x10\x20\x77\x88", Rejection::Unknown),
            (b"\0asm\x01\0\0\0", Rejection::CoreModule),
            (b"\x7fELF\x02\x01\x01", Rejection::Precompiled),
            (b"\x1f\x8b\x08", Rejection::Packed("gzip")),
            (b"PK\x03\x04", Rejection::Packed("zip")),
            (&tar, Rejection::Packed("tar")),
        ];
        for (bytes, expected) in starts {
            assert_eq!(check_start(bytes), Err(expected));
        }
        assert_eq!(check_start(b"\0asm\x0d\0\x01\0"), Ok(()));
        let sentence = Rejection::CoreModule.to_string();
        assert!(sentence.starts_with("this is a core module; build for wasm32-wasip2 or wrap it"));
    }

    #[test]
    fn a11_only_offered_interfaces_are_offered() {
        assert!(is_offered("wasi:io/streams@0.2.6"));
        assert!(is_offered("greenroom:processor/log@0.1.0"));
        for bad in [
            "wasi:sockets/tcp@0.2.6",
            "wasi:filesystem/types@0.2.6",
            "wasi:io/streams@0.3.0",
            "wasi:io/streams@0.20.0",
            "greenroom:processor/log@0.2.0",
            "wasi:io/streams",
        ] {
            assert!(!is_offered(bad), "{bad}");
        }
    }
}
