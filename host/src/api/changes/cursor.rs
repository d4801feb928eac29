//! How far a follower has come: the epoch of a log and a number in it, as `epoch:seq`.
//!
//! Legible on purpose, since it stands in event ids, addresses and logs of clients, and needs no encoding in any of them.

use std::fmt;

use crate::api::error::ApiError;

/// Longest cursor that is looked at, in bytes: an epoch is a UUID.
const MAX_CURSOR_BYTES: usize = 128;

/// See the module's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) epoch: String,
    pub(super) seq: u64,
}

impl Cursor {
    /// Reads a cursor of a request.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        Self::read(text).ok_or_else(malformed)
    }

    fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_CURSOR_BYTES {
            return None;
        }
        let (epoch, seq) = text.split_once(':')?;
        let in_epoch = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let digits = !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit());
        if epoch.is_empty() || !epoch.bytes().all(in_epoch) || !digits {
            return None;
        }
        Some(Self {
            epoch: epoch.to_owned(),
            seq: seq.parse().ok()?,
        })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.seq)
    }
}

/// 400. The cursor is not quoted: it may hold anything.
pub(super) fn malformed() -> ApiError {
    ApiError::input(
        "the cursor is malformed; send `next` of a page or the id of an event as it came, or none",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h14_a_cursor_comes_back_as_it_went_and_nothing_else_is_one() {
        for seq in [0, 1, u64::MAX] {
            let cursor = Cursor {
                epoch: "0b9ad1d4-7a35-4a53-9b5e-6f0e2a1f0001".into(),
                seq,
            };
            assert_eq!(Cursor::read(&cursor.to_string()), Some(cursor));
        }
        for bad in [
            "",
            ":",
            "e",
            "e:",
            ":1",
            "e:-1",
            "e:+1",
            "e: 1",
            "e:1.0",
            "e:1e3",
            "e:1:2",
            "e:١",
            "e:18446744073709551616",
            "e\n:1",
            "e:1\r\nid: x",
            "é:1",
            "e'--:1",
            "e/../f:1",
            &format!("{}:1", "e".repeat(127)),
        ] {
            assert_eq!(Cursor::read(bad), None, "{bad:?}");
        }
    }
}
