//! One HTTP request to a checked address, with every limit on it.
//!
//! The client follows no redirect, uses no proxy (also none from the environment), sends no referer
//! and keeps no cookie. Clients are kept per list of private networks: a pooled connection to an
//! address that one tenant may dial must not serve another tenant that may not.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use reqwest::{Client, Response, Url, Version, redirect};
use rustls::pki_types::CertificateDer;

use crate::address::{Network, is_permitted};
use crate::classify::stop_for_error;
use crate::outcome::Stop;
use crate::resolver::{NameLookup, PermittedNames};

/// Distinct lists of private networks are the operator's, so few; above this the clients start anew.
const CLIENTS: usize = 64;

/// The limits of every read.
#[derive(Clone, Debug)]
pub struct ReaderConfig {
    /// Longest time to a connection, TLS included. Default 5 s.
    pub connect_timeout: Duration,
    /// Longest wait for the first and for each next byte. Default 10 s.
    pub idle_timeout: Duration,
    /// Longest time for a read with all its redirects. Default 30 s.
    pub total_timeout: Duration,
    /// Largest document after decompression, in bytes. Default 16 MiB (DESIGN §3.1).
    pub document_bytes: usize,
    /// Certificate authorities of the operator (DER), trusted besides the public ones.
    pub extra_roots: Vec<Vec<u8>>,
}

impl Default for ReaderConfig {
    fn default() -> Self {
        ReaderConfig {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(30),
            document_bytes: 16 << 20,
            extra_roots: Vec::new(),
        }
    }
}

/// The reader cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// A certificate of `extra_roots` (counted from 0) is none.
    #[error("extra root certificate {index} cannot be used")]
    Root {
        /// Which one.
        index: usize,
        /// Why.
        source: rustls::Error,
    },
    /// No TLS configuration can be made.
    #[error("no TLS configuration")]
    Tls(#[source] rustls::Error),
    /// The HTTP client cannot be made.
    #[error("no HTTP client")]
    Client(#[source] reqwest::Error),
}

/// Makes requests.
pub(crate) struct Transport {
    config: ReaderConfig,
    tls: rustls::ClientConfig,
    names: Arc<dyn NameLookup>,
    clients: Mutex<HashMap<Arc<[Network]>, Client>>,
}

/// A complete body.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) headers: HeaderMap,
}

impl Transport {
    pub(crate) fn new(
        config: ReaderConfig,
        names: Arc<dyn NameLookup>,
    ) -> Result<Transport, ReaderError> {
        let tls = tls_config(&config.extra_roots)?;
        let transport = Transport {
            config,
            tls,
            names,
            clients: Mutex::default(),
        };
        // What can fail fails here, at the start, and not at the first read.
        transport
            .client(&Arc::default())
            .map_err(ReaderError::Client)?;
        Ok(transport)
    }

    pub(crate) fn config(&self) -> &ReaderConfig {
        &self.config
    }

    /// The client that may dial public addresses and `networks`.
    pub(crate) fn client(&self, networks: &Arc<[Network]>) -> Result<Client, reqwest::Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(networks) {
            return Ok(client.clone());
        }
        let names = PermittedNames {
            names: Arc::clone(&self.names),
            networks: Arc::clone(networks),
        };
        let client = Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .dns_resolver(names)
            .connect_timeout(self.config.connect_timeout)
            .read_timeout(self.config.idle_timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .http2_max_header_list_size(64 << 10)
            .user_agent("greenroom")
            .build()?;
        if clients.len() >= CLIENTS {
            clients.clear();
        }
        clients.insert(Arc::clone(networks), client.clone());
        Ok(client)
    }

    /// Reads a body to its end, or not at all.
    pub(crate) async fn body(&self, mut response: Response) -> Result<Body, Stop> {
        let url = response.url().clone();
        let host = url.host_str().unwrap_or_default();
        let headers = std::mem::take(response.headers_mut());
        if headers.contains_key(CONTENT_ENCODING) {
            // Decoded encodings are taken off the headers; what is left was not asked for.
            return Err(Stop::unavailable(format!(
                "`{host}` sent an encoding that was not asked for"
            )));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| stop_for_error(&error, &url))?
        {
            if bytes.len() + chunk.len() > self.config.document_bytes {
                let limit = self.config.document_bytes;
                return Err(Stop::refused(format!(
                    "the document is larger than {limit} bytes"
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        if bytes.is_empty() && !states_length(&response, &headers) {
            return Err(Stop::unavailable(format!(
                "`{host}` closed the connection without a document"
            )));
        }
        Ok(Body { bytes, headers })
    }
}

/// Whether an empty answer is known to be complete: over HTTP/1 a body that ends with the
/// connection may just as well have been cut off before its first byte.
fn states_length(response: &Response, headers: &HeaderMap) -> bool {
    response.version() >= Version::HTTP_2
        || headers.contains_key("content-length")
        || headers.contains_key("transfer-encoding")
}

/// Refuses a literal address that may not be dialled. Names are checked when they are resolved.
pub(crate) fn check_literal(url: &Url, networks: &[Network]) -> Result<(), Stop> {
    let address = match url.host() {
        Some(url::Host::Ipv4(address)) => address.into(),
        Some(url::Host::Ipv6(address)) => address.into(),
        // These mean this machine, whatever a name server says (RFC 6761 §6.3).
        Some(url::Host::Domain(name)) if is_localhost(name) => Ipv4Addr::LOCALHOST.into(),
        Some(url::Host::Domain(_)) => return Ok(()),
        None => return Err(Stop::refused("the URL names no host")),
    };
    if is_permitted(address, networks) {
        return Ok(());
    }
    Err(Stop::Refused(address_refusal(url)))
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// The text for an address that may not be dialled; the same for literals and names.
pub(crate) fn address_refusal(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("`{host}` is not on the public internet; only the operator can permit its network")
}

fn tls_config(extra_roots: &[Vec<u8>]) -> Result<rustls::ClientConfig, ReaderError> {
    let mut roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for (index, root) in extra_roots.iter().enumerate() {
        let root = CertificateDer::from_slice(root);
        roots
            .add(root)
            .map_err(|source| ReaderError::Root { index, source })?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ReaderError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}
