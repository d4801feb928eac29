//! The commands' client of a host. Every request has a bound in time and in bytes; no redirect is followed, so that the
//! token goes where it was told to; what the host says is text from elsewhere and is escaped where it is shown.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, Method, Url, redirect};
use serde_json::Value;

use super::files;
use super::operator_token;
use super::screen::Screen;
use crate::config::{HostAddress, HostFlags, token};

/// Longest time to a connection.
const CONNECT_BOUND: Duration = Duration::from_secs(10);
/// Longest time of one request; above the longest `wait` of the host.
const REQUEST_BOUND: Duration = Duration::from_secs(90);
/// How long the host is asked to wait for a worker, in seconds.
pub(super) const WAIT_S: u64 = 30;
/// Longest time a run may take in all: a preview of every entity.
const RUN_BOUND: Duration = Duration::from_secs(3_600);
/// Longest time of a whole tenant on its way, and the longest silence in it.
const MOVE_BOUND: Duration = Duration::from_secs(24 * 3_600);
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes of a file that are read at once.
const FILE_PIECE: usize = 256 << 10;
/// Pause between two looks at a run.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Why a host did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostError {
    /// No answer.
    #[error("reach {origin}: {reason}; is the host running, and is `--host` right?")]
    Unreachable {
        /// Scheme, host and port.
        origin: String,
        /// What happened.
        reason: String,
    },
    /// An answer that is a refusal.
    #[error("the host answered {status}: {message}{hint}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The host's sentence.
        message: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// An answer that is not the API's.
    #[error("{origin} does not answer as a Greenroom host: {reason}")]
    Strange {
        /// Scheme, host and port.
        origin: String,
        /// What is strange.
        reason: String,
    },
}

impl HostError {
    /// A run that the host began and did not bring to a result.
    pub(super) fn refused(reason: &str) -> HostError {
        HostError::Refused {
            status: 202,
            message: reason.to_owned(),
            hint: "",
        }
    }
}

/// A host as one tenant or operator, and actor.
pub(super) struct HostClient {
    http: Client,
    /// Up to and with the tenant, or `admin`, without a `/` at its end.
    base: Url,
    token: Option<String>,
    runtime: tokio::runtime::Runtime,
}

/// A success.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) bytes: Vec<u8>,
    location: Option<String>,
}

/// What is sent.
pub(super) enum Body {
    None,
    Json(Value),
    Component(Vec<u8>),
}

impl HostClient {
    /// A client of the tenant that the flags name.
    pub(super) fn open(flags: &HostFlags) -> anyhow::Result<HostClient> {
        Self::below(&flags.address, &["tenants", &flags.tenant])
    }

    /// A client of what operators do with the host.
    pub(super) fn operator(address: &HostAddress) -> anyhow::Result<HostClient> {
        Self::below(address, &["admin"])
    }

    fn below(flags: &HostAddress, segments: &[&str]) -> anyhow::Result<HostClient> {
        // Refused where one is installed already, which does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut base =
            Url::parse(&flags.host).with_context(|| format!("read `--host {}`", flags.host))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            bail!("`--host {}` is no http or https URL", flags.host);
        }
        if !base.username().is_empty() || base.password().is_some() {
            bail!("`--host` has a user in it: give the token by `--token-file` or GREENROOM_TOKEN");
        }
        let here = is_this_machine(&base);
        base.set_query(None);
        base.set_fragment(None);
        base.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("`--host {}` is no base of a path", flags.host))?
            .pop_if_empty()
            .extend(segments);
        let token = find_token(flags, here)?;
        if token.is_some() && base.scheme() == "http" && !here {
            bail!("a token is not sent in the clear to another machine: use https in `--host`");
        }
        let http = Client::builder()
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_BOUND)
            .timeout(REQUEST_BOUND)
            .user_agent(concat!("greenroom/", env!("CARGO_PKG_VERSION")));
        let http = if here { http.no_proxy() } else { http };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the runtime")?;
        Ok(HostClient {
            http: http.build().context("make the HTTP client")?,
            base,
            token,
            runtime,
        })
    }

    fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// One request to the segments below the base. `what` is shown while it takes.
    pub(super) fn send(
        &self,
        screen: &Screen,
        what: &str,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
        body: Body,
    ) -> anyhow::Result<Reply> {
        let request = self.request(method, segments, query);
        let request = match body {
            Body::None => request,
            Body::Json(value) => request
                .header("content-type", "application/json")
                .body(value.to_string()),
            Body::Component(bytes) => request
                .header("content-type", "application/wasm")
                .body(bytes),
        };
        let reply = self
            .runtime
            .block_on(patiently(screen, what, self.exchange(request)));
        screen.clear_progress();
        Ok(reply?)
    }

    fn request(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(segments);
        }
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// `GET` of something of any length, handed over as it comes.
    pub(super) fn download(
        &self,
        screen: &Screen,
        what: &str,
        segments: &[&str],
        mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let request = self.request(Method::GET, segments, &[]).timeout(MOVE_BOUND);
        let download = async {
            let response = request
                .send()
                .await
                .map_err(|error| self.unreachable(&error))?;
            if !response.status().is_success() {
                return Err(self.reply(response).await.err().map_or_else(
                    || anyhow::anyhow!("no success, and no refusal"),
                    anyhow::Error::from,
                ));
            }
            let mut response = response;
            loop {
                let silent = |_| anyhow::anyhow!("the host is silent for {} s", SILENCE.as_secs());
                let piece = tokio::time::timeout(SILENCE, response.chunk())
                    .await
                    .map_err(silent)?;
                match piece.map_err(|error| self.unreachable(&error))? {
                    Some(piece) => take(&piece)?,
                    None => return Ok(()),
                }
            }
        };
        let done = self.runtime.block_on(patiently(screen, what, download));
        screen.clear_progress();
        done
    }

    /// `POST` of a file of any length, read as it is sent.
    pub(super) fn upload(
        &self,
        screen: &Screen,
        what: &str,
        segments: &[&str],
        content_type: &'static str,
        file: std::fs::File,
    ) -> anyhow::Result<Reply> {
        let pieces = futures_util::stream::try_unfold(file, |mut file| async move {
            let mut piece = vec![0; FILE_PIECE];
            let read = std::io::Read::read(&mut file, &mut piece)?;
            piece.truncate(read);
            Ok::<_, std::io::Error>((read > 0).then_some((piece, file)))
        });
        let request = self
            .request(Method::POST, segments, &[])
            .timeout(MOVE_BOUND)
            .header("content-type", content_type)
            .body(reqwest::Body::wrap_stream(pieces));
        let reply = self
            .runtime
            .block_on(patiently(screen, what, self.exchange(request)));
        screen.clear_progress();
        Ok(reply?)
    }

    /// `GET` of JSON.
    pub(super) fn get(
        &self,
        screen: &Screen,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> anyhow::Result<Value> {
        let reply = self.send(screen, "asking", Method::GET, segments, query, Body::None)?;
        self.json(&reply)
    }

    /// The body as JSON.
    pub(super) fn json(&self, reply: &Reply) -> anyhow::Result<Value> {
        serde_json::from_slice(&reply.bytes).map_err(|error| {
            HostError::Strange {
                origin: self.origin(),
                reason: error.to_string(),
            }
            .into()
        })
    }

    /// The result of something that may outlast its request: that of a 200 at once, that of a 202 by looking at its run.
    pub(super) fn result(
        &self,
        screen: &Screen,
        what: &str,
        reply: &Reply,
    ) -> anyhow::Result<Value> {
        let Some(location) = reply.location.as_deref().filter(|_| reply.status == 202) else {
            return self.json(reply);
        };
        let strange = |reason: &str| HostError::Strange {
            origin: self.origin(),
            reason: reason.to_owned(),
        };
        let id = location.rsplit('/').next().unwrap_or_default().to_owned();
        let started = std::time::Instant::now();
        loop {
            let run = self.get(screen, &["runs", &id], &[])?;
            match run["state"].as_str() {
                Some("done") => return Ok(run["result"].clone()),
                Some("queued" | "running") => {}
                _ => bail!(strange("the run was cancelled; try again")),
            }
            if started.elapsed() > RUN_BOUND {
                bail!(strange("the run takes more than an hour"));
            }
            screen.progress(what, started.elapsed().as_secs(), 0);
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> HostError {
        HostError::Unreachable {
            origin: self.origin(),
            reason: root_cause(error),
        }
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<Reply, HostError> {
        let response = request.send().await;
        let response = response.map_err(|error| self.unreachable(&error))?;
        self.reply(response).await
    }

    async fn reply(&self, mut response: reqwest::Response) -> Result<Reply, HostError> {
        let unreachable = |error: reqwest::Error| self.unreachable(&error);
        let status = response.status().as_u16();
        let location = response
            .headers()
            .get("location")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if (bytes.len() + chunk.len()) as u64 > files::TEXT_BYTES {
                let reason = format!("its answer is larger than {} bytes", files::TEXT_BYTES);
                return Err(HostError::Strange {
                    origin: self.origin(),
                    reason,
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        if (200..300).contains(&status) {
            return Ok(Reply {
                status,
                bytes,
                location,
            });
        }
        let message = serde_json::from_slice::<Value>(&bytes).ok();
        let message = message
            .as_ref()
            .and_then(|body| body["error"]["message"].as_str());
        match message {
            Some(message) => Err(HostError::Refused {
                status,
                message: message.to_owned(),
                hint: hint(status),
            }),
            None => Err(HostError::Strange {
                origin: self.origin(),
                reason: format!("status {status}"),
            }),
        }
    }
}

/// Draws the time something takes.
async fn patiently<T>(screen: &Screen, what: &str, work: impl Future<Output = T>) -> T {
    let started = std::time::Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => return result,
            _ = ticks.tick() => {
                if started.elapsed() >= Duration::from_secs(1) {
                    screen.progress(what, started.elapsed().as_secs(), 0);
                }
            }
        }
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 => "; give a token by `--token-file` or GREENROOM_TOKEN",
        403 => {
            "; the token lacks a scope: `deploy` to upload and activate, `admin` to read faults whole, `operator` for tenants and audit"
        }
        404 => "; `greenroom processor list` and `greenroom tenant list` show what there is",
        _ => "",
    }
}

/// The innermost reason; the outer ones repeat the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Whether a URL means this machine, by address or by the name that always does.
fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(url::Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

/// The token: from the file, from the variable, or, for a host of this machine only, its operator's.
fn find_token(flags: &HostAddress, here: bool) -> anyhow::Result<Option<String>> {
    if let Some(path) = &flags.token_file {
        return read_token(path).map(Some);
    }
    if let Some(token) = token() {
        return Ok(Some(token));
    }
    let path = flags.data_dir.join(operator_token::FILE);
    if here && files::is_there(&path) {
        return read_token(&path).map(Some);
    }
    Ok(None)
}

fn read_token(path: &Path) -> anyhow::Result<String> {
    let text = String::from_utf8(files::read(path, 4096)?).unwrap_or_default();
    let token = text.trim();
    if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
        bail!("`{}` holds no token", path.display());
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(host: &str, token_file: Option<&Path>) -> HostAddress {
        HostAddress {
            host: host.to_owned(),
            token_file: token_file.map(Into::into),
            data_dir: "/nowhere".into(),
        }
    }

    fn open(address: &HostAddress) -> anyhow::Result<HostClient> {
        HostClient::open(&HostFlags {
            address: address.clone(),
            tenant: "default".to_owned(),
        })
    }

    #[test]
    fn a_token_goes_in_the_clear_to_this_machine_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        files::write(&path, b"gr_a_b\n").unwrap();
        for host in [
            "http://127.0.0.1:7007",
            "http://[::1]:1",
            "http://localhost:2/",
            "https://catalog.example",
        ] {
            assert!(open(&flags(host, Some(&path))).is_ok(), "{host}");
        }
        for host in [
            "http://catalog.example",
            "http://127.0.0.1.example",
            "http://localhost.example",
        ] {
            let error = open(&flags(host, Some(&path))).err().unwrap();
            assert!(error.to_string().contains("https"), "{host}: {error}");
        }
        for wrong in ["ftp://x", "catalog", "http://user:secret@127.0.0.1"] {
            let error = open(&flags(wrong, None)).err().unwrap();
            assert!(!format!("{error:#}").contains("secret"), "{error:#}");
        }
    }

    #[test]
    fn the_operator_token_is_for_hosts_of_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        files::write(&folder.path().join(operator_token::FILE), b"gr_op_x\n").unwrap();
        let of = |host: &str| HostAddress {
            data_dir: folder.path().to_owned(),
            ..flags(host, None)
        };
        assert_eq!(
            find_token(&of("x"), true).unwrap().as_deref(),
            Some("gr_op_x")
        );
        assert_eq!(find_token(&of("x"), false).unwrap(), None);
    }

    #[test]
    fn hostile_names_stay_one_segment() {
        let mut url = Url::parse("http://h/tenants/t").unwrap();
        url.path_segments_mut()
            .unwrap()
            .extend(["processors", "../../admin?x#y"]);
        assert_eq!(url.path(), "/tenants/t/processors/..%2F..%2Fadmin%3Fx%23y");
    }
}
