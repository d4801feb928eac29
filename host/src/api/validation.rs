//! `POST /tenants/{tenant}/validate`: a batch of catalog files that a worker takes through the tenant's pipeline together,
//! writing nothing (DESIGN §5).
//!
//! The API reads what is sent and nothing in it: whether a text is YAML, and what it holds, is found out in the sandbox. A
//! batch is a run like a dry run: answered within `wait`, else 202; a client that leaves cancels it.

use axum::extract::{Request, State};
use axum::response::Response;
use greenroom_model::{GivenFile, GivenFiles, NOWHERE};
use greenroom_storage::RunKind;
use http::header;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::auth::{Access, Read};
use super::body::{Pieces, refuse_encoding};
use super::error::ApiError;
use super::extract::Params;
use super::operation_doc::{Content, Doc, QueryKind};
use super::routes::Routes;
use super::runs;
use super::state::ApiState;

/// Largest body: what one run may well be asked to look at.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// Most files, references among them.
const MAX_FILES: usize = 1_000;
/// Longest `location`, in bytes.
const MAX_LOCATION_BYTES: usize = 2_048;
/// What a body that is one YAML stream is called.
const ONE_FILE: &str = "catalog-info.yaml";
/// Media types of a YAML stream; the first is the registered one.
const YAML: [&str; 4] = [
    "application/yaml",
    "application/x-yaml",
    "text/yaml",
    "text/x-yaml",
];

pub(super) fn routes() -> Routes {
    Routes::below("/tenants/{tenant}").post(
        "/validate",
        validate_documents,
        Doc::new("Validates catalog files together with the tenant's pipeline, writing nothing.")
            .details(
                "Each document is answered with what is wrong, its line and column, and what it would change in the catalog. \
                 A text is a YAML stream or JSON. A body of the type `application/yaml` is one file, `catalog-info.yaml`. \
                 `references` are files that documents refer to; `wanted` in the answer names those that were not there. At \
                 most 8 MiB, 1 000 files and 1 000 documents.",
            )
            .query(
                "location",
                QueryKind::Text,
                "URL of the folder that paths are below. Without it nothing can be read but the files.",
            )
            .wait()
            .body(Content::Json("ValidationRequest"))
            .json(200, "ValidationReport", "What is to say of each document, good or bad.")
            .json(202, "Accepted", "Not done yet; `Location` is the run's address.")
            .error(413, "The body has more than 8 MiB.")
            .error(429, "Too many runs of the tenant are unfinished."),
    )
}

/// `POST /validate?location&wait`
pub(super) async fn validate_documents(
    access: Access<Read>,
    State(state): State<ApiState>,
    params: Params,
    request: Request,
) -> Result<Response, ApiError> {
    let params = params.only(&["location", "wait"])?;
    let patience = runs::wait_of(&params)?;
    let base = match params.one("location")? {
        Some(location) => base_of(location)?,
        None => NOWHERE.to_owned(),
    };
    let Sent { files, references } = read(request).await?;
    let given = GivenFiles {
        base,
        files,
        references,
    };
    let count = given.files.len() + given.references.len();
    if given.files.is_empty() {
        return Err(ApiError::input(
            "request/body/files must NOT have fewer than 1 items",
        ));
    }
    if count > MAX_FILES {
        return Err(ApiError::input(format!(
            "{count} files were sent; at most {MAX_FILES} are taken, validate fewer at a time"
        )));
    }
    given
        .check()
        .map_err(|(path, why)| ApiError::input(format!("request/body: path '{path}': {why}")))?;
    let kind = RunKind::ValidateDocuments;
    runs::answer_or_accept(&state, access.tenant, kind, &json!(given), patience).await
}

/// The folder that a location names.
fn base_of(location: &str) -> Result<String, ApiError> {
    let wrong = |why: &str| ApiError::input(format!("request/query/location {why}"));
    if location.len() > MAX_LOCATION_BYTES {
        return Err(wrong("is too long"));
    }
    let url = Url::parse(location).map_err(|_| wrong("must be a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("must be an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must not hold a credential"));
    }
    if url.query().is_some() || url.fragment().is_some() || !url.path().ends_with('/') {
        return Err(wrong(
            "must be a folder: end it with / and leave out ? and #",
        ));
    }
    Ok(url.into())
}

/// What is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    files: Vec<GivenFile>,
    #[serde(default)]
    references: Vec<GivenFile>,
}

/// Reads a body with files, or one that is a file.
async fn read(request: Request) -> Result<Sent, ApiError> {
    refuse_encoding(request.headers())?;
    let media_type = request.headers().get(header::CONTENT_TYPE);
    let media_type = media_type.and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|value| value.split(';').next());
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    let yaml = YAML.contains(&essence.as_str());
    if !yaml && essence != "application/json" {
        let shown: String = essence.chars().take(80).collect();
        return Err(ApiError::input(format!(
            "unsupported media type {shown}; send application/json or application/yaml"
        )));
    }
    let mut pieces = Pieces::new(request.into_body());
    let Some(bytes) = pieces.collect(MAX_BODY_BYTES).await? else {
        return Err(ApiError::too_large(format!(
            "the body has more than {MAX_BODY_BYTES} bytes; validate fewer files at a time"
        )));
    };
    if !yaml {
        return serde_json::from_slice(&bytes)
            .map_err(|error| ApiError::input(format!("request/body: {error}")));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| ApiError::input("the body is not UTF-8 text; send it as UTF-8"))?;
    let file = GivenFile {
        path: ONE_FILE.to_owned(),
        text,
    };
    Ok(Sent {
        files: vec![file],
        references: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l03_a_location_is_a_folder_and_holds_no_credential() {
        let base = base_of("https://github.com/o/r/blob/main/").unwrap();
        assert_eq!(base, "https://github.com/o/r/blob/main/");
        for bad in [
            "x",
            "file:///etc/",
            "https://u@h/",
            "https://:p@h/",
            "https://h/a",
            "https://h/?a",
            "https://h/#a",
            &format!("https://h/{}/", "a".repeat(MAX_LOCATION_BYTES)),
        ] {
            assert!(base_of(bad).is_err(), "{bad}");
        }
    }
}
