//! From an owner as CODEOWNERS writes it to one as an entity does.

use greenroom_sdk::EntityRef;

/// Most characters of an owner that a message shows.
const SHOWN_CHARS: usize = 100;

/// `@org/team` is the group `team`, `@user` the user, an address the group of its local part, and anything else
/// is taken as it is (ref: Backstage's CodeOwnersProcessor). The error says why it cannot be an owner.
pub(crate) fn entity_owner(owner: &str, namespace: &str) -> Result<String, String> {
    let made = match owner.strip_prefix('@') {
        Some(handle) => match handle.split('/').nth(1) {
            Some(team) => team.to_owned(),
            None => format!("User:{handle}"),
        },
        None => match owner.split_once('@') {
            Some((local, domain)) if domain.contains('.') => local.to_owned(),
            _ => owner.to_owned(),
        },
    };
    let control = made.chars().any(char::is_control);
    let parsed = EntityRef::parse_with(&made, Some("Group"), Some(namespace));
    if control || made.contains('@') || parsed.is_err() {
        let shown: String = owner.chars().take(SHOWN_CHARS).collect();
        return Err(format!(
            "names `{}`, which is not the name of a group or user; the entity gets no owner",
            shown.escape_debug()
        ));
    }
    Ok(made)
}
