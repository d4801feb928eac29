//! What `run`, `test` and `cost` have in common: which component, how it is set, and what it may read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use greenroom_model::{Clock as _, ProcessorName, Timestamp};
use greenroom_sandbox::{CallLimits, ENGINE_CEILING};
use serde_json::Value;

use super::super::clock::SystemClock;
use super::component::ComponentFlags;
use super::reads::{BASE, Reads};
use super::workshop::Setting;
use crate::commands::files;

/// How a processor is tried here.
#[derive(Debug, Clone, Args)]
pub(super) struct LocalFlags {
    #[command(flatten)]
    pub(super) component: ComponentFlags,
    /// The processor's configuration, a JSON file
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Limits other than the defaults, a JSON file such as {"fuel": 2000000000}
    #[arg(long, value_name = "FILE")]
    pub(super) limits: Option<PathBuf>,
    /// Its place among the processors; that of `describe` if not given
    #[arg(long)]
    pub(super) priority: Option<i32>,
    /// Without the bundled processors; only their word on which kinds there are
    #[arg(long)]
    pub(super) alone: bool,
    /// A kind that processors may emit, besides Component, API and Location; may be given several times
    #[arg(long, value_name = "KIND")]
    pub(super) allow: Vec<String>,
    /// What a read gives; may be given several times
    #[arg(long, value_name = "URL=FILE")]
    pub(super) read: Vec<String>,
    /// What reads give, a JSON file from URL to file, {"listing": […]}, {"notFound": true} or {"refused": "why"}
    #[arg(long, value_name = "FILE")]
    pub(super) reads: Option<PathBuf>,
    /// URL of the repository that the entity's folder stands for
    #[arg(long, value_name = "URL", default_value = BASE)]
    pub(super) base: String,
    /// The time, such as 2026-01-01T00:00:00Z; now if not given
    #[arg(long, value_name = "TIME")]
    pub(super) now: Option<String>,
}

impl LocalFlags {
    /// How the processor stands in the pipeline.
    pub(super) fn setting(&self, name: ProcessorName) -> anyhow::Result<Setting> {
        let config: Arc<str> = match &self.config {
            Some(path) => object(path)?.to_string().into(),
            None => "{}".into(),
        };
        let limits = match &self.limits {
            Some(path) => limits(path)?,
            None => CallLimits::default(),
        };
        Ok(Setting {
            name,
            config,
            limits,
            priority: self.priority,
        })
    }

    /// What reads give, wherever the entity is.
    pub(super) fn given_reads(&self) -> anyhow::Result<Reads> {
        let mut reads = Reads::default();
        if let Some(path) = &self.reads {
            reads.add_file(path)?;
        }
        for flag in &self.read {
            reads.add_flag(flag)?;
        }
        Ok(reads)
    }

    /// The base URL, ended as a folder.
    pub(super) fn base(&self) -> anyhow::Result<String> {
        if !self.base.starts_with("https://") && !self.base.starts_with("http://") {
            bail!("`--base {}` is no http or https URL", self.base);
        }
        Ok(format!("{}/", self.base.trim_end_matches('/')))
    }

    /// The time of the run.
    pub(super) fn now_ms(&self) -> anyhow::Result<u64> {
        let now = match &self.now {
            Some(text) => Timestamp::parse(text).with_context(|| format!("read `--now {text}`"))?,
            None => SystemClock::default().now(),
        };
        Ok(u64::try_from(now.0).unwrap_or(0))
    }
}

/// A JSON object in a file.
pub(super) fn object(path: &Path) -> anyhow::Result<Value> {
    let value: Value = serde_json::from_str(&files::read_text(path)?)
        .with_context(|| format!("read `{}`", path.display()))?;
    if !value.is_object() {
        bail!("`{}` is not a JSON object", path.display());
    }
    Ok(value)
}

fn limits(path: &Path) -> anyhow::Result<CallLimits> {
    let limits: CallLimits = serde_json::from_value(object(path)?)
        .with_context(|| format!("read `{}`", path.display()))?;
    limits
        .within(&ENGINE_CEILING)
        .with_context(|| format!("use the limits of `{}`", path.display()))?;
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_limit_and_every_fault() {
        let page = include_str!("../../../../docs/authoring.md");
        let ceiling = serde_json::json!(ENGINE_CEILING);
        let default = serde_json::json!(CallLimits::default());
        let fields = default.as_object().unwrap();
        for (name, value) in fields {
            let row = format!("| `{name}` | {value} | {} | ", ceiling[name]);
            assert!(page.contains(&row), "{row}");
        }
        assert_eq!(
            page.matches("| bytes |").count() + page.matches("| milliseconds |").count() + 3,
            fields.len()
        );
        for kind in greenroom_sandbox::FaultKind::ALL {
            assert!(page.contains(&format!("| `{kind}` | ")), "{kind}");
        }
    }

    #[test]
    fn limits_are_named_and_within_the_ceiling() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("limits.json");
        let read = |text: &str| {
            files::write(&path, text.as_bytes()).unwrap();
            limits(&path).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(read("{\"fuel\": 5}").unwrap().fuel, 5);
        assert!(read("{\"feul\": 5}").unwrap_err().contains("feul"));
        assert!(read("{\"fuel\": 0}").unwrap_err().contains("between 1"));
        assert!(read("[]").unwrap_err().contains("object"));
    }
}
