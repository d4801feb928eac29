//! c14: JSON that a guest returns as its entity. What is accepted is an entity of the same ref, in the host's own words.

use std::sync::{Arc, OnceLock};

use greenroom_sandbox::{CallOutcome, FaultKind, LoadedProcessor, StageAnswer, StageCall};
use greenroom_test_artifacts::INVALID_JSON_COMPONENT;

use super::sandboxed::{called, program, request};

/// Has a guest return the bytes as its entity.
pub fn run(data: &[u8]) {
    static PROGRAM: OnceLock<Arc<LoadedProcessor>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| program(INVALID_JSON_COMPONENT));
    let text = String::from_utf8_lossy(data);
    let called = called(program, &StageCall::PreProcess(request(&text)));
    match called.outcome {
        CallOutcome::Answered(StageAnswer::Processed(processed)) => {
            let entity = processed.entity.map(|entity| entity.to_json());
            let entity = entity.as_deref().unwrap_or("{}");
            assert!(!entity.contains("\\u0000"), "c14: NUL is refused");
            assert!(serde_json::from_str::<serde_json::Value>(entity).is_ok());
        }
        CallOutcome::Answered(answer) => panic!("{answer:?}"),
        CallOutcome::Faulted(fault) => {
            let expected = [
                FaultKind::InvalidOutput,
                FaultKind::OutputTooLarge,
                FaultKind::OutOfFuel,
            ];
            assert!(expected.contains(&fault.kind), "{fault:?}");
        }
    }
}
