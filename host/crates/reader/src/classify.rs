//! Which end of a read a status or a failure is.
//!
//! The dividing line is whether asking again without a change can help: if so it is `Unavailable`.
//! Failures to connect read alike whatever their cause, so that a text tells nothing of a port
//! behind a name; a bad certificate names the host, because its owner must act.

use std::error::Error;
use std::io;

use reqwest::{Response, StatusCode, Url};

use crate::outcome::Stop;
use crate::resolver::AddressRefused;
use crate::retry_after::retry_after_ms;
use crate::transport::address_refusal;

/// The end that a failed request or a broken body is.
pub(crate) fn stop_for_error(error: &reqwest::Error, url: &Url) -> Stop {
    let host = url.host_str().unwrap_or_default();
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if cause.is::<AddressRefused>() {
            return Stop::Refused(address_refusal(url));
        }
        if cause.downcast_ref().is_some_and(is_distrust) {
            return Stop::refused(format!(
                "the certificate or TLS version of `{host}` is not trusted"
            ));
        }
        next = inner(cause);
    }
    if error.is_connect() || error.is_timeout() {
        Stop::unavailable(format!(
            "`{host}` cannot be reached or does not answer in time"
        ))
    } else {
        Stop::unavailable(format!("the answer of `{host}` is broken off or malformed"))
    }
}

/// The next error inwards. An `io::Error` skips the error it wraps when asked for its source.
fn inner<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}

fn is_distrust(error: &rustls::Error) -> bool {
    use rustls::AlertDescription as Alert;
    matches!(
        error,
        rustls::Error::InvalidCertificate(_)
            | rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(Alert::ProtocolVersion | Alert::HandshakeFailure)
    )
}

/// The end that a status other than 200 and a redirect is. `asked` says whether the request carried
/// a condition; only then is 304 an answer.
pub(crate) fn stop_for_status(response: &Response, asked: bool) -> Stop {
    let status = response.status();
    let host = response.url().host_str().unwrap_or_default();
    let wait = retry_after_ms(response.headers());
    let unavailable = || Stop::Unavailable(format!("`{host}` answered {}", status.as_u16()), wait);
    match status {
        StatusCode::NOT_MODIFIED if asked => Stop::NotModified,
        StatusCode::NOT_FOUND | StatusCode::GONE => Stop::NotFound,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            unavailable()
        }
        // How GitHub says that a rate limit is used up.
        StatusCode::FORBIDDEN if wait.is_some() => unavailable(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Stop::refused(format!(
            "`{host}` does not allow it ({}); check the integration's token",
            status.as_u16()
        )),
        _ if status.is_client_error() => {
            Stop::refused(format!("`{host}` answered {}", status.as_u16()))
        }
        _ => unavailable(),
    }
}
