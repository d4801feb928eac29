//! Proves that a connection by TLS is made to whom the URL names and to nobody else.
#![expect(clippy::unwrap_used, reason = "a test: an error is a failure")]

use greenroom_storage::StorageError;
use greenroom_storage_postgres::{DatabaseUrl, PostgresStorage};
use greenroom_test_postgres::{AUTHORITY, Cluster, skipped};

fn opened(url: &DatabaseUrl) -> Result<(), StorageError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(PostgresStorage::open(url))
        .map(drop)
}

#[test]
fn a_server_is_believed_by_its_certificate_and_name() {
    if skipped() {
        return;
    }
    let (_cluster, port) = Cluster::with_tls();
    let url = |host: &str| -> DatabaseUrl {
        let text = format!("postgres://postgres@{host}:{port}/postgres?sslmode=require");
        text.parse().unwrap()
    };
    let trusting = |host: &str| url(host).trusting(AUTHORITY.as_bytes()).unwrap();
    opened(&trusting("localhost")).unwrap();
    for (refused, wanted) in [
        // The public authorities do not know it, and it has another name.
        (url("localhost"), "UnknownIssuer"),
        (trusting("127.0.0.1"), "NotValidForName"),
    ] {
        let error = opened(&refused).unwrap_err();
        assert!(!error.retryable(), "{error:?}");
        assert!(format!("{error:?}").contains(wanted), "{error:?}");
    }
}
