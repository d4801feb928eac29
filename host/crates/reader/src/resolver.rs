//! Name resolution that only ever yields addresses that may be dialled.
//!
//! The HTTP client asks this resolver once per connection and dials what it answers, so the address
//! that was checked is the address that is used and a second answer of the name server changes
//! nothing. Addresses that are not permitted are dropped; if none is left, that is a refusal and not
//! a failure. Literal addresses never reach a resolver; `transport` checks those in the URL.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::{Network, is_permitted};

/// Where names are looked up. Tests bring their own.
pub trait NameLookup: Send + Sync {
    /// All addresses of `name`, in the order they should be tried. An unknown name is an error or
    /// an empty list.
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNames;

impl NameLookup for SystemNames {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one lookup, and what it finds is checked before it is dialled"
    )]
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// A name has addresses, and none of them may be dialled.
#[derive(Debug)]
pub(crate) struct AddressRefused;

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name has no address that may be read")
    }
}

impl std::error::Error for AddressRefused {}

/// The names of `names`, cut to what `networks` permit.
pub(crate) struct PermittedNames {
    pub(crate) names: Arc<dyn NameLookup>,
    pub(crate) networks: Arc<[Network]>,
}

impl Resolve for PermittedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.names.lookup(name.as_str().to_owned());
        let networks = Arc::clone(&self.networks);
        Box::pin(async move {
            let found = lookup.await?;
            let total = found.len();
            let permitted: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| is_permitted(*address, &networks))
                // Port 0 stands for the port of the URL.
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if permitted.is_empty() && total > 0 {
                return Err(AddressRefused.into());
            }
            let addresses: Addrs = Box::new(permitted.into_iter());
            Ok(addresses)
        })
    }
}
