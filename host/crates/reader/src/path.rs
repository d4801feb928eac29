//! The path of a URL as a server may understand it, for comparing with grants and allowed paths.
//!
//! The URL parser has already resolved `.` and `..`, also written `%2e`. What is left to disagree on
//! is what a server decodes *after* it has split the path: `%2F` may or may not separate, and
//! `..;x` may be read as `..`. A path is therefore kept in both readings, and something is below a
//! prefix only if it is so in both. A path with a dot segment in any reading has no reading.

use url::Url;

/// Both readings of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestPath {
    /// Split, then decoded.
    literal: Vec<String>,
    /// Decoded, then split at `/` and `\`.
    split: Vec<String>,
}

/// More rounds of percent-encoding than this are nobody's file name.
const DECODE_ROUNDS: usize = 4;

impl RequestPath {
    /// The path of `url`; none if a server could read a way upwards, a control character or endless
    /// encoding out of it.
    pub(crate) fn of(url: &Url) -> Option<RequestPath> {
        let segments = url.path_segments()?;
        let literal: Vec<String> = segments.map(decode).collect::<Option<_>>()?;
        let split: Vec<String> = literal
            .iter()
            .flat_map(|segment| segment.split(['/', '\\']))
            .map(str::to_owned)
            .collect();
        let climbs = |segment: &String| {
            let name = segment.split(';').next().unwrap_or_default().trim();
            name == "." || name == ".."
        };
        if split.iter().any(climbs) || literal.iter().any(|s| s.contains(char::is_control)) {
            return None;
        }
        Some(RequestPath { literal, split })
    }

    /// Whether this path is `prefix` or below it, in both readings. An empty last segment of the
    /// prefix (a trailing slash) is left out of account.
    pub(crate) fn is_below(&self, prefix: &[String]) -> bool {
        let prefix = match prefix {
            [rest @ .., last] if last.is_empty() => rest,
            all => all,
        };
        self.literal.starts_with(prefix) && self.split.starts_with(prefix)
    }

    /// The segments, split before decoding.
    pub(crate) fn segments(&self) -> &[String] {
        &self.literal
    }

    /// The path as text, split before decoding.
    pub(crate) fn literal_text(&self) -> String {
        // A separator inside a segment is spelled so that it cannot pass for one between two.
        let segments: Vec<String> = self
            .literal
            .iter()
            .map(|segment| segment.replace('/', "%2F").replace('\\', "%5C"))
            .collect();
        format!("/{}", segments.join("/"))
    }

    /// The path as text, split after decoding.
    pub(crate) fn split_text(&self) -> String {
        format!("/{}", self.split.join("/"))
    }
}

/// Decodes until nothing changes.
fn decode(segment: &str) -> Option<String> {
    let mut text = segment.to_owned();
    for _ in 0..DECODE_ROUNDS {
        let next = decode_once(&text)?;
        if next == text {
            return Some(text);
        }
        text = next;
    }
    None
}

/// One round of percent-decoding; none if the result is not UTF-8. A `%` without two digits stays.
pub(crate) fn decode_once(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let pair = match (first, tail) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match pair {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Option<RequestPath> {
        RequestPath::of(&Url::parse(&format!("https://h{text}")).expect("a URL"))
    }

    fn is_below(text: &str, prefix: &[&str]) -> bool {
        let prefix: Vec<String> = prefix.iter().map(ToString::to_string).collect();
        path(text).is_some_and(|path| path.is_below(&prefix))
    }

    #[test]
    fn r07_both_readings_of_a_path_must_be_below_the_prefix() {
        for text in [
            "/acme",
            "/acme/",
            "/acme/a/b",
            "/acme/./b",
            "/acme//b",
            "/acme/a%2Fb",
            "/acme/;x",
            "/%61cme/b",
        ] {
            assert!(is_below(text, &["acme"]), "{text}");
            assert!(is_below(text, &["acme", ""]), "{text}");
        }
        for text in [
            "/",
            "/acmes",
            "/ACME",
            "//acme/b",
            "/acme/../other",
            "/acme/%2e%2e/other",
            "/acme/%2E./other",
            "/acme/..%2Fother",
            "/acme/..%5Cother",
            "/acme/..;/other",
            "/acme/..;x=1/other",
            "/acme%2Fb",
            "/acme%5Cb",
            "/acme/%252e%252e/other",
            "/acme/..%252Fother",
            "/acme/%25252e%25252e",
            "/acme/%00",
            "/acme/%0d%0a",
            "/acme/%c0%ae",
            "/other?x=/acme/",
            "/other#/acme/",
            "/acme;x/b",
            "/acme/%2525252525252e",
        ] {
            assert!(!is_below(text, &["acme"]), "{text}");
        }
    }

    #[test]
    fn percent_signs_that_encode_nothing_stay() {
        assert_eq!(decode_once("100%"), Some("100%".to_owned()));
        assert_eq!(decode_once("%zz%4"), Some("%zz%4".to_owned()));
        assert_eq!(decode_once("%ff"), None);
    }
}
