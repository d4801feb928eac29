//! From a reference to what to read: absolute, and in the same repository or root.

use greenroom_sdk::LocationRef;
use greenroom_sdk::url_arithmetic::{
    Integrations, is_absolute_url, resolve_target, resolve_url, same_repository,
};

/// Something to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// What to ask the host for.
    pub(crate) url: String,
    /// What makes the entity be processed again.
    pub(crate) refresh_key: String,
}

/// Why a reference may not be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It cannot be formed.
    Unresolvable(String),
    /// It leads out of the entity's repository or root.
    Foreign(&'static str),
}

/// The place that `reference` names in an entity read from `base`.
pub(crate) fn place(
    reference: &str,
    base: &LocationRef,
    integrations: &Integrations,
) -> Result<Place, Refusal> {
    match base.r#type.as_str() {
        "url" => {
            let url = resolve_url(reference, &base.target, integrations)
                .map_err(|error| Refusal::Unresolvable(error.to_string()))?;
            if !same_repository(&url, &base.target) {
                return Err(Refusal::Foreign(
                    "is not in the repository of the entity; copy the file there",
                ));
            }
            Ok(Place {
                refresh_key: format!("url:{url}"),
                url,
            })
        }
        "file" => {
            if is_absolute_url(reference) || reference.starts_with('/') {
                return Err(Refusal::Foreign(
                    "is not a path relative to the entity's file; copy the file beside it",
                ));
            }
            // Whether `..` leads out of the root is the host's to say: it knows the root.
            let path = resolve_target(base, "file", reference, integrations);
            let url = format!("file:{path}");
            Ok(Place {
                refresh_key: url.clone(),
                url,
            })
        }
        _ => Err(Refusal::Unresolvable(
            "placeholders work in `url` and `file` locations only".to_owned(),
        )),
    }
}
