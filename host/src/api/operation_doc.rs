//! What a person has to say about an operation: a sentence, its parameters, what goes in and what comes out.
//!
//! Answers that every operation of a kind gives (401, 403, 400 for a bad parameter, 503 while storage is busy) are not
//! repeated at each: the document adds them.

/// The description of one operation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doc {
    pub(crate) summary: &'static str,
    pub(crate) details: &'static str,
    pub(crate) query: Vec<Query>,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: Option<Content>,
    pub(crate) answers: Vec<Answer>,
    alias: Option<&'static str>,
}

/// A query parameter.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) name: &'static str,
    pub(crate) kind: QueryKind,
    pub(crate) text: &'static str,
}

/// What a query parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryKind {
    /// Any text, once.
    Text,
    /// Any text, repeatable.
    Texts,
    /// A whole number of at least this.
    Number(u64),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// The same, and it must be there.
    RequiredOneOf(&'static [&'static str]),
}

/// A body of a request or an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// JSON of this schema of the document.
    Json(&'static str),
    /// The same, but it may be left out.
    OptionalJson(&'static str),
    /// JSON of this schema, or a stream of server-sent events, as the request accepts.
    JsonOrEvents(&'static str),
    /// Anything of this media type.
    Media(&'static str),
}

/// An answer beside those that every operation of its kind has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content: Option<Content>,
    pub(crate) text: &'static str,
}

impl Doc {
    /// A sentence about it.
    pub(crate) fn new(summary: &'static str) -> Self {
        Self {
            summary,
            ..Self::default()
        }
    }

    /// More about it.
    pub(crate) fn details(mut self, details: &'static str) -> Self {
        self.details = details;
        self
    }

    /// A second path to a handler: its operation id is the handler's name with this after it.
    pub(crate) fn alias(mut self, suffix: &'static str) -> Self {
        self.alias = Some(suffix);
        self
    }

    /// A query parameter.
    pub(crate) fn query(mut self, name: &'static str, kind: QueryKind, text: &'static str) -> Self {
        self.query.push(Query { name, kind, text });
        self
    }

    /// A request header.
    pub(crate) fn header(mut self, name: &'static str, text: &'static str) -> Self {
        self.headers.push((name, text));
        self
    }

    /// How long to wait before 202.
    pub(crate) fn wait(self) -> Self {
        self.query(
            "wait",
            QueryKind::Number(0),
            "Seconds to wait for the result, 20 if not said and 60 at most.",
        )
    }

    /// The request's body.
    pub(crate) fn body(mut self, content: Content) -> Self {
        self.body = Some(content);
        self
    }

    /// A JSON answer.
    pub(crate) fn json(self, status: u16, schema: &'static str, text: &'static str) -> Self {
        self.answer(status, Some(Content::Json(schema)), text)
    }

    /// An answer without a body.
    pub(crate) fn empty(self, status: u16, text: &'static str) -> Self {
        self.answer(status, None, text)
    }

    /// An error in the usual body.
    pub(crate) fn error(self, status: u16, text: &'static str) -> Self {
        self.json(status, "Error", text)
    }

    /// 404.
    pub(crate) fn missing(self, text: &'static str) -> Self {
        self.error(404, text)
    }

    /// 409.
    pub(crate) fn conflict(self, text: &'static str) -> Self {
        self.error(409, text)
    }

    /// Any answer.
    pub(crate) fn answer(
        mut self,
        status: u16,
        content: Option<Content>,
        text: &'static str,
    ) -> Self {
        self.answers.push(Answer {
            status,
            content,
            text,
        });
        self
    }

    /// The operation id of a handler of that name.
    pub(super) fn id_of(&self, name: &str) -> String {
        match self.alias {
            Some(suffix) => format!("{name}_{suffix}"),
            None => name.to_owned(),
        }
    }
}
