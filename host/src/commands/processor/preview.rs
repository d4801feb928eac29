//! A preview: a revision run by the host beside the current one over live entities, writing nothing.

use anyhow::bail;
use reqwest::Method;
use serde_json::{Value, json};

use crate::commands::client::{Body, HostClient, WAIT_S};
use crate::commands::exit::Exit;
use crate::commands::screen::{Ink, Screen, bytes, grouped};

/// Changed entities shown to people.
const SHOWN_CHANGES: usize = 20;
/// Operations of one entity's difference shown to people.
const SHOWN_OPERATIONS: usize = 10;

/// What `--preview` asks for: a number of entities, or all.
pub(super) fn entities(text: &str) -> anyhow::Result<Value> {
    match text.parse::<u32>() {
        _ if text == "all" => Ok(json!("all")),
        Ok(number) if number > 0 => Ok(json!(number)),
        _ => bail!("`--preview {text}` is neither a number of entities nor `all`"),
    }
}

/// Asks for a preview and shows it. Newly failing entities are a difference that a script must hear about.
pub(super) fn run(
    screen: &Screen,
    client: &HostClient,
    name: &str,
    revision: u64,
    entities: &Value,
) -> anyhow::Result<(Exit, Value)> {
    let wait = WAIT_S.to_string();
    let reply = client.send(
        screen,
        "previewing",
        Method::POST,
        &["processors", name, "preview"],
        &[("wait", &wait)],
        Body::Json(json!({"revision": revision, "entities": entities})),
    )?;
    let preview = client.result(screen, "previewing", &reply)?;
    screen.clear_progress();
    show(screen, &preview);
    let exit = if preview["newlyFailing"].as_u64().unwrap_or(0) > 0 {
        Exit::Differs
    } else {
        Exit::Done
    };
    Ok((exit, preview))
}

fn show(screen: &Screen, preview: &Value) {
    let count = |name: &str| preview[name].as_u64().unwrap_or(0);
    let against = preview["against"].as_u64().map_or_else(
        || "no revision".to_owned(),
        |number| format!("revision {number}"),
    );
    screen.heading(&format!(
        "preview over {} entities, against {against}",
        grouped(count("entities"))
    ));
    for (name, words, ink) in [
        ("same", "same", Ink::Plain),
        ("different", "different", Ink::Warn),
        ("newlyFailing", "newly failing", Ink::Bad),
        ("alreadyFailing", "failing before and now", Ink::Plain),
        ("noLongerFailing", "no longer failing", Ink::Good),
    ] {
        let number = count(name);
        let ink = if number == 0 { Ink::Dim } else { ink };
        screen.line(&[(ink, &format!("  {:>8}  {words}", grouped(number)))]);
    }
    let changes = preview["changes"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for change in changes.iter().take(SHOWN_CHANGES) {
        let text = |name: &str| change[name].as_str().unwrap_or_default();
        screen.line(&[
            (Ink::Bold, text("entityRef")),
            (Ink::Plain, "  "),
            (Ink::Warn, text("kind")),
        ]);
        if let Some(kind) = change["fault"]["kind"].as_str() {
            let message = change["fault"]["message"].as_str().unwrap_or_default();
            screen.line(&[
                (Ink::Bad, "    "),
                (Ink::Bad, kind),
                (Ink::Plain, " "),
                (Ink::Plain, message),
            ]);
        }
        for operation in change["diff"]
            .as_array()
            .into_iter()
            .flatten()
            .take(SHOWN_OPERATIONS)
        {
            let side = |name: &str| {
                operation
                    .get(name)
                    .map_or_else(String::new, Value::to_string)
            };
            screen.line(&[
                (Ink::Plain, "    "),
                (Ink::Warn, operation["op"].as_str().unwrap_or_default()),
                (Ink::Plain, " "),
                (Ink::Plain, operation["path"].as_str().unwrap_or_default()),
                (Ink::Dim, &format!("  {}", side("from"))),
                (Ink::Plain, &format!("  {}", side("to"))),
            ]);
        }
    }
    if changes.len() > SHOWN_CHANGES {
        screen.say(&format!(
            "  and {} more; `--json` has them",
            changes.len() - SHOWN_CHANGES
        ));
    }
    let cost = |side: &str| {
        let of = |name: &str| preview["cost"][side][name].as_u64().unwrap_or(0);
        format!(
            "fuel {:>13}  cpu {:>9} us  memory {}",
            grouped(of("fuel")),
            grouped(of("cpuUs")),
            bytes(of("peakMemoryBytes"))
        )
    };
    screen.say(&format!("  now      {}", cost("current")));
    screen.say(&format!("  preview  {}", cost("preview")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::screen::{Looks, testing::screen};

    #[test]
    fn a_number_or_all_is_asked_for() {
        assert_eq!(entities("20").unwrap(), json!(20));
        assert_eq!(entities("all").unwrap(), json!("all"));
        for wrong in ["0", "-1", "some", ""] {
            assert!(entities(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn l01_a_preview_shows_counts_and_no_hostile_text_raw() {
        let (screen, out, _) = screen(Looks::default());
        show(
            &screen,
            &json!({
                "entities": 3, "against": 1, "same": 1, "different": 1, "newlyFailing": 1,
                "changes": [{"entityRef": "component:default/a\u{1b}[2J", "kind": "newly-failing",
                    "fault": {"kind": "trap", "message": "boom\u{9b}"},
                    "diff": [{"op": "add", "path": "/a\u{202e}", "to": "x\r\n"}]}],
            }),
        );
        let text = out.text();
        assert!(
            text.contains("3 entities, against revision 1") && text.contains("newly failing"),
            "{text}"
        );
        assert!(
            !text.replace('\n', "").chars().any(char::is_control) && !text.contains('\u{202e}'),
            "{text:?}"
        );
    }
}
