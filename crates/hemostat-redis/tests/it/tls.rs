//! TLS in both directions, users and passwords.

use hemostat_agent::log::{EventLog as _, LogError};
use hemostat_redis::testing::TestRedis;
use hemostat_redis::{Access, ConnectError, RedisLog, RedisSettings};
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::given::{INPUT, changes, join, take};
use hemostat_redis::testing::free_port;

#[tokio::test]
async fn the_log_works_over_tls_with_a_certificate_for_each_side() {
    let server = Server::start("yes").await;
    let access = Access { identity: Some(server.office.identity("agent")), ..server.access() };
    let log = server.open(&access).await.expect("both sides know each other");
    // Readers have connections of their own.
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 3)).await.expect("the log is there");
    let entries = take(reader.as_mut(), 3).await;
    assert!(entries.iter().all(|entry| entry.at.stream == INPUT));
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_refused() {
    let server = Server::start("no").await;
    server.open(&server.access()).await.expect("the authority vouches for it");
    let stranger = Access { authorities: Some(Office::new().authority()), ..Access::default() };
    for access in [stranger, Access::default()] {
        let Err(ConnectError::Log(LogError::Unavailable(error))) = server.open(&access).await else {
            panic!("an unknown server was trusted");
        };
        let told = format!("{error:?}").to_lowercase();
        assert!(told.contains("certificate"), "{told}");
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_where_one_is_wanted() {
    let server = Server::start("yes").await;
    assert!(matches!(server.open(&server.access()).await, Err(ConnectError::Log(_))));
}

#[tokio::test]
async fn certificates_that_cannot_be_read_or_are_of_no_use_are_told() {
    let server = Server::start("no").await;
    let broken = (b"no certificate".to_vec(), b"no key".to_vec());
    let access = Access { identity: Some(broken), ..server.access() };
    assert!(matches!(server.open(&access).await, Err(ConnectError::Certificates(_))));
    let redis = TestRedis::start().await.expect("a throw-away Redis");
    let plain = RedisLog::connect_with(settings(redis.url()), &server.access()).await;
    assert!(matches!(plain, Err(ConnectError::NotEncrypted)));
}

#[tokio::test]
async fn user_and_password_come_from_the_settings_where_the_url_has_none() {
    let redis = TestRedis::start().await.expect("a throw-away Redis");
    let words = ["ACL", "SETUSER", "agent", "on", ">open sesame", "~*", "+@all"];
    redis.command::<()>(&words).await.expect("Redis answers");
    redis.command::<()>(&["ACL", "SETUSER", "default", "off"]).await.expect("Redis answers");
    let user = |password: &str| Access {
        user: Some("agent".to_owned()),
        password: Some(password.to_owned()),
        ..Access::default()
    };
    let log = RedisLog::connect_with(settings(redis.url()), &user("open sesame")).await.expect("it may");
    log.append(&changes(0, 1)).await.expect("the log is there");
    for wrong in [user("sesame"), Access::default()] {
        let refused = RedisLog::connect_with(settings(redis.url()), &wrong).await;
        assert!(matches!(refused, Err(ConnectError::Log(LogError::Refused { .. }))));
    }
    assert!(!format!("{:?}", user("open sesame")).contains("sesame"));
}

/// A server that takes connections with TLS only.
struct Server {
    _redis: TestRedis,
    _files: TempDir,
    office: Office,
    port: u16,
}

impl Server {
    /// `clients` says whether they need a certificate.
    async fn start(clients: &str) -> Self {
        let (office, files, port) = (
            Office::new(),
            tempfile::tempdir().expect("a folder"),
            free_port().expect("the system has a free port"),
        );
        let (certificate, key) = office.identity("127.0.0.1");
        let write = |name: &str, bytes: &[u8]| {
            let path = files.path().join(name);
            std::fs::write(&path, bytes).expect("the folder can be written to");
            path.to_str().expect("a path in UTF-8").to_owned()
        };
        let (certificate, key) = (write("server.pem", &certificate), write("server.key", &key));
        let authority = write("ca.pem", &office.authority());
        let port_text = port.to_string();
        let redis = TestRedis::start_with(&[
            ("tls-port", &port_text),
            ("bind", "127.0.0.1"),
            ("tls-cert-file", &certificate),
            ("tls-key-file", &key),
            ("tls-ca-cert-file", &authority),
            ("tls-auth-clients", clients),
        ])
        .await
        .expect("a throw-away Redis");
        Self { _redis: redis, _files: files, office, port }
    }

    /// Trusts the server's own authority.
    fn access(&self) -> Access {
        Access { authorities: Some(self.office.authority()), ..Access::default() }
    }

    async fn open(&self, access: &Access) -> Result<RedisLog, ConnectError> {
        RedisLog::connect_with(settings(format!("rediss://127.0.0.1:{}", self.port)), access).await
    }
}

fn settings(url: String) -> RedisSettings {
    RedisSettings { url, namespace: "hemostat".to_owned(), partitions: None }
}

/// An authority that vouches for whoever asks.
struct Office {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Office {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate whose issuer has its own name for one that vouches for itself.
        params.distinguished_name.push(DnType::CommonName, "office");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn authority(&self) -> Vec<u8> {
        self.certificate.pem().into_bytes()
    }

    /// A certificate and its key.
    fn identity(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a valid name");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem().into_bytes(), key.serialize_pem().into_bytes())
    }
}
