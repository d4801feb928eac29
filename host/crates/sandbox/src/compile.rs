//! From the bytes of a component to an artifact, or to the reason why not.
//!
//! Runs where it is called; for what tenants upload that is a child process with limits on CPU time
//! and memory (DESIGN §1), because no limit here makes a compiler safe to feed. What can be told
//! without compiling is told first.

use greenroom_model::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::bindings::v0_1::CatalogProcessorPre;
use crate::contract::check_functions;
use crate::debug_sections::without_debug_sections;
use crate::engine::{MAX_MEMORIES, MAX_TABLES};
use crate::imports::new_linker;
use crate::inspect::inspect;
use crate::line_table::LineTable;
use crate::packed_code::pack;
use crate::printable::printable;
use crate::{Artifact, EngineUse, Rejection, SandboxError, new_engine};

/// What a component may have. Figures of ref wasm §2.3, above what our largest guests need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// The component's bytes; 32 MiB, for interpreters with their heap.
    pub component_bytes: usize,
    /// Functions; 50 000.
    pub functions: u64,
    /// Bytes of one function; 512 KiB. Compiling grows faster than its size.
    pub function_bytes: u64,
    /// Locals of one function; 5 000.
    pub locals: u64,
    /// Nested blocks in one function; 1 000.
    pub blocks: u64,
    /// Targets of all branch tables of one function; 50 000.
    pub branch_targets: u64,
    /// Types; 50 000.
    pub types: u64,
    /// Globals, and likewise imports of modules; 20 000. Each takes room in every instance.
    pub globals: u64,
    /// Data and element segments; 30 000.
    pub segments: u64,
    /// Nested components and modules; 16.
    pub nesting: u64,
    /// Initial bytes of one memory; 64 MiB, the default of a call.
    pub memory_bytes: u64,
    /// Initial elements of one table; 100 000.
    pub table_elements: u64,
}

impl Default for CompileLimits {
    fn default() -> CompileLimits {
        CompileLimits {
            component_bytes: 32 << 20,
            functions: 50_000,
            function_bytes: 512 << 10,
            locals: 5_000,
            blocks: 1_000,
            branch_targets: 50_000,
            types: 50_000,
            globals: 20_000,
            segments: 30_000,
            nesting: 16,
            memory_bytes: 64 << 20,
            table_elements: 100_000,
        }
    }
}

/// A component that gave no artifact.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The component is at fault.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// We are.
    #[error(transparent)]
    Failed(#[from] SandboxError),
}

/// Compiles components. Keep one for several of them.
pub struct Compiler {
    engine: Engine,
    limits: CompileLimits,
}

impl Compiler {
    /// Makes a compiler; it takes no pool, so it works under a limit on address space.
    ///
    /// # Errors
    /// [`SandboxError::Engine`].
    pub fn new(limits: CompileLimits) -> Result<Compiler, SandboxError> {
        Ok(Compiler {
            engine: new_engine(EngineUse::Compile)?,
            limits,
        })
    }

    /// Compiles the bytes of a component.
    ///
    /// # Errors
    /// [`CompileError::Rejected`] with what to change.
    pub fn compile(&self, bytes: &[u8]) -> Result<Artifact, CompileError> {
        inspect(bytes, &self.limits)?;
        let compiled = without_debug_sections(bytes);
        let component = Component::from_binary(&self.engine, &compiled)
            .map_err(|error| Rejection::Compile(shown(&error)))?;
        check_room(&component)?;
        self.check_contract(&component)?;
        let code = component
            .serialize()
            .map_err(|error| SandboxError::Engine(format!("serialize code: {error:#}")))?;
        let packed = pack(code, &LineTable::new(bytes, &compiled));
        Ok(Artifact::compiled(Digest::of(bytes), packed))
    }

    /// Checks the types of all imports and exports: the authority, after the names were checked.
    fn check_contract(&self, component: &Component) -> Result<(), CompileError> {
        let linker = new_linker(&self.engine)
            .map_err(|error| SandboxError::Engine(format!("define the imports: {error:#}")))?;
        let pre = linker
            .instantiate_pre(component)
            .map_err(|error| Rejection::Contract(shown(&error)))?;
        check_functions(&self.engine, component)?;
        CatalogProcessorPre::new(pre).map_err(|error| Rejection::Contract(shown(&error)))?;
        Ok(())
    }
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiler")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Compiles one component.
///
/// # Errors
/// As [`Compiler::compile`].
pub fn compile(bytes: &[u8], limits: &CompileLimits) -> Result<Artifact, CompileError> {
    Compiler::new(*limits)?.compile(bytes)
}

/// Checks what one instance needs, where modules that are instantiated several times count as often
/// (a13): what passes here finds room in the pool.
fn check_room(component: &Component) -> Result<(), Rejection> {
    let Some(needed) = component.resources_required() else {
        return Err(Rejection::Contract("it imports a core module".to_owned()));
    };
    for (what, figure, limit) in [
        ("memories in an instance", needed.num_memories, MAX_MEMORIES),
        ("tables in an instance", needed.num_tables, MAX_TABLES),
    ] {
        if figure > limit {
            let (figure, limit) = (figure.into(), limit.into());
            return Err(Rejection::OverLimit {
                what,
                figure,
                limit,
            });
        }
    }
    Ok(())
}

fn shown(error: &wasmtime::Error) -> String {
    printable(&format!("{error:#}"), 1024)
}
