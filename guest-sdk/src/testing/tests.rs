//! The harness catches what the sandbox would: shared state, undeclared stages, endless rounds.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::{Context, Descriptor, Emitter, ProcessorError, Stage, entity};

fn web() -> Entity {
    entity!({"apiVersion": "v1", "kind": "Component", "metadata": {"name": "web"}})
}

static CALLS: AtomicU32 = AtomicU32::new(0);

#[derive(Default)]
struct Counting;

impl Processor for Counting {
    fn describe(&self) -> Descriptor {
        Descriptor::new().stages([Stage::PreProcess])
    }

    fn pre_process(
        &self,
        mut entity: Entity,
        _cx: &Context,
        _out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        let calls = CALLS.fetch_add(1, Ordering::Relaxed);
        entity.set_annotation("calls", calls.to_string());
        Ok(entity)
    }
}

#[test]
#[should_panic(expected = "static")]
fn state_in_a_static_is_caught() {
    run(Counting, web());
}

#[derive(Default)]
struct Undeclared;

impl Processor for Undeclared {
    fn describe(&self) -> Descriptor {
        Descriptor::new()
    }

    fn post_process(
        &self,
        entity: Entity,
        _cx: &Context,
        out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        out.refresh_key("x");
        Ok(entity)
    }
}

#[test]
#[should_panic(expected = "not among the stages")]
fn an_undeclared_stage_is_caught() {
    run(Undeclared, web());
}

#[derive(Default)]
struct Chain;

impl Processor for Chain {
    fn describe(&self) -> Descriptor {
        Descriptor::new().stages([Stage::PreProcess, Stage::PostProcess])
    }

    fn pre_process(
        &self,
        mut entity: Entity,
        cx: &Context,
        out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        out.refresh_key("dropped while pending");
        // An author may ignore "pending": the answer is pending all the same.
        let Ok(first) = cx.read("https://h/1") else {
            return Err(ProcessorError::other("never seen"));
        };
        let texts = cx.read_all([first.text()?, "https://h/3"])?;
        entity.set_annotation(
            "sum",
            format!("{}", texts[0].bytes().len() + texts[1].bytes().len()),
        );
        Ok(entity)
    }

    fn post_process(
        &self,
        _entity: Entity,
        cx: &Context,
        _out: &mut Emitter,
    ) -> Result<Entity, ProcessorError> {
        cx.log(greenroom_model::Level::Info, "about to give up");
        cx.read("https://h/4")?;
        unreachable!("it is missing")
    }
}

#[test]
fn rounds_go_on_until_nothing_is_pending() {
    let done = Test::new()
        .document("https://h/1", "https://h/2")
        .document("https://h/2", "22")
        .document("https://h/3", "333")
        .missing("https://h/4")
        .run(Chain, web());
    assert_eq!(done.entity.annotation("sum"), Some("5"));
    assert_eq!(done.rounds, 3 + 2);
    assert_eq!(done.refresh_keys.len(), 1);
    assert_eq!(
        done.error,
        Some((
            Stage::PostProcess,
            ProcessorError::NotFound("`https://h/4` does not exist".into())
        ))
    );
    assert_eq!(done.log.len(), 2);
}

#[test]
#[should_panic(expected = "add a fixture")]
fn an_unforeseen_read_is_a_mistake_of_the_test() {
    Test::new().document("https://h/1", "x").run(Chain, web());
}
