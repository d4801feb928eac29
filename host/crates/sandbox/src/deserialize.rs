//! The one place where bytes become executable code.
//!
//! Contract: the code of an [`Artifact`] is the unchanged output of `Component::serialize` by an
//! engine of [`new_engine`](crate::new_engine). `Artifact` holds it: it is made only from code that
//! this process or a compile child of it compiled, from bytes authenticated with the key that only
//! workers hold, from bytes the build embedded, or from sealed memory of the process that started this
//! one; it owns its bytes, so they do not change after the check.
//! The engine's own check of version, settings and CPU features comes on top and guards against
//! mistakes, not against malice.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::Artifact;
use crate::line_table::LineTable;
use crate::packed_code::unpack;

/// Makes the component of an artifact, and its table of lines.
pub(crate) fn deserialize(
    engine: &Engine,
    artifact: &Artifact,
) -> wasmtime::Result<(Component, LineTable)> {
    let (code, lines) = unpack(artifact.code());
    #[expect(
        unsafe_code,
        reason = "compiled code cannot be checked, only its origin can; see the contract above"
    )]
    // SAFETY: the bytes are our own compiler's output by the contract of `Artifact`.
    let component = unsafe { Component::deserialize(engine, code) }?;
    Ok((component, lines))
}
