//! Whom TLS trusts.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

#[tokio::test]
async fn an_endpoint_with_a_certificate_of_a_trusted_authority_gets_the_message() {
    let (address, certificate) = endpoint().await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let client = Client::trusting(&address, roots).expect("a client");
    client.post("text/plain", HeaderMap::new(), b"news".to_vec()).await.expect("delivered");
}

#[tokio::test]
async fn an_endpoint_with_a_certificate_of_its_own_gets_nothing() {
    let (address, _) = endpoint().await;
    let client = Client::new(&address).expect("a client");
    let failure =
        client.post("text/plain", HeaderMap::new(), b"news".to_vec()).await.expect_err("not trusted");
    assert!(matches!(failure, Failure::Network(_)), "{failure:?}");
    assert!(format!("{failure:?}").contains("UnknownIssuer"), "{failure:?}");
}

#[test]
fn there_is_always_somebody_to_trust() {
    assert!(!trust::roots().is_empty());
}

#[test]
fn only_this_host_is_reached_without_a_proxy() {
    for (address, loopback) in [
        ("http://127.0.0.1:80/x", true),
        ("http://127.9.9.9/x", true),
        ("http://[::1]/x", true),
        ("http://localhost/x", true),
        ("https://hooks.slack.com/x", false),
        ("http://10.0.0.1/x", false),
        ("http://localhost.example/x", false),
    ] {
        assert_eq!(is_loopback(&Url::parse(address).expect("a URL")), loopback, "{address}");
    }
}

/// An HTTPS server that says yes to one request; its address and its certificate, which it signed itself.
async fn endpoint() -> (String, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("https://{}/hook", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        // The client that does not trust us ends the handshake.
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await {
            let mut request = vec![0; 4_096];
            let read = stream.read(&mut request).await.expect("a request");
            assert_ne!(read, 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.expect("an answer");
            stream.shutdown().await.expect("an end");
        }
    });
    (address, certificate)
}
