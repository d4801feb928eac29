//! A route and what the document says of it, added in one call, so that neither exists without the other.
//!
//! Nothing that the code knows is written down a second time. Method and path are those the router gets; the operation
//! id is the handler's own name; the scope is read from the type of the handler's first argument, which is what enforces
//! it; whether there is a body is whether the handler takes one. What is left for [`Doc`] is what only a person knows.

use std::any::type_name;

use axum::Router;
use axum::extract::State;
use axum::handler::Handler;
use axum::routing::{MethodRouter, any, delete, get, post, put};
use greenroom_storage::Scope;

use super::auth::{Access, OperatorAccess, Requirement};
use super::operation_doc::Doc;
use super::operations::Operations;
use super::state::ApiState;

/// What a request must show to be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: probes, metrics, this document.
    Nothing,
    /// A token with this scope in the tenant of the path.
    Scope(Scope),
    /// An operator's token.
    Operator,
}

/// A handler's first argument, which decides who is let in.
pub(crate) trait Admits {
    /// What it needs.
    const NEED: Need;
}

impl<R: Requirement> Admits for Access<R> {
    const NEED: Need = Need::Scope(R::SCOPE);
}

impl Admits for OperatorAccess {
    const NEED: Need = Need::Operator;
}

/// A handler that begins with the state has asked nobody for anything.
impl Admits for State<ApiState> {
    const NEED: Need = Need::Nothing;
}

impl Admits for State<Operations> {
    const NEED: Need = Need::Nothing;
}

/// A handler's arguments, of which the first admits.
pub(crate) trait Arguments {
    /// What the first one needs.
    const NEED: Need;
}

/// Of axum's tuple for a handler: how the last argument is taken, then the arguments.
macro_rules! arguments {
    ($($other:ident),*) => {
        impl<Via, First: Admits, $($other),*> Arguments for (Via, First, $($other),*) {
            const NEED: Need = First::NEED;
        }
    };
}
arguments!();
arguments!(A);
arguments!(A, B);
arguments!(A, B, C);
arguments!(A, B, C, D);
arguments!(A, B, C, D, E);
arguments!(A, B, C, D, E, F);

/// One operation: what the router has, and what is said of it.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// Lower-case method.
    pub(crate) method: &'static str,
    /// The whole path, with `{parameters}`.
    pub(crate) path: String,
    /// The handler's name.
    pub(crate) id: String,
    /// Who is let in.
    pub(crate) need: Need,
    /// Whether the handler reads a body.
    pub(crate) takes_body: bool,
    /// The rest.
    pub(crate) doc: Doc,
}

/// Routes below a common prefix, of handlers that take their state from an `S`.
pub(crate) struct Routes<S = ApiState> {
    prefix: &'static str,
    router: Router<S>,
    operations: Vec<Operation>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes yet; paths are added below `prefix`.
    pub(crate) fn below(prefix: &'static str) -> Self {
        Self {
            prefix,
            router: Router::new(),
            operations: Vec::new(),
        }
    }

    /// Adds a `GET`.
    pub(crate) fn get<H, T>(self, path: &str, handler: H, doc: Doc) -> Self
    where
        H: Handler<T, S>,
        T: Arguments + 'static,
    {
        self.add::<H, T>("get", path, get(handler), doc)
    }

    /// Adds a `POST`.
    pub(crate) fn post<H, T>(self, path: &str, handler: H, doc: Doc) -> Self
    where
        H: Handler<T, S>,
        T: Arguments + 'static,
    {
        self.add::<H, T>("post", path, post(handler), doc)
    }

    /// Adds a `PUT`.
    pub(crate) fn put<H, T>(self, path: &str, handler: H, doc: Doc) -> Self
    where
        H: Handler<T, S>,
        T: Arguments + 'static,
    {
        self.add::<H, T>("put", path, put(handler), doc)
    }

    /// Adds a `DELETE`.
    pub(crate) fn delete<H, T>(self, path: &str, handler: H, doc: Doc) -> Self
    where
        H: Handler<T, S>,
        T: Arguments + 'static,
    {
        self.add::<H, T>("delete", path, delete(handler), doc)
    }

    /// Adds every path below the prefix that nobody adds. Nothing is said of what is not there.
    pub(crate) fn rest<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: Arguments + 'static,
    {
        let path = format!("{}/{{*path}}", self.prefix);
        self.router = self.router.route(&path, any(handler));
        self
    }

    fn add<H, T: Arguments>(
        mut self,
        method: &'static str,
        path: &str,
        route: MethodRouter<S>,
        doc: Doc,
    ) -> Self {
        let path = format!("{}{path}", self.prefix);
        self.router = self.router.route(&path, route);
        // `greenroom::api::processors::list_processors`: the function's own name is the last part.
        let name = type_name::<H>().rsplit("::").next().unwrap_or_default();
        self.operations.push(Operation {
            method,
            path,
            id: doc.id_of(name),
            need: T::NEED,
            // How axum takes the last argument: by the head of a request, or with its body.
            takes_body: type_name::<T>().contains("ViaRequest"),
            doc,
        });
        self
    }

    /// These and others.
    pub(crate) fn and(mut self, other: Routes<S>) -> Self {
        self.router = self.router.merge(other.router);
        self.operations.extend(other.operations);
        self
    }

    /// The router, and what is said of it.
    pub(crate) fn into_parts(self) -> (Router<S>, Vec<Operation>) {
        (self.router, self.operations)
    }
}
