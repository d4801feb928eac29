//! `greenroom processor check`: what an upload would say, without a host. The component is inspected, compiled and described
//! exactly as at upload; what is allowed but unwise is a warning.

use clap::Args;
use greenroom_model::Digest;
use greenroom_sandbox::{CallLimits, Descriptor, Matcher};
use serde_json::json;

use super::component::ComponentFlags;
use super::workshop::{Setting, Workshop};
use crate::commands::exit::Exit;
use crate::commands::screen::{Ink, Screen, bytes, grouped, percent};

/// From here on uploads and code caches notice.
const LARGE_BYTES: usize = 8 << 20;
/// A descriptor is a constant; more than this share of the fuel for it is worth a word.
const DESCRIBE_FUEL: u64 = 10_000_000;

/// Flags of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckFlags {
    #[command(flatten)]
    component: ComponentFlags,
}

pub(super) fn run(screen: &Screen, flags: &CheckFlags) -> anyhow::Result<Exit> {
    let component = flags.component.obtain()?;
    let workshop = Workshop::open()?;
    let limits = CallLimits::default();
    let setting = Setting {
        name: component.name.clone(),
        config: "{}".into(),
        limits,
        priority: None,
    };
    let own = workshop.own(&component.wasm, &setting)?;
    let descriptor = &own.processor.descriptor;
    let warnings = warnings(&component.wasm, descriptor, own.describe_fuel);
    let digest = Digest::of(&component.wasm);
    screen.json(&json!({
        "name": component.name, "path": component.path, "bytes": component.wasm.len(), "digest": digest,
        "descriptor": descriptor, "describeFuel": own.describe_fuel, "warnings": warnings,
    }));
    screen.line(&[
        (Ink::Good, "ok "),
        (Ink::Bold, component.name.as_str()),
        (Ink::Plain, "  "),
        (Ink::Plain, &component.path.display().to_string()),
    ]);
    screen.say(&format!(
        "  {}, sha-256 {digest}",
        bytes(component.wasm.len() as u64)
    ));
    show_descriptor(screen, descriptor);
    let share = percent(own.describe_fuel, limits.fuel);
    screen.say(&format!(
        "  describe takes {} fuel ({share})",
        grouped(own.describe_fuel)
    ));
    for warning in &warnings {
        screen.line(&[(Ink::Warn, "  warning "), (Ink::Plain, warning)]);
    }
    screen.next("greenroom processor run ENTITY.yaml");
    Ok(Exit::Done)
}

/// What a processor says it is.
pub(super) fn show_descriptor(screen: &Screen, descriptor: &Descriptor) {
    if let Some(summary) = &descriptor.summary {
        screen.say(&format!("  {summary}"));
    }
    let stages: Vec<&str> = descriptor
        .stages
        .iter()
        .map(|stage| stage.as_str())
        .collect();
    screen.say(&format!("  stages {}", stages.join(", ")));
    let matchers: Vec<String> = descriptor.subscription.iter().map(matcher).collect();
    let entities = if matchers.is_empty() {
        "every entity".to_owned()
    } else {
        matchers.join(", or ")
    };
    screen.say(&format!("  called for {entities}"));
    if !descriptor.location_types.is_empty() {
        screen.say(&format!(
            "  reads locations of type {}",
            descriptor.location_types.join(", ")
        ));
    }
    screen.say(&format!("  priority {}", descriptor.priority));
}

fn matcher(matcher: &Matcher) -> String {
    let parts: Vec<String> = [
        ("kind", &matcher.kinds),
        ("type", &matcher.types),
        ("annotation", &matcher.annotations),
        ("keys starting with", &matcher.keys_starting_with),
    ]
    .into_iter()
    .filter(|(_, values)| !values.is_empty())
    .map(|(word, values)| format!("{word} {}", values.join(" or ")))
    .collect();
    if parts.is_empty() {
        "every entity".to_owned()
    } else {
        parts.join(" and ")
    }
}

fn warnings(wasm: &[u8], descriptor: &Descriptor, describe_fuel: u64) -> Vec<String> {
    let mut found = Vec::new();
    if !has_section(wasm, "name") {
        found.push("there are no function names: faults and costs name no function; build with `strip = \"none\"`".to_owned());
    } else if !has_section(wasm, ".debug_line") {
        found.push("there is no debug information: faults name no line; build with `debug = \"line-tables-only\"`".to_owned());
    }
    if wasm.len() > LARGE_BYTES {
        found.push(format!(
            "{} are much: build with `opt-level = \"s\"` and `lto = true`",
            bytes(wasm.len() as u64)
        ));
    }
    if descriptor.subscription.is_empty() {
        found.push(
            "it is called for every entity: name kinds, types or annotations in `describe`"
                .to_owned(),
        );
    }
    if describe_fuel > DESCRIBE_FUEL {
        found.push("`describe` does much work: it should return a constant".to_owned());
    }
    found
}

/// Whether the bytes of a custom section's name, with their length before them, stand in the component. For advice only: a
/// constant of the program that happens to hold them is taken for the section.
fn has_section(wasm: &[u8], name: &str) -> bool {
    let mut header = vec![u8::try_from(name.len()).unwrap_or(0)];
    header.extend_from_slice(name.as_bytes());
    wasm.windows(header.len()).any(|window| window == header)
}

#[cfg(test)]
mod tests {
    use greenroom_sandbox::Track;

    use super::*;

    #[test]
    fn warns_of_what_is_allowed_and_unwise() {
        let mut descriptor = Descriptor {
            track: Track::V0_1,
            stages: vec![],
            subscription: vec![],
            location_types: vec![],
            priority: 20,
            config_schema: None,
            time: None,
            summary: None,
        };
        let words = warnings(b"", &descriptor, DESCRIBE_FUEL + 1).join("\n");
        for word in ["function names", "every entity", "constant"] {
            assert!(words.contains(word), "{words}");
        }
        assert!(warnings(b"\x04name", &descriptor, 1)[0].contains("line-tables-only"));
        assert!(
            warnings(&vec![0; LARGE_BYTES + 1], &descriptor, 1)
                .join("")
                .contains("lto")
        );
        descriptor.subscription = vec![Matcher {
            kinds: vec!["API".into()],
            ..Matcher::default()
        }];
        assert!(warnings(b"\x04name \x0b.debug_line", &descriptor, 1).is_empty());
        assert_eq!(matcher(&descriptor.subscription[0]), "kind API");
    }
}
