//! A server that speaks as much of the S3 protocol as an archive uses, over real HTTP.
//!
//! It shows that the requests are right: addresses, conditions, pages, error bodies. It does not check signatures, and
//! nothing is told by it about the consistency of a provider.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use hemostat_archive::{Archive, ArchiveError, Place};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Names that an answer to a listing has at most: few, so that every listing of an archive has pages.
const PAGE: usize = 3;

/// The key that may do everything.
pub(crate) const OWNER: &str = "owner";
/// The key that may do nothing.
pub(crate) const STRANGER: &str = "stranger";

/// A bucket named `bucket`, gone with the test.
pub(crate) struct Bucket {
    pub(crate) endpoint: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    /// By their names, with the time at which each was written.
    objects: Mutex<BTreeMap<String, (Bytes, DateTime<Utc>)>>,
    /// Whether `If-None-Match` is ignored, as older servers do.
    writes_over: bool,
    requests: Mutex<Vec<String>>,
}

impl Bucket {
    pub(crate) async fn start() -> Self {
        Self::serve(Shared::default()).await
    }

    /// One that ignores conditions.
    pub(crate) async fn that_writes_over() -> Self {
        Self::serve(Shared { writes_over: true, ..Shared::default() }).await
    }

    async fn serve(shared: Shared) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(shared);
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { endpoint, shared, server }
    }

    /// The archive in the folder `folder` of it.
    pub(crate) fn open(&self, folder: &str) -> Archive {
        open(&format!("s3://bucket/{folder}"), &self.endpoint, OWNER).expect("it opens")
    }

    /// The names of all objects.
    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.shared.objects).keys().cloned().collect()
    }

    /// The requests since the last time: method and key.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.shared.requests))
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// An archive by its URL, at a server, for a key.
pub(crate) fn open(url: &str, endpoint: &str, key: &str) -> Result<Archive, ArchiveError> {
    let place: Place = url.parse().expect("a place");
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    Archive::open_with(&place, variables.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let signed = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !signed.starts_with(&format!("AWS4-HMAC-SHA256 Credential={OWNER}/")) {
        return error(StatusCode::FORBIDDEN, "AccessDenied");
    }
    if bucket != "bucket" {
        return error(StatusCode::NOT_FOUND, "NoSuchBucket");
    }
    lock(&shared.requests).push(format!("{method} {key}"));
    let mut objects = lock(&shared.objects);
    let condition = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match method {
        Method::GET if query.contains_key("list-type") => list(&objects, &query),
        Method::GET | Method::HEAD => match objects.get(key) {
            Some((bytes, written)) => {
                let headers = [(header::ETAG, etag(bytes)), (header::LAST_MODIFIED, written.to_rfc2822())];
                (headers, bytes.clone()).into_response()
            }
            None => error(StatusCode::NOT_FOUND, "NoSuchKey"),
        },
        Method::PUT => {
            let there = objects.get(key);
            let is_taken =
                condition(header::IF_NONE_MATCH) == Some("*") && there.is_some() && !shared.writes_over;
            let is_other = condition(header::IF_MATCH)
                .is_some_and(|tag| there.map(|(bytes, _)| etag(bytes)).as_deref() != Some(tag));
            if is_taken || is_other {
                return error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
            }
            let tag = etag(&body);
            objects.insert(key.to_owned(), (body, SystemTime::now().into()));
            [(header::ETAG, tag)].into_response()
        }
        Method::DELETE => {
            objects.remove(key);
            StatusCode::NO_CONTENT.into_response()
        }
        Method::POST if query.contains_key("delete") => {
            let asked = String::from_utf8_lossy(&body).into_owned();
            let keys = asked.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
            let gone = keys.map(|(key, _)| {
                objects.remove(key);
                format!("<Deleted><Key>{key}</Key></Deleted>")
            });
            format!("<DeleteResult>{}</DeleteResult>", gone.collect::<String>()).into_response()
        }
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
    }
}

fn list(objects: &BTreeMap<String, (Bytes, DateTime<Utc>)>, query: &BTreeMap<String, String>) -> Response {
    let asked = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let (prefix, delimiter) = (asked("prefix"), asked("delimiter"));
    let after = asked("start-after").max(asked("continuation-token"));
    let (mut contents, mut folders, mut last, mut rest) = (String::new(), BTreeSet::new(), None, false);
    for (count, (key, (bytes, written))) in
        objects.iter().filter(|(key, _)| key.starts_with(prefix) && after < key.as_str()).enumerate()
    {
        if count == PAGE {
            rest = true;
            break;
        }
        last = Some(key.clone());
        match key[prefix.len()..].split_once(delimiter).filter(|_| !delimiter.is_empty()) {
            Some((folder, _)) => {
                folders
                    .insert(format!("<CommonPrefixes><Prefix>{prefix}{folder}/</Prefix></CommonPrefixes>"));
            }
            None => {
                let (size, tag) = (bytes.len(), etag(bytes));
                let written = written.to_rfc3339_opts(SecondsFormat::Millis, true);
                contents += &format!(
                    "<Contents><Key>{key}</Key><LastModified>{written}</LastModified>\
                     <ETag>{tag}</ETag><Size>{size}</Size></Contents>"
                );
            }
        }
    }
    let next =
        last.filter(|_| rest).map(|last| format!("<NextContinuationToken>{last}</NextContinuationToken>"));
    let folders: String = folders.into_iter().collect();
    let next = next.unwrap_or_default();
    format!("<ListBucketResult><IsTruncated>{rest}</IsTruncated>{contents}{folders}{next}</ListBucketResult>")
        .into_response()
}

fn etag(bytes: &Bytes) -> String {
    format!("\"{}\"", &hemostat_archive::Digest::of(bytes).to_string()[..32])
}

fn error(status: StatusCode, code: &str) -> Response {
    (status, format!("<Error><Code>{code}</Code><Message>refused</Message></Error>")).into_response()
}
