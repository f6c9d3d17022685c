//! One address and the client that posts to it.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use hemostat_agent::log::BoxError;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Response, Url, redirect};

use crate::failure::{Failure, retry_after};
use crate::trust;

/// A channel that cannot be set up as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address is not a URL.
    #[error("the address is not a URL")]
    Address(#[source] BoxError),
    /// The address is a URL of another kind.
    #[error("the address must begin with http:// or https:// and name a host")]
    Scheme,
    /// The signing key cannot be used.
    #[error("the signing key must not be empty, and what follows `whsec_` must be base64")]
    Key,
    /// The client cannot be made.
    #[error("failed to set up the HTTP client")]
    Client(#[source] BoxError),
}

/// Longest time from the first packet to the end of the answer. A receiver that needs longer has to put the message
/// aside first; Slack and the usual webhook receivers ask for 3 to 15 s themselves.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are looked at.
const ANSWER_MAX: usize = 256;

/// Posts to one address.
pub(crate) struct Client {
    http: reqwest::Client,
    address: Url,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.address.host_str()).finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(address: &str) -> Result<Self, SetupError> {
        Self::trusting(address, trust::roots())
    }

    pub(crate) fn trusting(address: &str, roots: rustls::RootCertStore) -> Result<Self, SetupError> {
        let address = Url::parse(address).map_err(|error| SetupError::Address(error.into()))?;
        if !matches!(address.scheme(), "http" | "https") || !address.has_host() {
            return Err(SetupError::Scheme);
        }
        let tls = trust::config(roots).map_err(|error| SetupError::Client(error.into()))?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT)
            .user_agent(concat!("hemostat/", env!("CARGO_PKG_VERSION")));
        // A proxy is for what is outside.
        if is_loopback(&address) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| SetupError::Client(error.without_url().into()))?;
        Ok(Self { http, address })
    }

    /// Posts once.
    pub(crate) async fn post(
        &self,
        content_type: &'static str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<(), Failure> {
        let request = self.http.post(self.address.clone()).headers(headers);
        let request = request.header(CONTENT_TYPE, HeaderValue::from_static(content_type)).body(body);
        let answer = request.send().await.map_err(Failure::of)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        if status.is_redirection() {
            return Err(Failure::Redirect { status });
        }
        let after = retry_after(answer.headers(), SystemTime::now());
        let word = self.word(answer).await;
        Err(Failure::Answer { status, word, after })
    }

    /// The single word with which Slack and others say what is wrong. Anything longer may repeat the address.
    async fn word(&self, mut answer: Response) -> Option<String> {
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            bytes.extend_from_slice(&chunk);
            if ANSWER_MAX < bytes.len() {
                return None;
            }
        }
        let word = str::from_utf8(&bytes).ok()?.trim();
        let plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let known = self.address.as_str().contains(word);
        (plain && !known).then(|| word.to_owned())
    }
}

fn is_loopback(address: &Url) -> bool {
    let Some(host) = address.host_str() else { return false };
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
