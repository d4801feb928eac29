//! An http or https URL in parts, parsed as WHATWG's URL standard does for what occurs in catalogs.
//!
//! Deliberately narrow: ASCII hosts only (an internationalised host is written in punycode), no
//! IPv4 number forms. A URL outside of that gives `None` and is then left as written, so a text
//! never becomes the URL of another host than the reader will see.

use std::fmt;

/// A parsed absolute http(s) URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebUrl {
    /// `http` or `https`.
    pub scheme: String,
    /// `user:password@`, or empty.
    pub user_info: String,
    /// Host in lower case, with the port if not the scheme's own.
    pub host: String,
    /// Path with its leading `/`, dots folded, percent-encoded.
    pub path: String,
    /// Query with its `?`, or empty.
    pub query: String,
    /// Fragment with its `#`, or empty.
    pub fragment: String,
}

impl WebUrl {
    /// Parses an absolute URL.
    #[must_use]
    pub fn parse(text: &str) -> Option<WebUrl> {
        let text = cleaned(text);
        let (scheme, rest) = text.split_once(':')?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return None;
        }
        WebUrl::after_scheme(scheme, rest.trim_start_matches(['/', '\\']))
    }

    /// Resolves a reference that has no scheme against this URL.
    #[must_use]
    pub fn join(&self, reference: &str) -> Option<WebUrl> {
        let text = cleaned(reference);
        let slash = |c: char| c == '/' || c == '\\';
        let mut made = self.clone();
        made.fragment.clear();
        let rest = match text.strip_prefix(slash) {
            Some(after) if after.starts_with(slash) => {
                return WebUrl::after_scheme(self.scheme.clone(), after.trim_start_matches(slash));
            }
            _ => text.as_str(),
        };
        let (path, query, fragment) = split_path(rest);
        made.fragment = fragment;
        if path.is_empty() {
            if !query.is_empty() {
                made.query = query;
            }
            return Some(made);
        }
        made.query = query;
        made.path = if path.starts_with(slash) {
            fold(path)
        } else {
            let directory = self
                .path
                .rsplit_once('/')
                .map_or("", |(directory, _)| directory);
            fold(&format!("{directory}/{path}"))
        };
        Some(made)
    }

    /// The path's segments, without the leading empty one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').skip(1)
    }

    /// The decoded value of a query parameter, its first occurrence.
    #[must_use]
    pub fn query_value(&self, key: &str) -> Option<String> {
        self.query_pairs()
            .into_iter()
            .find_map(|(name, value)| (name == key).then_some(value))
    }

    /// Sets a query parameter, as `URLSearchParams.set` does: in place of its first occurrence,
    /// else last; the whole query is re-encoded.
    pub fn set_query_value(&mut self, key: &str, value: &str) {
        let mut pairs = self.query_pairs();
        let first = pairs.iter().position(|(name, _)| name == key);
        match first {
            Some(first) => {
                pairs[first].1 = value.to_owned();
                let mut index = 0;
                pairs.retain(|(name, _)| {
                    index += 1;
                    name != key || index == first + 1
                });
            }
            None => pairs.push((key.to_owned(), value.to_owned())),
        }
        let encoded: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{}={}", form_encode(name), form_encode(value)))
            .collect();
        self.query = format!("?{}", encoded.join("&"));
    }

    fn query_pairs(&self) -> Vec<(String, String)> {
        let query = self.query.strip_prefix('?').unwrap_or_default();
        query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let decode = |text: &str| percent_decode(&text.replace('+', " "));
                (decode(name), decode(value))
            })
            .collect()
    }

    fn after_scheme(scheme: String, rest: &str) -> Option<WebUrl> {
        let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (user_info, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (format!("{user}@"), host),
            None => (String::new(), authority),
        };
        let host = checked_host(host, &scheme)?;
        let (path, query, fragment) = split_path(rest);
        Some(WebUrl {
            scheme,
            user_info,
            host,
            path: fold(path),
            query,
            fragment,
        })
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WebUrl {
            scheme,
            user_info,
            host,
            path,
            query,
            fragment,
        } = self;
        write!(f, "{scheme}://{user_info}{host}{path}{query}{fragment}")
    }
}

/// Outer controls and spaces trimmed, tabs and line ends dropped, as the standard begins.
fn cleaned(text: &str) -> String {
    text.trim_matches(|c: char| c <= ' ')
        .chars()
        .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
        .collect()
}

fn checked_host(text: &str, scheme: &str) -> Option<String> {
    let after_brackets = text.rfind(']').map_or(0, |at| at + 1);
    let (name, port) = match text[after_brackets..].rfind(':') {
        Some(colon) => {
            let colon = after_brackets + colon;
            (&text[..colon], &text[colon + 1..])
        }
        None => (text, ""),
    };
    let name_ok = match name.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(|inner| {
            inner.contains(':')
                && inner
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte))
        }),
        None => {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        }
    };
    if !name_ok || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let own = if scheme == "https" { 443 } else { 80 };
    if port.is_empty() {
        return Some(name);
    }
    match port.parse::<u16>().ok()? {
        port if port == own => Some(name),
        port => Some(format!("{name}:{port}")),
    }
}

/// (path, query with `?`, fragment with `#`), the last two encoded.
fn split_path(text: &str) -> (&str, String, String) {
    let (text, fragment) = match text.find('#') {
        Some(at) => (&text[..at], encode(&text[at..], b"\"<>`")),
        None => (text, String::new()),
    };
    match text.find('?') {
        Some(at) => (&text[..at], encode(&text[at..], b"\"<>'"), fragment),
        None => (text, String::new(), fragment),
    }
}

/// Backslashes to slashes, `.` and `..` (also percent-encoded) folded, never above the root.
fn fold(path: &str) -> String {
    let path = path.replace('\\', "/");
    let path = path.strip_prefix('/').unwrap_or(&path);
    let mut kept: Vec<&str> = Vec::new();
    let count = path.split('/').count();
    for (index, part) in path.split('/').enumerate() {
        let last = index + 1 == count;
        match part.to_ascii_lowercase().replace("%2e", ".").as_str() {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(part),
        }
    }
    encode(&format!("/{}", kept.join("/")), b"\"<>`{}^")
}

/// Percent-encodes controls, space, non-ASCII and `extra`; what is encoded already stays.
fn encode(text: &str, extra: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte <= b' ' || byte >= 0x7f || extra.contains(&byte) {
            out.push_str(&format!("%{byte:02X}"));
        } else {
            out.push(char::from(byte));
        }
    }
    out
}

/// `application/x-www-form-urlencoded`.
fn form_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Percent-decoding; a broken escape stays, invalid UTF-8 becomes U+FFFD.
pub(super) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |at: usize| {
        bytes
            .get(at)
            .and_then(|byte| char::from(*byte).to_digit(16))
    };
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, _, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_url_crate() {
        let base = "https://User@H.example:443/a/./b/../c d.yaml?q='1#f";
        let references = [
            "",
            "x",
            "./x",
            "../x",
            "../../../x",
            "/x/..",
            "//other/y",
            "\\\\evil\\y",
            "?z",
            "#g",
            "./",
            "a b",
            "%2e%2e/x",
            "x?y#z",
            "é",
            "..",
            ".",
            "x\ty",
            "{a}",
            "/a//b/",
        ];
        let (ours, theirs) = (WebUrl::parse(base).unwrap(), url::Url::parse(base).unwrap());
        assert_eq!(ours.to_string(), theirs.to_string());
        for reference in references {
            assert_eq!(
                ours.join(reference).unwrap().to_string(),
                theirs.join(reference).unwrap().to_string(),
                "{reference:?}"
            );
        }
    }

    #[test]
    fn r06_hosts_are_what_the_standard_says() {
        for (text, host) in [
            ("https://github.com@evil.test/x", Some("evil.test")),
            ("https://evil.test#github.com", Some("evil.test")),
            ("https://github.com\\@evil.test", Some("github.com")),
            ("HTTPS://GitHub.com:22/x", Some("github.com:22")),
            ("http:h/x", Some("h")),
            ("https://[::1]:8080/x", Some("[::1]:8080")),
            ("https://", None),
            ("https://a b/", None),
            ("https://h:99999/", None),
            ("https://bücher.test/", None),
            ("ftp://h/", None),
            ("/x", None),
        ] {
            assert_eq!(
                WebUrl::parse(text).map(|url| url.host).as_deref(),
                host,
                "{text}"
            );
        }
    }

    #[test]
    fn query_values_are_set_in_place() {
        let mut url = WebUrl::parse("https://h/p?path=%2Fa.yaml&version=GBmain").unwrap();
        assert_eq!(url.query_value("path").as_deref(), Some("/a.yaml"));
        url.set_query_value("path", "/b c.yaml");
        url.set_query_value("mode", "edit");
        assert_eq!(url.query, "?path=%2Fb+c.yaml&version=GBmain&mode=edit");
    }
}
