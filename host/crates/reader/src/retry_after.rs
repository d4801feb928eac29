//! When a source wants to be asked again.
//!
//! The answer is relative and never over an hour, whatever the header says. A date is compared with
//! the same answer's `Date`, so that no clock of ours is needed and none has to agree with theirs.

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// Longest wait a source can ask for, in milliseconds.
const LONGEST_MS: u64 = 3_600_000;

/// The wait that `headers` ask for, in milliseconds: `Retry-After`, else the reset of an exhausted
/// rate limit as GitHub and GitLab spell it. None when they ask for none or make no sense.
pub(crate) fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let now = text(DATE.as_str()).and_then(parse_http_date);
    if let Some(wait) = text(RETRY_AFTER.as_str()) {
        let wait = wait.trim();
        if !wait.is_empty() && wait.bytes().all(|byte| byte.is_ascii_digit()) {
            // More digits than fit are a long time.
            let seconds: u64 = wait.parse().unwrap_or(u64::MAX);
            return Some(seconds.saturating_mul(1000).min(LONGEST_MS));
        }
        return between(now?, parse_http_date(wait)?);
    }
    let exhausted = ["x-ratelimit-remaining", "ratelimit-remaining"]
        .iter()
        .any(|name| text(name) == Some("0"));
    if !exhausted {
        return None;
    }
    let reset = text("x-ratelimit-reset").or_else(|| text("ratelimit-reset"))?;
    between(now?, reset.parse().ok()?)
}

fn between(now: u64, then: u64) -> Option<u64> {
    let seconds = then.checked_sub(now)?;
    Some(seconds.saturating_mul(1000).min(LONGEST_MS))
}

/// Seconds since the Unix epoch of an `IMF-fixdate` such as `Sun, 06 Nov 1994 08:49:37 GMT`. The two
/// obsolete forms are not read: a wait is a courtesy, not a need.
fn parse_http_date(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let (time, zone) = (words.next()?, words.next()?);
    if zone != "GMT" || words.next().is_some() {
        return None;
    }
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = months.iter().position(|name| *name == month)? + 1;
    let date = format!("{year}-{month:02}-{day}T{time}Z");
    let instant = greenroom_model::Timestamp::parse(&date).ok()?;
    u64::try_from(instant.0 / 1000).ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn wait(pairs: &[(&'static str, &str)]) -> Option<u64> {
        let headers = pairs.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("a header value");
            (HeaderName::from_static(name), value)
        });
        retry_after_ms(&headers.collect())
    }

    #[test]
    fn r10_retry_after_is_clamped_to_an_hour_or_dropped() {
        assert_eq!(wait(&[("retry-after", "120")]), Some(120_000));
        assert_eq!(wait(&[("retry-after", "1000000000000")]), Some(LONGEST_MS));
        assert_eq!(
            wait(&[("retry-after", "99999999999999999999999999")]),
            Some(LONGEST_MS)
        );
        for text in ["-5", "", "soon", "1.5", "+3"] {
            assert_eq!(wait(&[("retry-after", text)]), None, "{text}");
        }
        let date = ("date", "Mon, 23 Nov 2026 12:00:00 GMT");
        assert_eq!(
            wait(&[date, ("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")]),
            None
        );
        assert_eq!(
            wait(&[date, ("retry-after", "Mon, 23 Nov 2026 12:00:30 GMT")]),
            Some(30_000)
        );
        assert_eq!(
            wait(&[date, ("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")]),
            Some(LONGEST_MS)
        );
        assert_eq!(
            wait(&[("retry-after", "Mon, 23 Nov 2026 12:00:30 GMT")]),
            None
        );
    }

    #[test]
    fn an_exhausted_rate_limit_says_when_it_resets() {
        let date = ("date", "Thu, 01 Jan 1970 00:01:40 GMT");
        let reset = ("x-ratelimit-reset", "160");
        assert_eq!(
            wait(&[date, reset, ("x-ratelimit-remaining", "0")]),
            Some(60_000)
        );
        assert_eq!(wait(&[date, reset, ("x-ratelimit-remaining", "7")]), None);
    }
}
