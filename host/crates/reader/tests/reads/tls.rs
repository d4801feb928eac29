//! Certificates. Made once with openssl: an authority, and leaves for `trusted.test`,
//! `expired.test` (ended in 2021) and `self.test` (signed by itself), all with one key.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use greenroom_reader::{ReadOutcome, Reader, ReaderConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::{Names, get, open_policy, reader, refusal, text};

const AUTHORITY: &[u8] = include_bytes!("certificates/authority.der");
const KEY: &[u8] = include_bytes!("certificates/key.der");

/// Serves one connection with `certificate`; returns the port.
fn serve(certificate: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate)], key)
        .expect("a certificate and its key");
    thread::spawn(move || {
        let (socket, _) = listener.accept().expect("a connection");
        let connection = rustls::ServerConnection::new(Arc::new(config)).expect("a connection");
        let mut stream = rustls::StreamOwned::new(connection, socket);
        // The client that distrusts us leaves here.
        if stream.read(&mut [0; 4096]).is_ok() {
            let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecure";
            drop(stream.write_all(reply));
            stream.conn.send_close_notify();
            drop(stream.flush());
        }
    });
    port
}

async fn read(name: &str, certificate: &'static [u8], roots: &[&[u8]]) -> ReadOutcome {
    let extra_roots = roots.iter().map(|root| root.to_vec()).collect();
    let config = ReaderConfig {
        extra_roots,
        ..ReaderConfig::default()
    };
    let names = Names::new(name, &[&["127.0.0.1"]]);
    let reader = Reader::with_names(config, names).expect("a reader");
    let entry = format!("{name}:{}", serve(certificate));
    get(
        &reader,
        &open_policy(&[&entry]),
        &format!("https://{entry}/"),
    )
    .await
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_accepted() {
    let trusted = include_bytes!("certificates/trusted.der");
    assert_eq!(
        text(&read("trusted.test", trusted, &[AUTHORITY]).await),
        "secure"
    );
}

#[tokio::test]
async fn r13_other_certificates_are_refused_and_the_host_is_named() {
    let trusted = include_bytes!("certificates/trusted.der");
    let expired = include_bytes!("certificates/expired.der");
    let own = include_bytes!("certificates/self-signed.der");
    for (name, certificate, roots) in [
        ("trusted.test", trusted.as_slice(), [].as_slice()),
        ("other.test", trusted.as_slice(), &[AUTHORITY]),
        ("expired.test", expired.as_slice(), &[AUTHORITY]),
        ("self.test", own.as_slice(), &[AUTHORITY]),
    ] {
        let reason = refusal(read(name, certificate, roots).await);
        assert!(
            reason.contains("certificate") && reason.contains(name),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn r13_a_server_without_tls_is_no_document() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a connection");
        drop(socket.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"));
        drop(socket.read(&mut [0; 4096]));
    });
    let named = open_policy(&[&address.to_string()]);
    let outcome = get(&reader(), &named, &format!("https://{address}/")).await;
    assert!(
        matches!(outcome, ReadOutcome::Unavailable { .. }),
        "{outcome:?}"
    );
}

#[test]
fn roots_that_are_no_certificates_are_refused() {
    let config = ReaderConfig {
        extra_roots: vec![vec![1, 2, 3]],
        ..ReaderConfig::default()
    };
    assert!(Reader::new(config).is_err());
}
