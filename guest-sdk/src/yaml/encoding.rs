//! Bytes to text: UTF-8, a byte order mark dropped, everything else a clear error (y05).

use super::YamlError;

/// The text of a stream.
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, YamlError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if let Some(name) = other_unicode(bytes) {
        return Err(at_start(format!("the file is {name}; save it as UTF-8")));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = good.matches('\n').count() + 1;
        let column = good
            .rsplit('\n')
            .next()
            .map_or(0, |tail| tail.chars().count())
            + 1;
        YamlError {
            message: "the file is not valid UTF-8; save it as UTF-8".to_owned(),
            document: 0,
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    })
}

/// UTF-16 and UTF-32, told by their mark or by the zero bytes of an ASCII first character.
fn other_unicode(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] | [0, 0, 0, 1..=0xFF, ..] => Some("UTF-32"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, 1..=0xFF, ..] | [1..=0xFF, 0, ..] => {
            Some("UTF-16")
        }
        _ => None,
    }
}

fn at_start(message: String) -> YamlError {
    YamlError {
        message,
        document: 0,
        line: 1,
        column: 1,
    }
}
