//! Turns what a guest returned into this crate's types, checking sizes, JSON and the ref.
//!
//! Order matters: sizes of texts first, so that nothing large is parsed; then JSON; then meaning.
//! A result is used whole or not at all.

use greenroom_model::{Entity, EntityRef, Level, LocationRef, Presence};

use crate::bindings::v0_1::types as wit;
use crate::checked_json::checked_object;
use crate::printable::{MESSAGE_BYTES, printable, start_of};
use crate::{
    CallLimits, Emission, FaultKind, GuestDiagnostic, GuestFault, LocationKey, Position, Processed,
    ProcessingError, StageAnswer, Want,
};

type Checked<T> = Result<T, GuestFault>;

/// What a result is checked against.
pub(crate) struct Reception<'a> {
    limits: &'a CallLimits,
    bytes_left: u64,
}

impl<'a> Reception<'a> {
    pub(crate) fn new(limits: &'a CallLimits) -> Reception<'a> {
        Reception {
            limits,
            bytes_left: limits.result_bytes,
        }
    }

    /// The answer of pre-process or post-process; `given` is the ref of the entity the call was made with.
    pub(crate) fn process(
        mut self,
        answer: wit::ProcessAnswer,
        given: &EntityRef,
    ) -> Checked<StageAnswer> {
        match answer {
            wit::ProcessAnswer::Done(done) => Ok(StageAnswer::Processed(Processed {
                entity: match done.entity {
                    Some(text) => Some(self.entity(&text, given)?),
                    None => None,
                },
                emissions: self.emissions(done.emissions)?,
                cache: self.cache(done.cache)?,
                diagnostics: self.diagnostics(done.diagnostics)?,
            })),
            wit::ProcessAnswer::Pending(wants) => self.pending(wants),
        }
    }

    /// The answer of validate-kind.
    pub(crate) fn validate(mut self, answer: wit::ValidateAnswer) -> Checked<StageAnswer> {
        match answer {
            wit::ValidateAnswer::Done(done) => Ok(StageAnswer::Validated {
                recognised: done.recognised,
                diagnostics: self.diagnostics(done.diagnostics)?,
            }),
            wit::ValidateAnswer::Pending(wants) => self.pending(wants),
        }
    }

    /// The answer of read-location.
    pub(crate) fn location(mut self, answer: wit::LocationAnswer) -> Checked<StageAnswer> {
        match answer {
            wit::LocationAnswer::Done(done) => Ok(StageAnswer::LocationRead {
                handled: done.handled,
                emissions: self.emissions(done.emissions)?,
                cache: self.cache(done.cache)?,
                diagnostics: self.diagnostics(done.diagnostics)?,
            }),
            wit::LocationAnswer::Pending(pending) => {
                if let Some(carry) = &pending.carry {
                    self.at_most("carry", carry, self.limits.carry_bytes)?;
                }
                let emissions = match &pending.carry {
                    Some(_) => self.emissions(pending.emissions)?,
                    None => Vec::new(),
                };
                Ok(StageAnswer::Pending {
                    wants: self.wants(pending.wants)?,
                    carry: pending.carry,
                    emissions,
                })
            }
        }
    }

    fn pending(&mut self, wants: Vec<wit::Want>) -> Checked<StageAnswer> {
        Ok(StageAnswer::Pending {
            wants: self.wants(wants)?,
            carry: None,
            emissions: Vec::new(),
        })
    }

    /// Takes a text of the result off what all its texts may have.
    fn take(&mut self, text: &str) -> Checked<()> {
        match self.bytes_left.checked_sub(text.len() as u64) {
            Some(left) => self.bytes_left = left,
            None => {
                let limit = self.limits.result_bytes;
                let message = format!("the result has more than {limit} bytes; return less");
                return Err(GuestFault::new(FaultKind::OutputTooLarge, message));
            }
        }
        Ok(())
    }

    fn at_most(&mut self, what: &str, text: &str, limit: u64) -> Checked<()> {
        if text.len() as u64 > limit {
            let bytes = text.len();
            let message = format!("the {what} returned has {bytes} bytes; at most {limit} may be");
            return Err(GuestFault::new(FaultKind::OutputTooLarge, message));
        }
        self.take(text)
    }

    fn count(&self, what: &str, count: usize) -> Checked<()> {
        let limit = self.limits.emissions;
        if count as u64 > limit {
            let message = format!("{count} {what} returned; at most {limit} may be");
            return Err(GuestFault::new(FaultKind::OutputTooLarge, message));
        }
        Ok(())
    }

    fn entity(&mut self, text: &str, given: &EntityRef) -> Checked<Entity> {
        self.at_most("entity", text, self.limits.entity_bytes)?;
        let object = checked_object(text).map_err(|why| invalid("the entity returned", &why))?;
        let entity = Entity::from_value(object.into())
            .map_err(|error| invalid("the entity returned", &error.to_string()))?;
        let after = entity.entity_ref();
        if *given != after {
            let message = format!(
                "returned `{}` for `{}`; a stage keeps kind, namespace and name, emit an entity instead",
                printable(after.as_str(), 256),
                printable(given.as_str(), 256)
            );
            return Err(GuestFault::new(FaultKind::InvalidOutput, message));
        }
        Ok(entity)
    }

    fn emissions(&mut self, emissions: Vec<wit::Emission>) -> Checked<Vec<Emission>> {
        self.count("emissions", emissions.len())?;
        emissions
            .into_iter()
            .enumerate()
            .map(|(index, emission)| self.emission(index, emission))
            .collect()
    }

    fn emission(&mut self, index: usize, emission: wit::Emission) -> Checked<Emission> {
        Ok(match emission {
            wit::Emission::Entity(emitted) => {
                self.at_most("emitted entity", &emitted.entity, self.limits.entity_bytes)?;
                let value = checked_object(&emitted.entity)
                    .map_err(|why| invalid(&format!("emission {index}"), &why))?;
                Emission::Entity {
                    value,
                    location: match emitted.location {
                        Some(location) => Some(self.location_ref(location)?),
                        None => None,
                    },
                    location_key: match emitted.location_key {
                        wit::LocationKey::FromLocation => LocationKey::FromLocation,
                        wit::LocationKey::None => LocationKey::None,
                        wit::LocationKey::Key(key) => {
                            self.take(&key)?;
                            LocationKey::Key(key)
                        }
                    },
                    position: emitted.position.map(position),
                }
            }
            wit::Emission::Location(emitted) => Emission::Location {
                location: self.location_ref(emitted.location)?,
                presence: match emitted.presence {
                    wit::Presence::Required => Presence::Required,
                    wit::Presence::Optional => Presence::Optional,
                },
            },
            wit::Emission::Relation(relation) => {
                for text in [&relation.source, &relation.type_, &relation.target] {
                    self.take(text)?;
                }
                Emission::Relation {
                    source: relation.source,
                    r#type: relation.type_,
                    target: relation.target,
                }
            }
            wit::Emission::RefreshKey(key) => {
                self.take(&key)?;
                Emission::RefreshKey(key)
            }
        })
    }

    fn cache(&mut self, cache: Option<String>) -> Checked<Option<String>> {
        if let Some(text) = &cache {
            self.at_most("cache", text, self.limits.cache_bytes)?;
        }
        Ok(cache)
    }

    fn wants(&mut self, wants: Vec<wit::Want>) -> Checked<Vec<Want>> {
        self.count("wants", wants.len())?;
        wants
            .into_iter()
            .map(|want| {
                let want = match want {
                    wit::Want::Get(url) => Want::Get(url),
                    wit::Want::List(pattern) => Want::List(pattern),
                };
                let (Want::Get(text) | Want::List(text)) = &want;
                self.take(text)?;
                Ok(want)
            })
            .collect()
    }

    fn diagnostics(&mut self, diagnostics: Vec<wit::Diagnostic>) -> Checked<Vec<GuestDiagnostic>> {
        self.count("diagnostics", diagnostics.len())?;
        diagnostics
            .into_iter()
            .map(|diagnostic| {
                self.at_most("diagnostic", &diagnostic.message, MESSAGE_BYTES as u64)?;
                Ok(GuestDiagnostic {
                    level: match diagnostic.level {
                        wit::Level::Debug | wit::Level::Info => Level::Info,
                        wit::Level::Warning => Level::Warning,
                        wit::Level::Error => Level::Error,
                    },
                    message: printable(&diagnostic.message, usize::MAX),
                    location: match diagnostic.location {
                        Some(location) => Some(self.location_ref(location)?),
                        None => None,
                    },
                    position: diagnostic.position.map(position),
                })
            })
            .collect()
    }

    fn location_ref(&mut self, location: wit::Location) -> Checked<LocationRef> {
        self.take(&location.type_)?;
        self.take(&location.target)?;
        Ok(LocationRef::new(location.type_, location.target))
    }
}

/// The guest's own error as a fault: `denied` when it gave up on a refused read, else `rejected`.
pub(crate) fn processing_error(error: wit::ProcessingError) -> GuestFault {
    let (kind, error, text) = match error {
        wit::ProcessingError::Invalid(text) => {
            (FaultKind::Rejected, ProcessingError::Invalid, text)
        }
        wit::ProcessingError::NotFound(text) => {
            (FaultKind::Rejected, ProcessingError::NotFound, text)
        }
        wit::ProcessingError::Refused(text) => (FaultKind::Denied, ProcessingError::Refused, text),
        wit::ProcessingError::Conflict(text) => {
            (FaultKind::Rejected, ProcessingError::Conflict, text)
        }
        wit::ProcessingError::Other(text) => (FaultKind::Rejected, ProcessingError::Other, text),
    };
    GuestFault {
        kind,
        message: printable(start_of(&text, MESSAGE_BYTES), usize::MAX),
        error: Some(error),
        backtrace: Vec::new(),
    }
}

fn position(position: wit::Position) -> Position {
    Position {
        document: position.document,
        line: position.line,
        column: position.column,
    }
}

fn invalid(what: &str, why: &str) -> GuestFault {
    let why = printable(why, 1024);
    GuestFault::new(
        FaultKind::InvalidOutput,
        format!("{what} is not valid: {why}"),
    )
}
