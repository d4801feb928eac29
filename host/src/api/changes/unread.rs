//! What was handed to a connection and not taken yet: at most 64 KiB, counted in bytes and not in pieces, because changes
//! come one by one as well as in thousands.
//!
//! A writer waits for room, but not for ever: a client that takes nothing for that long is lagging.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Bytes that may be unread.
const MAX_BYTES: usize = 64 * 1024;
/// How long a writer waits for room.
const PATIENCE: Duration = Duration::from_secs(3);

/// A piece, and the room it takes until the connection has it.
type Piece = (Bytes, Option<OwnedSemaphorePermit>);

/// The client leaves too much unread.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lagging;

/// The end that is written to.
pub(super) struct Writer {
    pieces: mpsc::UnboundedSender<Piece>,
    room: Arc<Semaphore>,
}

/// A body, and what writes it.
pub(super) fn body() -> (Writer, Body) {
    let (sender, pieces) = mpsc::unbounded_channel::<Piece>();
    let pieces = stream::unfold(pieces, |mut pieces| async move {
        let (piece, _room) = pieces.recv().await?;
        Some((Ok::<_, Infallible>(piece), pieces))
    });
    let writer = Writer {
        pieces: sender,
        room: Arc::new(Semaphore::new(MAX_BYTES)),
    };
    (writer, Body::from_stream(pieces))
}

impl Writer {
    /// Writes a piece once there is room for it.
    pub(super) async fn write(&self, piece: String) -> Result<(), Lagging> {
        let bytes = piece.len().min(MAX_BYTES);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes);
        let room = tokio::time::timeout(PATIENCE, room).await;
        let room = room.map_err(|_| Lagging)?.map_err(|_| Lagging)?;
        // Whoever has left is noticed by `closed`.
        let _ = self.pieces.send((piece.into(), Some(room)));
        Ok(())
    }

    /// Writes a last word, for which there is always room.
    pub(super) fn end(self, piece: String) {
        let _ = self.pieces.send((piece.into(), None));
    }

    /// Resolves when the client has left.
    pub(super) async fn closed(&self) {
        self.pieces.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn h14_room_is_counted_in_bytes_and_comes_back_with_reading() {
        let (writer, mut body) = body();
        // As many pieces as fit, however small.
        for _ in 0..MAX_BYTES / 16 {
            writer.write("x".repeat(16)).await.unwrap();
        }
        assert_eq!(writer.write("y".to_owned()).await, Err(Lagging));
        body.frame().await.unwrap().unwrap();
        writer.write("y".to_owned()).await.unwrap();
        // A piece that is larger than all the room waits for all of it and no longer.
        while body.frame().await.unwrap().unwrap().into_data().unwrap() != "y" {}
        writer.write("z".repeat(MAX_BYTES + 1)).await.unwrap();
        writer.end("end".to_owned());
        let rest = body.collect().await.unwrap().to_bytes();
        assert_eq!(rest.len(), MAX_BYTES + 1 + 3);
    }
}
