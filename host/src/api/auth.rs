//! Who asks, and what they may do: bearer tokens, scopes, and the tenant of the path (DESIGN §4).
//!
//! A handler says what it needs in its type: [`Access<Read>`] to [`Access<Admin>`] within the tenant of the path,
//! [`OperatorAccess`] over all. A token of one tenant gets the same 403 for every other name, whether a tenant has it or
//! not (i02). Tokens and names are cached for 5 s, so that revocation and deletion act everywhere within that time. While storage
//! does not answer, who was let in may go on reading what this process has in memory.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, RawPathParams};
use greenroom_model::{Clock, TenantId, TenantName};
use greenroom_storage::{Scope, Storage, StorageError, Token};
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
/// How long one is believed while storage does not answer, by requests that only read: what an index has can go on being read
/// (s06). Nothing can be revoked through a storage that is away; once it answers, it is asked. No longer than that, because an API
/// that alone is cut off hears of no revocation (i06).
const BELIEVED_ALONE: Duration = Duration::from_secs(90);
/// How long storage is waited for where that is so.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most entries of each cache; beyond it the cache starts over.
const MAX_CACHED: usize = 10_000;

/// What who asks is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    Reads,
    Changes,
}

/// Tokens and tenant names as this process last saw them.
pub(crate) struct Directory {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    tokens: Cache<String, Token>,
    /// Ids that no token has, so that asking for one twice costs what asking for a token does (i07).
    unknown: Cache<String, ()>,
    tenants: Cache<TenantName, TenantId>,
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

    async fn token(
        &self,
        id: &str,
        believed: Duration,
        asker: Asker,
    ) -> Result<Option<Token>, ApiError> {
        let unknown = locked(&self.unknown).get(id).cloned();
        if unknown.is_some_and(|known| known.said.elapsed() < believed) {
            return Ok(None);
        }
        let ask = self.storage.find_token(id);
        let token = look(&self.tokens, id, believed, asker, ask).await?;
        if token.is_none() {
            remember(&self.unknown, id, Some(()));
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
        let token = self.token(token_id, believed, Asker::Changes).await?;
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
        self.tenant_for(name, Asker::Changes).await
    }

    async fn tenant_for(
        &self,
        name: &TenantName,
        asker: Asker,
    ) -> Result<Option<TenantId>, ApiError> {
        let ask = async {
            let found = self.storage.find_tenant(name).await?;
            Ok(found.map(|tenant| tenant.id))
        };
        look(&self.tenants, name, BELIEVED, asker, ask).await
    }

    /// Forgets everything; after a revocation or deletion by this process.
    pub(crate) fn forget(&self) {
        locked(&self.tokens).clear();
        locked(&self.unknown).clear();
        locked(&self.tenants).clear();
    }

    /// How many tokens, ids of no token and tenants are remembered, and about how many bytes they hold.
    pub(crate) fn held(&self) -> (usize, usize) {
        let tokens = locked(&self.tokens);
        let of_token = |(id, known): (&String, &Known<Token>)| {
            id.len() + known.value.name.len() + known.value.id.len() + size_of_val(known)
        };
        let token_bytes: usize = tokens.iter().map(of_token).sum();
        let count = tokens.len();
        drop(tokens);
        let unknown = locked(&self.unknown);
        let of_unknown = |id: &String| id.len() + size_of::<Known<()>>();
        let unknown_bytes: usize = unknown.keys().map(of_unknown).sum();
        let count = count + unknown.len();
        drop(unknown);
        let tenants = locked(&self.tenants);
        let of_tenant = |name: &TenantName| name.as_str().len() + size_of::<Known<TenantId>>();
        let tenant_bytes: usize = tenants.keys().map(of_tenant).sum();
        (
            count + tenants.len(),
            token_bytes + unknown_bytes + tenant_bytes,
        )
    }

    /// Drops what is no longer believed; called on a schedule.
    pub(crate) fn sweep(&self) {
        sweep(&self.tokens, BELIEVED_ALONE);
        sweep(&self.unknown, BELIEVED);
        sweep(&self.tenants, BELIEVED_ALONE);
    }
}

/// What storage said, and when.
#[derive(Clone)]
struct Known<V> {
    value: V,
    /// When storage said it.
    said: Instant,
    /// When it was last asked, also in vain.
    asked: Instant,
}

type Cache<K, V> = Mutex<HashMap<K, Known<V>>>;

/// What storage said within `believed`, or says now; or, to who only reads, what it said last if it does not answer.
async fn look<K, Q, V>(
    cache: &Cache<K, V>,
    key: &Q,
    believed: Duration,
    asker: Asker,
    ask: impl Future<Output = Result<Option<V>, StorageError>>,
) -> Result<Option<V>, ApiError>
where
    K: Hash + Eq + Borrow<Q>,
    Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    V: Clone,
{
    let known = locked(cache).get(key).cloned();
    let Some(known) = known else {
        return Ok(remember(cache, key, ask.await?));
    };
    let last = match asker {
        Asker::Reads => known.asked,
        Asker::Changes => known.said,
    };
    if last.elapsed() < believed {
        return Ok(Some(known.value));
    }
    if asker == Asker::Changes || known.said.elapsed() >= BELIEVED_ALONE {
        return Ok(remember(cache, key, ask.await?));
    }
    match tokio::time::timeout(PATIENCE, ask).await {
        Ok(Ok(found)) => Ok(remember(cache, key, found)),
        Ok(Err(error)) if !error.retryable() => Err(error.into()),
        Ok(Err(_)) | Err(_) => {
            if let Some(known) = locked(cache).get_mut(key) {
                known.asked = Instant::now();
            }
            Ok(Some(known.value))
        }
    }
}

fn locked<K, V>(cache: &Cache<K, V>) -> MutexGuard<'_, HashMap<K, Known<V>>> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remember<K, Q, V>(cache: &Cache<K, V>, key: &Q, found: Option<V>) -> Option<V>
where
    K: Hash + Eq + Borrow<Q>,
    Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    V: Clone,
{
    let mut cache = locked(cache);
    if cache.len() >= MAX_CACHED {
        cache.clear();
    }
    let now = Instant::now();
    match &found {
        Some(value) => {
            let known = Known {
                value: value.clone(),
                said: now,
                asked: now,
            };
            cache.insert(key.to_owned(), known);
        }
        None => {
            cache.remove(key);
        }
    }
    found
}

fn sweep<K: Hash + Eq, V>(cache: &Cache<K, V>, believed: Duration) {
    locked(cache).retain(|_, known| known.said.elapsed() < believed);
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

async fn authenticate(parts: &Parts, state: &ApiState, asker: Asker) -> Result<Actor, ApiError> {
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
    bearer(state, credential, remote, asker).await
}

fn illegal() -> ApiError {
    ApiError::unauthenticated("Illegal token")
}

/// Whoever bears this token.
async fn bearer(
    state: &ApiState,
    credential: &str,
    remote: String,
    asker: Asker,
) -> Result<Actor, ApiError> {
    let (id, secret) = token::parse(credential).ok_or_else(illegal)?;
    let (guesses, clock, address) = (&state.guesses, &*state.clock, Address::of(&remote));
    guesses.may_try(id, address, clock)?;
    let found = state.directory.token(id, BELIEVED, asker).await?;
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

/// What a handler of that requirement is about to do.
fn asker<R: Requirement>() -> Asker {
    match R::SCOPE {
        Scope::Read => Asker::Reads,
        Scope::Write | Scope::Deploy | Scope::Admin | Scope::Operator => Asker::Changes,
    }
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
        let asker = asker::<R>();
        let actor = authenticate(parts, state, asker).await?;
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
            Some(name) => state.directory.tenant_for(name, asker).await?,
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
        let actor = bearer(state, token, self.actor.remote, asker::<R>()).await?;
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
        let actor = authenticate(parts, state, Asker::Changes).await?;
        if !actor.is_operator() {
            return Err(ApiError::not_allowed(
                "this needs a token with scope `operator`",
            ));
        }
        Ok(Self { actor })
    }
}
