//! What can go wrong with an archive, and what to do about it.

use std::error::Error as _;

use object_store::client::{HttpError, HttpErrorKind};

use crate::head::HeadError;
use crate::http::NoCredentials;
use crate::object::ObjectError;
use crate::place::Place;

/// A request to an archive that failed.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The folder cannot be made or opened, or the settings of the store do not fit.
    #[error("cannot open the archive in `{place}`")]
    Place {
        /// Where it should be.
        place: Place,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store does not answer, or refuses.
    #[error("the store of the archive fails{}", advice(_0))]
    Store(#[from] object_store::Error),
    /// The store writes over what is there although it was asked not to.
    #[error(
        "the store of the archive writes over what is there although it was asked not to (`If-None-Match: *`): two \
         archivers could both make a segment; use a store that keeps to it"
    )]
    WritesOver,
    /// A head is not one that was sealed.
    #[error("`{name}` was changed")]
    Head {
        /// The name of the file.
        name: String,
        /// How that is known.
        #[source]
        source: HeadError,
    },
    /// An object is not the one that was sealed.
    #[error("`{0}` is not what was sealed: its digest is another")]
    Changed(String),
    /// An object cannot be read.
    #[error("`{name}` cannot be read")]
    Object {
        /// The name of the object.
        name: String,
        /// Why not.
        #[source]
        source: ObjectError,
    },
}

/// What to do about a store that fails; empty where its own words have to do.
fn advice(error: &object_store::Error) -> &'static str {
    // A listing that fails has a kind of its own for no reason; what the server said is in its text only.
    let said = error.to_string();
    let is = |status: &str| said.contains(&format!("status code: {status}"));
    match error {
        _ if has_no_credentials(error) => {
            ": it wants credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (S3), GOOGLE_SERVICE_ACCOUNT (GCS) \
             or AZURE_STORAGE_ACCOUNT_KEY (Azure)"
        }
        object_store::Error::PermissionDenied { .. } => DENIED,
        object_store::Error::Unauthenticated { .. } => UNKNOWN,
        _ if is("403") => DENIED,
        _ if is("401") => UNKNOWN,
        _ if NO_BUCKET.iter().any(|word| said.contains(word)) => {
            ": there is no such bucket; make it, or name another one"
        }
        object_store::Error::NotFound { .. } => {
            ": it does not have what should be there; is it the right bucket and folder?"
        }
        _ if is_unreachable(error) => {
            ": it cannot be reached; check the network, the name, and the endpoint (AWS_ENDPOINT_URL)"
        }
        _ => "",
    }
}

const DENIED: &str =
    ": access is denied; check the credentials, and that they may list, read and write there";
const UNKNOWN: &str = ": the credentials are missing, wrong or out of date";
/// How S3, Azure and GCS call a bucket that is not there.
const NO_BUCKET: [&str; 3] = ["NoSuchBucket", "ContainerNotFound", "bucket does not exist"];

fn has_no_credentials(error: &object_store::Error) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<HttpError>())
        .any(|failed| failed.source().is_some_and(<dyn std::error::Error>::is::<NoCredentials>))
}

fn is_unreachable(error: &object_store::Error) -> bool {
    let mut failed = causes(error).filter_map(|cause| cause.downcast_ref::<HttpError>());
    failed.any(|failed| matches!(failed.kind(), HttpErrorKind::Connect | HttpErrorKind::Timeout))
}

fn causes(error: &object_store::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn std::error::Error + 'static)| (*cause).source())
}
