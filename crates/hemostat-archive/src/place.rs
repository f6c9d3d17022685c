//! Where an archive can be: a folder of this machine, or a bucket at a provider, with what the provider wants to know
//! from the environment.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreScheme, RetryConfig};
use reqwest::Url;

use crate::http::Connector;

#[cfg(test)]
mod tests;

/// Where an archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket (Azure: a container), and the folder in it.
    Bucket(Bucket),
}

/// A bucket, by its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket(Url, Provider);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provider {
    S3,
    Gcs,
    Azure,
}

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a place for an archive; a folder is, as a path or as file:///…, and a bucket as s3://…, gs://… or az://…"
)]
pub struct PlaceError(String);

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let refused = || PlaceError(text.to_owned());
        match text.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Folder(path.into())),
            None if !text.is_empty() => Ok(Self::Folder(text.into())),
            Some((scheme, _)) => {
                let provider = match scheme {
                    "s3" => Provider::S3,
                    "gs" => Provider::Gcs,
                    "az" => Provider::Azure,
                    _ => return Err(refused()),
                };
                let url = Url::parse(text).map_err(|_not_a_url| refused())?;
                // Credentials come from the environment: a URL is logged and shown.
                let is_plain = url.password().is_none() && url.query().is_none() && url.fragment().is_none();
                if !is_plain || ObjectStoreScheme::parse(&url).is_err() {
                    return Err(refused());
                }
                Ok(Self::Bucket(Bucket(url, provider)))
            }
            None => Err(refused()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Bucket(Bucket(url, _)) => f.write_str(url.as_str()),
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Place {
    /// Whether something may be there. A folder that does not exist would be made when it is opened.
    #[must_use]
    pub fn may_exist(&self) -> bool {
        match self {
            Self::Folder(folder) => folder.is_dir(),
            Self::Bucket(_) => true,
        }
    }

    /// The store that is there, with the credentials in `variables`. Nothing is sent yet.
    pub(crate) fn store(
        &self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Arc<dyn ObjectStore>, BoxError> {
        match self {
            Self::Folder(folder) => {
                std::fs::create_dir_all(folder)?;
                Ok(Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true)))
            }
            Self::Bucket(bucket) => bucket.store(variables),
        }
    }
}

impl Bucket {
    fn store(
        &self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Arc<dyn ObjectStore>, BoxError> {
        let Self(url, provider) = self;
        let (_scheme, prefix) = ObjectStoreScheme::parse(url)?;
        Ok(match provider {
            Provider::S3 => {
                let builder = AmazonS3Builder::new().with_url(url.as_str());
                let builder = configured(builder, "AWS_", variables, AmazonS3Builder::with_config);
                let metadata = builder.get_config_value(&AmazonS3ConfigKey::MetadataEndpoint);
                let builder = builder
                    // S-2: `If-None-Match: *`, whatever the environment says.
                    .with_conditional_put(S3ConditionalPut::ETagMatch)
                    .with_retry(patience())
                    .with_http_connector(Connector { metadata });
                Arc::new(PrefixStore::new(builder.build()?, prefix))
            }
            Provider::Gcs => {
                let builder = GoogleCloudStorageBuilder::new().with_url(url.as_str());
                let builder =
                    configured(builder, "GOOGLE_", variables, GoogleCloudStorageBuilder::with_config)
                        .with_retry(patience())
                        .with_http_connector(Connector::default());
                Arc::new(PrefixStore::new(builder.build()?, prefix))
            }
            Provider::Azure => {
                let builder = MicrosoftAzureBuilder::new().with_url(url.as_str());
                let builder = configured(builder, "AZURE_", variables, MicrosoftAzureBuilder::with_config)
                    .with_retry(patience())
                    .with_http_connector(Connector::default());
                Arc::new(PrefixStore::new(builder.build()?, prefix))
            }
        })
    }
}

/// Hands a builder every variable that is a setting of its provider.
fn configured<B, K: FromStr>(
    builder: B,
    family: &str,
    variables: impl IntoIterator<Item = (String, String)>,
    with: impl Fn(B, K, String) -> B,
) -> B {
    variables.into_iter().filter(|(name, _)| name.starts_with(family)).fold(
        builder,
        |builder, (name, value)| match name.to_ascii_lowercase().parse() {
            Ok(key) => with(builder, key, value),
            Err(_other) => builder,
        },
    )
}

/// How long a request is repeated before its failure is told: the archiver repeats on its own, and says meanwhile what
/// it waits for.
fn patience() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: 3, retry_timeout: Duration::from_secs(20) }
}
