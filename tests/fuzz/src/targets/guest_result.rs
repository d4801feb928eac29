//! c07: the bytes of a result as the canonical ABI lays it out, whatever they are.

use std::sync::{Arc, OnceLock};

use greenroom_sandbox::{FaultKind, LoadedProcessor, StageCall};
use greenroom_test_artifacts::RAW_RESULT_COMPONENT;

use super::sandboxed::{called, program, request};

/// Has a guest return the bytes as its result, from every kind of stage.
pub fn run(data: &[u8]) {
    static PROGRAM: OnceLock<Arc<LoadedProcessor>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| program(RAW_RESULT_COMPONENT));
    let spelled: String = data
        .iter()
        .take(16 << 10)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    for call in [
        StageCall::PreProcess(request(&spelled)),
        StageCall::ValidateKind(request(&spelled)),
    ] {
        if let Some(fault) = called(program, &call).outcome.fault() {
            assert!(
                !matches!(
                    fault.kind,
                    FaultKind::Deadline | FaultKind::ReadLimit | FaultKind::HostCrash
                ),
                "{fault:?}"
            );
        }
    }
}
