//! A run as it is shown: to programs in the shape of the API's dry runs, to people as what changed, what was emitted, what
//! was said and what it cost.

use greenroom_model::{Level, ProcessorName};
use greenroom_orchestrator::Verdict;
use greenroom_sandbox::{CallLimits, CallLog, GuestFault, LogLevel, ReadOutcome, Want};
use serde_json::{Value, json};

use super::diff::{Change, diff};
use super::execute::{Ended, Executed, MadeRead};
use super::recorder::MadeCall;
use crate::commands::escape::{NAME_CHARS, one_line};
use crate::commands::exit::Exit;
use crate::commands::screen::{Ink, Screen, bytes, grouped, percent};

/// Longest value shown in a line, in characters.
const VALUE_CHARS: usize = 160;
/// Frames of a backtrace that are shown.
const MAX_FRAMES: usize = 16;

/// What changed in the entity.
pub(super) fn changes(executed: &Executed) -> Vec<Change> {
    executed.entity().map_or_else(Vec::new, |entity| {
        diff(&json!(executed.before.as_map()), &json!(entity.as_map()))
    })
}

/// Children, relations and refresh keys.
pub(super) fn emissions(executed: &Executed) -> Value {
    let none = json!({"children": [], "relations": [], "refreshKeys": []});
    let Ended::Done(outcome) = &executed.ended else {
        return none;
    };
    let Verdict::Processed(processed) = &outcome.verdict else {
        return none;
    };
    json!({
        "children": processed.children,
        "relations": processed.relations,
        "refreshKeys": processed.refresh_keys,
    })
}

/// The whole run, in the shape of the API's dry runs.
pub(super) fn to_json(executed: &Executed) -> Value {
    let diff: Vec<Value> = changes(executed).iter().map(Change::to_json).collect();
    let reads: Vec<Value> = executed.reads.iter().map(read_json).collect();
    let calls: Vec<Value> = executed.calls.iter().map(call_json).collect();
    json!({
        "entityRef": executed.before.entity_ref().to_string(),
        "outcome": executed.outcome_name(),
        "before": executed.before.as_map(),
        "entity": executed.entity().map(|entity| entity.as_map()),
        "diff": diff,
        "emissions": emissions(executed),
        "diagnostics": executed.diagnostics(),
        "reads": reads,
        "calls": calls,
    })
}

fn read_json(read: &MadeRead) -> Value {
    let outcome = match &read.outcome {
        None => json!("unanswered"),
        Some(ReadOutcome::Document { body, digest, .. }) => {
            json!({"document": {"bytes": body.len(), "digest": digest}})
        }
        Some(ReadOutcome::Listing(urls)) => json!({"listing": urls}),
        Some(ReadOutcome::NotFound) => json!("not-found"),
        Some(ReadOutcome::Refused(reason)) => json!({"refused": reason}),
    };
    json!({"processor": read.processor, "stage": read.stage, "want": read.want, "outcome": outcome})
}

fn call_json(call: &MadeCall) -> Value {
    let mut shown = json!({
        "processor": call.processor,
        "revision": call.revision,
        "stage": call.stage,
        "fuel": call.report.fuel,
        "fuelLimit": call.limits.fuel,
        "peakMemoryBytes": call.report.peak_memory_bytes,
        "memoryLimitBytes": call.limits.memory_bytes,
        "cpuUs": call.report.cpu_us,
        "log": call.report.log,
    });
    if let Some(fault) = &call.fault {
        shown["fault"] = json!(fault);
    }
    shown
}

/// The exit code a run asks for. A fault of `own` other than its own word `rejected` and `denied` is a fault; those reject.
pub(super) fn exit_of(executed: &Executed) -> Exit {
    use greenroom_sandbox::FaultKind::{Denied, Rejected};
    let faulted = executed
        .calls
        .iter()
        .filter_map(|call| call.fault.as_ref())
        .any(|fault| !matches!(fault.kind, Rejected | Denied));
    if faulted || orchestrator_faults(executed) {
        Exit::Faulted
    } else if executed.entity().is_none() {
        Exit::Rejected
    } else {
        Exit::Done
    }
}

/// Whether a stage was ended for its reads, which is no fault of a call.
fn orchestrator_faults(executed: &Executed) -> bool {
    use greenroom_sandbox::FaultKind::{Denied, Rejected};
    match &executed.ended {
        Ended::Done(outcome) => outcome
            .faults
            .iter()
            .any(|one| !matches!(one.fault.kind, Rejected | Denied)),
        Ended::Waiting => false,
    }
}

/// For people. Calls of other processors are a line in sum, unless `all`.
pub(super) fn show(screen: &Screen, executed: &Executed, own: &ProcessorName, all: bool) {
    let (ink, word) = match executed.outcome_name() {
        "processed" => (Ink::Good, "processed"),
        "waiting" => (Ink::Warn, "waiting for reads"),
        other => (Ink::Bad, other),
    };
    let entity_ref = executed.before.entity_ref().to_string();
    screen.line(&[(Ink::Bold, &entity_ref), (Ink::Plain, "  "), (ink, word)]);
    show_changes(screen, &changes(executed));
    show_emissions(screen, executed);
    for diagnostic in executed.diagnostics() {
        let ink = match diagnostic.level {
            Level::Error => Ink::Bad,
            Level::Warning => Ink::Warn,
            Level::Info => Ink::Plain,
        };
        let from = diagnostic.processor.as_deref().unwrap_or("");
        screen.line(&[
            (Ink::Plain, "  "),
            (ink, diagnostic.level.as_str()),
            (Ink::Plain, " "),
            (Ink::Plain, &diagnostic.message),
            (Ink::Dim, if from.is_empty() { "" } else { "  by " }),
            (Ink::Dim, &one_line(from, NAME_CHARS)),
        ]);
    }
    for read in &executed.reads {
        show_read(screen, read);
    }
    let mut others = (0_u64, 0_u64);
    for call in &executed.calls {
        if all || call.processor == own.as_str() || call.fault.is_some() {
            show_call(screen, call);
        } else {
            others = (others.0 + 1, others.1 + call.report.fuel);
        }
    }
    if others.0 > 0 {
        let line = format!(
            "  {} calls of other processors, {} fuel; `--all` shows them",
            others.0,
            grouped(others.1)
        );
        screen.line(&[(Ink::Dim, &line)]);
    }
    if !executed
        .calls
        .iter()
        .any(|call| call.processor == own.as_str())
    {
        let line = format!(
            "  `{own}` was not called: its descriptor names no stage or subscription that matches this entity"
        );
        screen.line(&[(Ink::Warn, &line)]);
    }
}

/// What changed, a line each.
pub(super) fn show_changes(screen: &Screen, changes: &[Change]) {
    let text = |value: &Option<Value>| {
        value.as_ref().map_or_else(String::new, |value| {
            one_line(&value.to_string(), VALUE_CHARS)
        })
    };
    for change in changes {
        let (ink, sign) = match change.op() {
            "add" => (Ink::Good, "  + "),
            "remove" => (Ink::Bad, "  - "),
            _ => (Ink::Warn, "  ~ "),
        };
        let (from, to) = (text(&change.from), text(&change.to));
        let arrow = if change.op() == "replace" {
            " → "
        } else {
            ""
        };
        screen.line(&[
            (ink, sign),
            (Ink::Plain, &change.path),
            (Ink::Plain, "  "),
            (Ink::Dim, &from),
            (Ink::Dim, arrow),
            (Ink::Plain, &to),
        ]);
    }
}

fn show_emissions(screen: &Screen, executed: &Executed) {
    let Ended::Done(outcome) = &executed.ended else {
        return;
    };
    let Verdict::Processed(processed) = &outcome.verdict else {
        return;
    };
    for child in &processed.children {
        screen.line(&[
            (Ink::Plain, "  emits "),
            (Ink::Bold, child.entity_ref.as_str()),
        ]);
    }
    for relation in &processed.relations {
        let (source, target) = (relation.source.to_string(), relation.target.to_string());
        screen.line(&[
            (Ink::Plain, "  emits "),
            (Ink::Plain, &source),
            (Ink::Plain, " "),
            (Ink::Bold, &one_line(&relation.r#type, NAME_CHARS)),
            (Ink::Plain, " "),
            (Ink::Plain, &target),
        ]);
    }
    for key in &processed.refresh_keys {
        screen.line(&[(Ink::Plain, "  emits refresh key "), (Ink::Plain, key)]);
    }
}

fn show_read(screen: &Screen, read: &MadeRead) {
    let (what, url) = match &read.want {
        Want::Get(url) => ("reads ", url),
        Want::List(pattern) => ("lists ", pattern),
    };
    let (ink, outcome) = match &read.outcome {
        None => (
            Ink::Warn,
            "not given: answer it with `--read URL=FILE` or `--reads`".to_owned(),
        ),
        Some(ReadOutcome::Document { body, .. }) => (Ink::Dim, bytes(body.len() as u64)),
        Some(ReadOutcome::Listing(urls)) => (Ink::Dim, format!("{} matches", urls.len())),
        Some(ReadOutcome::NotFound) => (Ink::Dim, "not found".to_owned()),
        Some(ReadOutcome::Refused(reason)) => (Ink::Dim, format!("refused: {reason}")),
    };
    screen.line(&[
        (Ink::Plain, "  "),
        (Ink::Plain, what),
        (Ink::Plain, url),
        (Ink::Plain, "  "),
        (ink, &outcome),
    ]);
}

/// One call: its cost as a share of its limits, its fault, its log.
pub(super) fn show_call(screen: &Screen, call: &MadeCall) {
    screen.line(&[
        (Ink::Plain, "  "),
        (Ink::Bold, &call.processor),
        (Ink::Plain, " "),
        (Ink::Plain, call.stage.as_str()),
        (
            Ink::Plain,
            &format!(
                "  {}",
                cost_line(
                    call.report.fuel,
                    call.report.peak_memory_bytes,
                    call.report.cpu_us,
                    &call.limits
                )
            ),
        ),
    ]);
    if let Some(fault) = &call.fault {
        show_fault(screen, fault);
    }
    show_log(screen, &call.report.log);
}

/// What a call said. The level is a field of its own, whatever the text claims.
pub(super) fn show_log(screen: &Screen, log: &CallLog) {
    for line in &log.lines {
        let ink = match line.level {
            LogLevel::Error => Ink::Bad,
            LogLevel::Warning => Ink::Warn,
            LogLevel::Info | LogLevel::Debug => Ink::Dim,
        };
        let level = format!("{:?}", line.level).to_lowercase();
        let fields: String = line
            .fields
            .iter()
            .map(|(key, value)| format!(" {key}={value}"))
            .collect();
        screen.line(&[
            (Ink::Plain, "    log "),
            (ink, &level),
            (Ink::Plain, " "),
            (Ink::Plain, &line.message),
            (Ink::Dim, &fields),
        ]);
    }
    if log.truncated {
        screen.line(&[(Ink::Warn, "    log cut: more was said than the limit keeps")]);
    }
}

/// Fuel, memory and time, with their share of the limits.
pub(super) fn cost_line(fuel: u64, memory: u64, cpu_us: u64, limits: &CallLimits) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let milliseconds = cpu_us as f64 / 1000.0;
    format!(
        "fuel {} ({})  memory {} ({})  {milliseconds:.2} ms",
        grouped(fuel),
        percent(fuel, limits.fuel),
        bytes(memory),
        percent(memory, limits.memory_bytes),
    )
}

/// A fault and where it happened.
pub(super) fn show_fault(screen: &Screen, fault: &GuestFault) {
    screen.line(&[
        (Ink::Plain, "    "),
        (Ink::Bad, fault.kind.as_str()),
        (Ink::Plain, " "),
        (Ink::Plain, &fault.message),
    ]);
    for frame in fault.backtrace.iter().take(MAX_FRAMES) {
        let place = match (&frame.file, frame.line) {
            (Some(file), Some(line)) => format!("  {file}:{line}"),
            _ => String::new(),
        };
        screen.line(&[
            (Ink::Dim, "      at "),
            (Ink::Plain, &one_line(&frame.function, NAME_CHARS)),
            (Ink::Dim, &place),
        ]);
    }
}
