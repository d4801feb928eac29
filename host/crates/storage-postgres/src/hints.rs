//! Hints between the processes of a database: "something was committed", by `NOTIFY`, so that nobody waits for a poll.
//!
//! Never inside a writing transaction: that takes a lock of the whole cluster at commit, and cut commits to a quarter
//! (design note I6). They go out after commit on a connection of their own, at most one in [`COALESCED`], without a
//! payload. A hint that is lost costs nothing but time: whoever follows looks anyway.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Connection, Error, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::PostgresStorage;
use crate::connection;

/// The least time between two hints of a process.
const COALESCED: Duration = Duration::from_millis(20);
/// The pause before a lost connection is made again; meanwhile everybody polls.
const AGAIN: Duration = Duration::from_secs(1);

impl PostgresStorage {
    /// Sends hints of this process's commits to the others, and calls `woken` for theirs; for as long as it is polled.
    pub async fn exchange_hints(&self, woken: impl Fn()) {
        loop {
            if let Err(error) = self.exchange(&woken).await {
                tracing::debug!(%error, "the connection for hints is lost; polling goes on");
            }
            sleep(AGAIN).await;
        }
    }

    async fn exchange(&self, woken: &impl Fn()) -> Result<(), Error> {
        let config = self.url().config();
        match connection::tls(self.url()) {
            Ok(None) => {
                let (client, connection) = config.connect(NoTls).await?;
                self.turn::<NoTls>(client, connection, woken).await
            }
            Ok(Some(tls)) => {
                let tls = MakeRustlsConnect::new(tls);
                let (client, connection) = config.connect(tls).await?;
                self.turn::<MakeRustlsConnect>(client, connection, woken)
                    .await
            }
            // As for the pool, which could not have been made then.
            Err(_) => std::future::pending().await,
        }
    }

    async fn turn<T>(
        &self,
        client: Client,
        mut connection: Connection<Socket, T::Stream>,
        woken: &impl Fn(),
    ) -> Result<(), Error>
    where
        T: MakeTlsConnect<Socket>,
    {
        let mut messages = pin!(async {
            loop {
                match poll_fn(|cx| connection.poll_message(cx)).await {
                    Some(Ok(AsyncMessage::Notification(_))) => woken(),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error),
                    None => return Ok(()),
                }
            }
        });
        let mut hints = pin!(async {
            client.batch_execute("LISTEN greenroom").await?;
            loop {
                self.written().notified().await;
                client.batch_execute("NOTIFY greenroom").await?;
                sleep(COALESCED).await;
            }
        });
        tokio::select! {
            ended = &mut messages => ended,
            ended = &mut hints => ended,
        }
    }
}
