//! What one step of a long listing hands to the next: how far it came, and what went wrong.
//!
//! Bounded: at most [`MAX_PROBLEMS`] problems with clipped texts, the others counted.

use greenroom_model::LocationRef;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::error::ProcessorError;
use crate::yaml::Position;

const MAX_PROBLEMS: usize = 100;
const MAX_TEXT_CHARS: usize = 300;

/// State between two steps.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Carry {
    /// The last path that is done.
    pub(super) after: Option<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) more_problems: usize,
}

/// One thing to tell the owner at the end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) path: Option<String>,
    /// Document, line, column.
    pub(super) position: Option<(u32, u32, u32)>,
}

impl Problem {
    pub(super) fn new(message: &str) -> Problem {
        Problem {
            message: message.chars().take(3 * MAX_TEXT_CHARS).collect(),
            path: None,
            position: None,
        }
    }

    pub(super) fn at(mut self, location: &LocationRef, position: Option<Position>) -> Problem {
        if location.target.len() <= MAX_TEXT_CHARS {
            self.path = Some(location.target.clone());
        }
        self.position = position.map(|at| (at.document, at.line, at.column));
        self
    }
}

impl Carry {
    pub(super) fn of(cx: &Context) -> Result<Carry, ProcessorError> {
        cx.carry().map_or_else(
            || Ok(Carry::default()),
            |text| {
                serde_json::from_str(text)
                    .map_err(|_| ProcessorError::other("the carry of the previous step is damaged"))
            },
        )
    }

    pub(super) fn add(&mut self, problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.more_problems += 1;
        }
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
