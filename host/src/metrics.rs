//! What a process counts and measures of itself, and how it is shown at `/metrics` (DESIGN §8).
//!
//! Every metric is a row of one list ([`Metric`]), from which `docs/metrics.md` is made. A process has one [`Sheet`] of
//! values. A worker that is a child of `serve` has no listener: it tells with each heartbeat what has changed ([`Told`]), and
//! `serve` adds that to its own sheet, so that one address shows the whole process tree.
//!
//! The number of series is bounded (q07). A label whose values tenants choose is *open*: what comes after the first
//! so-and-so many values is counted together, as `other`. Detail by tenant is in storage and in the API, without a bound.

mod list;
mod page;
mod sheet;
mod text;

pub use list::{Kind, Metric, Source, Spec};
pub use page::page;
pub use sheet::{Change, Sheet, Told};
pub use text::CONTENT_TYPE;
