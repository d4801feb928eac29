//! What `serve` and a worker say to each other: one JSON value a line.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::metrics::Told;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum Message {
    /// From a worker, first: it claims from now on under this id.
    Started {
        /// Its id in `workers`.
        worker: String,
    },
    /// From a worker, every second: its essential tasks turn.
    Heartbeat {
        /// What has changed of what it counts and measures.
        #[serde(default)]
        told: Told,
    },
    /// From either: it has committed something that the other may be waiting for.
    Wake,
    /// From `serve`: stop softly.
    Stop,
}

/// Longest line; a worker that sends more is broken. The number of its series is bounded.
const MAX_LINE_BYTES: usize = 4 << 20;

/// Reads the next message. `None` at end of file, and for a line that is not one: the peer is then as good as gone.
pub async fn read_message(from: &mut (impl AsyncBufRead + Unpin)) -> Option<Message> {
    let mut line = Vec::new();
    let read = tokio::io::AsyncReadExt::take(&mut *from, MAX_LINE_BYTES as u64)
        .read_until(b'\n', &mut line)
        .await
        .ok()?;
    if read == 0 {
        None
    } else {
        serde_json::from_slice(&line).ok()
    }
}

/// Writes a message.
///
/// # Errors
/// If the peer is gone.
pub async fn write_message(
    to: &mut (impl AsyncWrite + Unpin),
    message: &Message,
) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_survive_and_anything_else_ends_the_peer() {
        let mut line = Vec::new();
        write_message(&mut line, &Message::Started { worker: "w".into() })
            .await
            .unwrap();
        write_message(&mut line, &Message::Wake).await.unwrap();
        line.extend_from_slice(b"nonsense\n");
        let mut from = line.as_slice();
        assert_eq!(
            read_message(&mut from).await,
            Some(Message::Started { worker: "w".into() })
        );
        assert_eq!(read_message(&mut from).await, Some(Message::Wake));
        assert_eq!(read_message(&mut from).await, None);
    }
}
