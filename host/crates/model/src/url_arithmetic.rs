//! URL arithmetic: what a relative reference, a view, edit or source link means on each kind of
//! source host (ref §1.6, §2.4, §3). Pure text in, text out; nothing here connects anywhere.
//!
//! Guests run this too, so http(s) URLs are parsed by the small [`WebUrl`] instead of the `url`
//! crate with its Unicode tables. What may be *read* is decided by the reader on its own parse,
//! never by this module.

mod integration;
mod links;
mod project;
mod repository;
mod web_url;

pub use integration::{Integration, IntegrationType, Integrations};
pub use links::{SourceLinks, UrlError, is_absolute_url, resolve_url};
pub use project::{Project, root_file, slug_annotation};
pub use repository::{Repository, same_repository};
pub use web_url::WebUrl;
