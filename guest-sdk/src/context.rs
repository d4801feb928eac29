//! What a call may know besides the entity.
//!
//! Everything here came in with the request; nothing reaches out. A read that the request does not
//! carry is recorded as a want, and [`crate::glue`] then answers "pending" for the whole call, so
//! a processor may simply return on [`ReadError::Pending`], or record more wants first and save a
//! round.

use std::cell::RefCell;

use greenroom_model::{Level, LocationRef, Timestamp};
use serde::de::DeserializeOwned;

use crate::bindings::greenroom::processor::types as wit;
use crate::document::{Document, ReadError};
use crate::error::ProcessorError;
use crate::logging::Log;
use crate::url_arithmetic::{Integrations, integrations};

/// The rest of a request, beside the entity.
#[derive(Debug)]
pub struct Context {
    location: LocationRef,
    origin_location: LocationRef,
    config: String,
    cache: Option<String>,
    carry: Option<String>,
    reads: Vec<(wit::Want, Read)>,
    integrations: Integrations,
    now: Option<Timestamp>,
    wants: RefCell<Vec<wit::Want>>,
    log: Log,
}

#[derive(Debug)]
enum Read {
    Document(Document),
    Listing(Vec<String>),
    NotFound,
    Refused(String),
}

impl Context {
    /// Takes everything but the entity, which is returned.
    pub(crate) fn new(request: wit::Request, carry: Option<String>, log: Log) -> (String, Context) {
        let context = Context {
            location: location(request.location),
            origin_location: location(request.origin_location),
            config: request.config,
            cache: request.cache,
            carry,
            reads: request.reads.into_iter().map(read).collect(),
            integrations: integrations(
                request
                    .integrations
                    .into_iter()
                    .map(|integration| (integration.type_, integration.host)),
            ),
            now: request
                .now
                .map(|now| Timestamp(i64::try_from(now).unwrap_or(i64::MAX))),
            wants: RefCell::default(),
            log,
        };
        (request.entity, context)
    }

    /// Where the entity was read.
    #[must_use]
    pub fn location(&self) -> &LocationRef {
        &self.location
    }

    /// What started the chain that led to the entity.
    #[must_use]
    pub fn origin_location(&self) -> &LocationRef {
        &self.origin_location
    }

    /// The processor's configuration in this tenant; `{}` if none is set.
    ///
    /// # Errors
    /// [`ProcessorError::Other`] if it does not fit `T`; declare a config schema and the host
    /// refuses such a configuration when it is set.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, ProcessorError> {
        serde_json::from_str(&self.config).map_err(|error| {
            ProcessorError::Other(format!(
                "the processor's configuration does not fit: {error}; change it or its schema"
            ))
        })
    }

    /// What the last good run of this entity left with [`crate::Emitter::set_cache`]. A hint: it
    /// may make the call cheaper, never change its result.
    #[must_use]
    pub fn cache(&self) -> Option<&str> {
        self.cache.as_deref()
    }

    /// In read-location, what the previous step left with [`crate::Emitter::carry`].
    #[must_use]
    pub fn carry(&self) -> Option<&str> {
        self.carry.as_deref()
    }

    /// The tenant's source-code hosts, for URL arithmetic.
    #[must_use]
    pub fn integrations(&self) -> &Integrations {
        &self.integrations
    }

    /// The time cut to the declared grain; none without [`crate::Descriptor::time`].
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// The document at an absolute URL (or at `file:` and a path, if the entity's own location is
    /// a file).
    ///
    /// # Errors
    /// [`ReadError`]; `Pending` if the host has not read it yet.
    pub fn read(&self, url: &str) -> Result<&Document, ReadError> {
        let want = wit::Want::Get(url.to_owned());
        match self.outcome(want)? {
            Read::Document(document) => Ok(document),
            Read::Refused(reason) => Err(refused(url, reason)),
            Read::NotFound | Read::Listing(_) => Err(not_found(url)),
        }
    }

    /// Each of several documents, all asked for at once.
    pub fn read_each<T: AsRef<str>>(
        &self,
        urls: impl IntoIterator<Item = T>,
    ) -> Vec<Result<&Document, ReadError>> {
        urls.into_iter()
            .map(|url| self.read(url.as_ref()))
            .collect()
    }

    /// Several documents, all asked for at once.
    ///
    /// # Errors
    /// `Pending` while one is missing, else the first that failed.
    pub fn read_all<T: AsRef<str>>(
        &self,
        urls: impl IntoIterator<Item = T>,
    ) -> Result<Vec<&Document>, ReadError> {
        let documents = self.read_each(urls);
        if documents.contains(&Err(ReadError::Pending)) {
            return Err(ReadError::Pending);
        }
        documents.into_iter().collect()
    }

    /// The URLs that match a pattern with `*`, `**`, `?` or `{a,b}` in its path, sorted.
    ///
    /// # Errors
    /// [`ReadError`]; `Pending` if the host has not listed it yet.
    pub fn list(&self, pattern: &str) -> Result<&[String], ReadError> {
        let want = wit::Want::List(pattern.to_owned());
        match self.outcome(want)? {
            Read::Listing(urls) => Ok(urls),
            Read::Refused(reason) => Err(refused(pattern, reason)),
            Read::NotFound | Read::Document(_) => Err(not_found(pattern)),
        }
    }

    /// Writes a line to the call's log. Only faults and dry runs keep it.
    pub fn log(&self, level: Level, message: impl AsRef<str>) {
        self.log.write(level, message.as_ref());
    }

    fn outcome(&self, want: wit::Want) -> Result<&Read, ReadError> {
        if let Some((_, read)) = self.reads.iter().find(|(asked, _)| *asked == want) {
            return Ok(read);
        }
        let mut wants = self.wants.borrow_mut();
        if !wants.contains(&want) {
            wants.push(want);
        }
        Err(ReadError::Pending)
    }

    /// The wants recorded by this call, and its log.
    pub(crate) fn finish(self) -> (Vec<wit::Want>, Log) {
        (self.wants.into_inner(), self.log)
    }
}

pub(crate) fn location(location: wit::Location) -> LocationRef {
    LocationRef {
        r#type: location.type_,
        target: location.target,
    }
}

fn read(read: wit::Read) -> (wit::Want, Read) {
    let outcome = match read.outcome {
        wit::ReadOutcome::Document(document) => Read::Document(Document {
            body: document.body,
            final_url: document.final_url,
            digest: document.digest,
        }),
        wit::ReadOutcome::Listing(urls) => Read::Listing(urls),
        wit::ReadOutcome::NotFound => Read::NotFound,
        wit::ReadOutcome::Refused(reason) => Read::Refused(reason),
    };
    (read.want, outcome)
}

fn refused(url: &str, reason: &str) -> ReadError {
    ReadError::Refused {
        url: url.to_owned(),
        reason: reason.to_owned(),
    }
}

fn not_found(url: &str) -> ReadError {
    ReadError::NotFound {
        url: url.to_owned(),
    }
}
