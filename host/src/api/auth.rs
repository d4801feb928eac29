//! Who asks, and what they may do: bearer tokens, scopes, and the tenant of the path (DESIGN §4).
//!
//! A handler says what it needs in its type: [`Access<Read>`] to [`Access<Admin>`] within the tenant of the path,
//! [`OperatorAccess`] over all. A token of one tenant gets the same 403 for every other name, whether a tenant has it or
//! not (i02). Tokens and names are cached for 5 s, so that revocation and deletion act everywhere within that time.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, RawPathParams};
use greenroom_model::{Clock, TenantId, TenantName};
use greenroom_storage::{Scope, Storage, Token};
use http::header::AUTHORIZATION;
use http::request::Parts;
use subtle::ConstantTimeEq as _;

use super::error::ApiError;
use super::extract::{is_escaped, not_decoded};
use super::guesses::Address;
use super::state::ApiState;
use super::token;

/// How long a token or name is believed without asking storage.
const BELIEVED: Duration = Duration::from_secs(5);
/// Most entries of each cache; beyond it the cache starts over.
const MAX_CACHED: usize = 10_000;

/// Tokens and tenant names as this process last saw them.
pub(crate) struct Directory {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    tokens: Mutex<HashMap<String, (Token, Instant)>>,
    /// Ids that no token has, so that asking for one twice costs what asking for a token does (i07).
    unknown: Mutex<HashMap<String, ((), Instant)>>,
    tenants: Mutex<HashMap<TenantName, (TenantId, Instant)>>,
}

impl Directory {
    pub(crate) fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        Self {
            storage,
            clock,
            tokens: Mutex::default(),
            unknown: Mutex::default(),
            tenants: Mutex::default(),
        }
    }

    async fn token(&self, id: &str, believed: Duration) -> Result<Option<Token>, ApiError> {
        if let Some(token) = recall(&self.tokens, id, believed) {
            return Ok(Some(token));
        }
        if recall(&self.unknown, id, believed).is_some() {
            return Ok(None);
        }
        let token = self.storage.find_token(id).await?;
        match &token {
            Some(token) => remember(&self.tokens, id.to_owned(), token.clone()),
            None => remember(&self.unknown, id.to_owned(), ()),
        }
        Ok(token)
    }

    /// Whether a token that was let in still would be, as storage had it no longer than `believed` ago: for what is open
    /// longer than a request.
    pub(crate) async fn still_admits(
        &self,
        token_id: &str,
        believed: Duration,
    ) -> Result<bool, ApiError> {
        let token = self.token(token_id, believed).await?;
        Ok(token.is_some_and(|token| self.holds(&token)))
    }

    fn holds(&self, token: &Token) -> bool {
        let now = self.clock.now();
        let early = token.not_before.is_some_and(|at| at > now);
        let expired = token.expires_at.is_some_and(|at| at <= now);
        !early && !expired && token.revoked_at.is_none()
    }

    /// The id of the tenant of that name.
    pub(crate) async fn tenant(&self, name: &TenantName) -> Result<Option<TenantId>, ApiError> {
        if let Some(id) = recall(&self.tenants, name, BELIEVED) {
            return Ok(Some(id));
        }
        let found = self
            .storage
            .find_tenant(name)
            .await?
            .map(|tenant| tenant.id);
        if let Some(id) = found {
            remember(&self.tenants, name.clone(), id);
        }
        Ok(found)
    }

    /// Forgets everything; after a revocation or deletion by this process.
    pub(crate) fn forget(&self) {
        self.tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.unknown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.tenants
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// How many tokens and tenants are remembered, and about how many bytes they hold.
    pub(crate) fn held(&self) -> (usize, usize) {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let of_token = |(id, (token, _)): (&String, &(Token, Instant))| {
            id.len() + token.name.len() + token.id.len() + size_of_val(token)
        };
        let token_bytes: usize = tokens.iter().map(of_token).sum();
        let count = tokens.len();
        drop(tokens);
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = |name: &TenantName| name.as_str().len() + size_of::<(TenantId, Instant)>();
        let tenant_bytes: usize = tenants.keys().map(of_tenant).sum();
        (count + tenants.len(), token_bytes + tenant_bytes)
    }

    /// Drops what is no longer believed; called on a schedule.
    pub(crate) fn sweep(&self) {
        let fresh = |since: &Instant| since.elapsed() < BELIEVED;
        self.tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, (_, since)| fresh(since));
        self.unknown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, ((), since)| fresh(since));
        self.tenants
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, (_, since)| fresh(since));
    }
}

fn recall<K, Q, V>(
    cache: &Mutex<HashMap<K, (V, Instant)>>,
    key: &Q,
    believed: Duration,
) -> Option<V>
where
    K: std::hash::Hash + Eq + std::borrow::Borrow<Q>,
    Q: std::hash::Hash + Eq + ?Sized,
    V: Clone,
{
    let cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    let (value, since) = cache.get(key)?;
    (since.elapsed() < believed).then(|| value.clone())
}

fn remember<K: std::hash::Hash + Eq, V>(cache: &Mutex<HashMap<K, (V, Instant)>>, key: K, value: V) {
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= MAX_CACHED {
        cache.clear();
    }
    cache.insert(key, (value, Instant::now()));
}

/// The peer's address, put into the request by the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    pub(crate) token_id: String,
    pub(crate) remote: String,
    scopes: Vec<Scope>,
    tenant: Option<TenantId>,
}

impl Actor {
    fn is_operator(&self) -> bool {
        self.tenant.is_none() && self.scopes.contains(&Scope::Operator)
    }

    fn may(&self, needed: Scope) -> bool {
        if self.is_operator() {
            return true;
        }
        self.scopes.iter().any(|scope| match (needed, scope) {
            (Scope::Operator, _) => false,
            (Scope::Read, _) | (_, Scope::Admin) => true,
            (needed, scope) => needed == *scope,
        })
    }
}

async fn authenticate(parts: &Parts, state: &ApiState) -> Result<Actor, ApiError> {
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let header = headers
        .next()
        .ok_or_else(|| ApiError::unauthenticated("Missing credentials"))?;
    if headers.next().is_some() {
        return Err(ApiError::input(
            "more than one authorization header; send one",
        ));
    }
    let text = header.to_str().map_err(|_| illegal())?;
    let credential = match text.trim().split_once(' ') {
        Some((scheme, credential)) if scheme.eq_ignore_ascii_case("bearer") => credential.trim(),
        _ => return Err(ApiError::unauthenticated("Missing credentials")),
    };
    let remote = parts
        .extensions
        .get::<Peer>()
        .map_or_else(|| "unknown".to_owned(), |peer| peer.0.ip().to_string());
    bearer(state, credential, remote).await
}

fn illegal() -> ApiError {
    ApiError::unauthenticated("Illegal token")
}

/// Whoever bears this token.
async fn bearer(state: &ApiState, credential: &str, remote: String) -> Result<Actor, ApiError> {
    let (id, secret) = token::parse(credential).ok_or_else(illegal)?;
    let (guesses, clock, address) = (&state.guesses, &*state.clock, Address::of(&remote));
    guesses.may_try(id, address, clock)?;
    let found = state.directory.token(id, BELIEVED).await?;
    // An unknown id costs what a wrong secret costs (i07).
    let expected = found.as_ref().map_or([0; 32], |token| token.secret_hash);
    let equal: bool = token::hash(secret).ct_eq(&expected).into();
    let Some(token) = found.filter(|_| equal) else {
        guesses.wrong(id, address, clock)?;
        return Err(illegal());
    };
    if !state.directory.holds(&token) {
        return Err(illegal());
    }
    guesses.good(id, address, clock);
    Ok(Actor {
        token_id: token.id,
        remote,
        scopes: token.scopes,
        tenant: token.tenant,
    })
}

/// What a handler needs within a tenant.
pub(crate) trait Requirement: Send + Sync + 'static {
    /// The scope.
    const SCOPE: Scope;
}

/// Reading the catalog and what surrounds it.
pub(crate) struct Read;
/// Changing the catalog.
pub(crate) struct Write;
/// Uploading and activating processors.
pub(crate) struct Deploy;
/// Everything in the tenant.
pub(crate) struct Admin;

impl Requirement for Read {
    const SCOPE: Scope = Scope::Read;
}
impl Requirement for Write {
    const SCOPE: Scope = Scope::Write;
}
impl Requirement for Deploy {
    const SCOPE: Scope = Scope::Deploy;
}
impl Requirement for Admin {
    const SCOPE: Scope = Scope::Admin;
}

/// The tenant of the path, and an actor who has the scope `R` there.
pub(crate) struct Access<R> {
    pub(crate) tenant: TenantId,
    pub(crate) actor: Actor,
    requirement: PhantomData<R>,
}

impl<R: Requirement> FromRequestParts<ApiState> for Access<R> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let actor = authenticate(parts, state).await?;
        // Of any segment, so that this says nothing of tenants.
        if !is_escaped(parts.uri.path()) {
            return Err(not_decoded());
        }
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| not_decoded())?;
        let name = params
            .iter()
            .find(|(key, _)| *key == "tenant")
            .and_then(|(_, name)| TenantName::parse(name).ok());
        let found = match &name {
            Some(name) => state.directory.tenant(name).await?,
            None => None,
        };
        match found {
            Some(tenant) => Self::admit(tenant, actor),
            None if actor.is_operator() => Err(ApiError::not_found("No tenant of that name")),
            None => Err(not_for_tenant()),
        }
    }
}

fn not_for_tenant() -> ApiError {
    ApiError::not_allowed("the token is not for this tenant")
}

impl<R: Requirement> Access<R> {
    /// The same tenant for the bearer of another token.
    pub(crate) async fn of_bearer(self, state: &ApiState, token: &str) -> Result<Self, ApiError> {
        let actor = bearer(state, token, self.actor.remote).await?;
        Self::admit(self.tenant, actor)
    }

    fn admit(tenant: TenantId, actor: Actor) -> Result<Self, ApiError> {
        if !actor.is_operator() && actor.tenant != Some(tenant) {
            return Err(not_for_tenant());
        }
        if !actor.may(R::SCOPE) {
            let needed = format!("{:?}", R::SCOPE).to_lowercase();
            return Err(ApiError::not_allowed(format!(
                "this needs a token with scope `{needed}`"
            )));
        }
        Ok(Self {
            tenant,
            actor,
            requirement: PhantomData,
        })
    }
}

/// An actor who may do everything everywhere.
pub(crate) struct OperatorAccess {
    pub(crate) actor: Actor,
}

impl FromRequestParts<ApiState> for OperatorAccess {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let actor = authenticate(parts, state).await?;
        if !actor.is_operator() {
            return Err(ApiError::not_allowed(
                "this needs a token with scope `operator`",
            ));
        }
        Ok(Self { actor })
    }
}
