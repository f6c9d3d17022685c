//! How buckets are spoken to: HTTP/1.1 with the client and the TLS that the rest of HemoStat uses.
//!
//! A request has a limit on its silence, none on its length: a segment takes as long as the line is slow.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use object_store::client::{
    ClientConfigKey, ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest,
    HttpResponse, HttpService,
};
use reqwest::{Body, Client, Request, Url, redirect};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

/// Longest time until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest silence of a server.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest wait for the service that gives a virtual machine its credentials: it is on the machine's own host.
const METADATA: Duration = Duration::from_secs(2);
/// The slowest line a segment is written over, in bytes per second.
const BYTES_PER_SECOND_MIN: usize = 256 << 10;

/// Makes the client of a store.
#[derive(Debug, Default)]
pub(crate) struct Connector {
    /// Where a virtual machine is given its credentials, where that is elsewhere than usual.
    pub(crate) metadata: Option<String>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let may_be_plain = options.get_config_value(&ClientConfigKey::AllowHttp);
        let refuse = |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic {
            store: "HTTP",
            source,
        };
        let tls = tls().map_err(|error| refuse(error.into()))?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(may_be_plain.as_deref() != Some("true"))
            // A signature is for one address.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .user_agent(concat!("hemostat/", env!("CARGO_PKG_VERSION")))
            .build();
        let client = client.map_err(|error| refuse(error.into()))?;
        Ok(HttpClient::new(Caller { client, metadata: self.metadata.clone() }))
    }
}

/// No credentials were given, and there is no machine that gives them.
#[derive(Debug, thiserror::Error)]
#[error(
    "no credentials are in the environment, and the metadata service of a virtual machine does not answer"
)]
pub(crate) struct NoCredentials;

#[derive(Debug)]
struct Caller {
    client: Client,
    metadata: Option<String>,
}

impl Caller {
    /// Whether it is one of the addresses at which a cloud gives its machines and containers their credentials.
    fn is_metadata(&self, url: &Url) -> bool {
        let is_usual = |host: &str| host.starts_with("169.254.") || host == "metadata.google.internal";
        url.host_str().is_some_and(is_usual)
            || self.metadata.as_ref().is_some_and(|metadata| url.as_str().starts_with(metadata))
    }
}

#[async_trait]
impl HttpService for Caller {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let url: Url =
            parts.uri.to_string().parse().map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let is_metadata = self.is_metadata(&url);
        let length = body.content_length();
        let mut request = Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        *request.body_mut() = Some(Body::wrap(body));
        let limit = SILENCE + Duration::from_secs((length / BYTES_PER_SECOND_MIN) as u64);
        let limit = if is_metadata { METADATA } else { limit };
        let answer = match timeout(limit, self.client.execute(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(told(error)),
            Err(_elapsed) => Err(silent(limit)),
        };
        let mut answer = match answer {
            // To ask again would only take longer: it is next door or it is not there.
            Err(_) if is_metadata => return Err(no_credentials()),
            Ok(answer) if is_metadata && !answer.status().is_success() => return Err(no_credentials()),
            answer => answer?,
        };
        let mut bytes = BytesMut::with_capacity(answer.content_length().unwrap_or(0).min(64 << 20) as usize);
        loop {
            match timeout(SILENCE, answer.chunk()).await {
                Ok(Ok(Some(chunk))) => bytes.extend_from_slice(&chunk),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return Err(told(error)),
                Err(_elapsed) => return Err(silent(SILENCE)),
            }
        }
        let mut response = HttpResponse::new(bytes.freeze().into());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

/// What failed, in the words by which the store decides whether to ask again. Without the URL, which it adds itself.
fn told(error: reqwest::Error) -> HttpError {
    let kind = match &error {
        error if error.is_connect() => HttpErrorKind::Connect,
        error if error.is_timeout() => HttpErrorKind::Timeout,
        error if error.is_builder() => HttpErrorKind::Unknown,
        _ => HttpErrorKind::Interrupted,
    };
    HttpError::new(kind, error.without_url())
}

fn no_credentials() -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, NoCredentials)
}

fn silent(limit: Duration) -> HttpError {
    let error = io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()));
    HttpError::new(HttpErrorKind::Timeout, error)
}

/// TLS that trusts the host's store where there is one, else Mozilla's roots: an image made `FROM scratch` has no store.
fn tls() -> Result<ClientConfig, rustls::Error> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let (usable, _ignored) =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if usable == 0 {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Arc::new(roots)
    });
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(Arc::clone(roots)).with_no_client_auth())
}
