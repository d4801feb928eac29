//! What processing says about an entity, and at which stage.
//!
//! A diagnostic is the stored and served form of a problem: it carries Backstage's error name and
//! message apart, because the served `status.items[].message` is `<name>: <message>` while
//! `error.name` and `error.message` are served on their own (ref §1.1). It is data, not a Rust
//! error: a guest's failure is a result (house style §4).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Position;

/// How bad a diagnostic is; only `Error` makes a run not ok.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For information.
    Info,
    /// Something to look at.
    Warning,
    /// The run failed.
    Error,
}

impl Level {
    /// The word served as `status.items[].level`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// The steps of one processing run, in their order (ref §2.2), and `Describe`, which is asked once
/// per revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Processors may change the entity.
    PreProcess,
    /// The entity policies.
    Policy,
    /// A processor recognises the kind.
    ValidateKind,
    /// The targets of a Location are read.
    ReadLocation,
    /// Processors may change the entity once more and emit relations.
    PostProcess,
    /// A processor's descriptor is read.
    Describe,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Stage; 6] = [
        Stage::PreProcess,
        Stage::Policy,
        Stage::ValidateKind,
        Stage::ReadLocation,
        Stage::PostProcess,
        Stage::Describe,
    ];

    /// The stage's word on the wire, in storage and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::PreProcess => "pre-process",
            Stage::Policy => "policy",
            Stage::ValidateKind => "validate-kind",
            Stage::ReadLocation => "read-location",
            Stage::PostProcess => "post-process",
            Stage::Describe => "describe",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a stage")]
pub struct StageError(pub String);

impl FromStr for Stage {
    type Err = StageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Stage::ALL
            .into_iter()
            .find(|stage| stage.as_str() == text)
            .ok_or_else(|| StageError(text.chars().take(40).collect()))
    }
}

/// An error that led to another, as served in `error.cause`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCause {
    /// Error name, such as `TypeError`.
    pub name: String,
    /// Its message, without the name.
    pub message: String,
    /// What led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<ErrorCause>>,
}

impl ErrorCause {
    /// A cause without a deeper one.
    #[must_use]
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> ErrorCause {
        ErrorCause {
            name: name.into(),
            message: message.into(),
            cause: None,
        }
    }
}

/// One thing processing has to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// The error's message, without its name.
    pub message: String,
    /// Name of the processor it came from, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// The stage it arose in, if in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Error name, such as `InputError`.
    pub name: String,
    /// What led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<ErrorCause>>,
    /// The location or ref it is about, when not the entity itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The place in a catalog file, where a reader of such files said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Box<Position>>,
}

impl Diagnostic {
    /// A diagnostic of level error.
    #[must_use]
    pub fn error(name: impl Into<String>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Level::Error, name, message)
    }

    /// A diagnostic of level warning.
    #[must_use]
    pub fn warning(name: impl Into<String>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Level::Warning, name, message)
    }

    /// A diagnostic with nothing but level, name and message.
    #[must_use]
    pub fn new(level: Level, name: impl Into<String>, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            level,
            message: message.into(),
            processor: None,
            stage: None,
            name: name.into(),
            cause: None,
            target: None,
            position: None,
        }
    }

    /// The same, arisen in `stage`.
    #[must_use]
    pub fn at_stage(mut self, stage: Stage) -> Diagnostic {
        self.stage = Some(stage);
        self
    }

    /// The same, from the processor of that name.
    #[must_use]
    pub fn from_processor(mut self, processor: impl Into<String>) -> Diagnostic {
        self.processor = Some(processor.into());
        self
    }

    /// The same, caused by `cause`.
    #[must_use]
    pub fn caused_by(mut self, cause: ErrorCause) -> Diagnostic {
        self.cause = Some(Box::new(cause));
        self
    }

    /// The same, about `target`.
    #[must_use]
    pub fn about(mut self, target: impl Into<String>) -> Diagnostic {
        self.target = Some(target.into());
        self
    }

    /// The same, at a place in a file.
    #[must_use]
    pub fn at(mut self, position: Position) -> Diagnostic {
        self.position = Some(Box::new(position));
        self
    }

    /// The served `status.items[].message`: `<name>: <message>`.
    #[must_use]
    pub fn status_message(&self) -> String {
        format!("{}: {}", self.name, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_print_and_parse() {
        for stage in Stage::ALL {
            assert_eq!(stage.as_str().parse(), Ok(stage));
            let json = serde_json::to_string(&stage).unwrap();
            assert_eq!(json, format!("\"{stage}\""));
        }
        assert!("Policy".parse::<Stage>().is_err());
    }

    #[test]
    fn serialises_only_what_is_there() {
        let diagnostic = Diagnostic::error("InputError", "boom")
            .at_stage(Stage::Policy)
            .caused_by(ErrorCause::new("Error", "x"));
        let json = serde_json::to_string(&diagnostic).unwrap();
        assert_eq!(
            json,
            r#"{"level":"error","message":"boom","stage":"policy","name":"InputError","cause":{"name":"Error","message":"x"}}"#
        );
        assert_eq!(
            serde_json::from_str::<Diagnostic>(&json).unwrap(),
            diagnostic
        );
        assert_eq!(diagnostic.status_message(), "InputError: boom");
    }
}
