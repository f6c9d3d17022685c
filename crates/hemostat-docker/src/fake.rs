//! An engine of a few canned answers on a socket of its own, for what a real engine cannot be made to do.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::{DockerEngine, EngineSettings};

/// Time limit of a request to the fake: long for a machine under load, short for a test that waits for it.
pub(crate) const LIMIT: Duration = Duration::from_millis(500);

/// What the fake does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// An answer with this status and body.
    Whole(u16, String),
    /// A good answer that comes in pieces and ends as an answer should.
    Pieces(Vec<Vec<u8>>),
    /// A good answer of which these pieces come before the connection breaks.
    Broken(Vec<Vec<u8>>),
    /// No answer ever.
    Silence,
}

/// A good answer.
pub(crate) fn ok(body: impl Into<String>) -> Reply {
    Reply::Whole(200, body.into())
}

/// What an engine says of itself.
pub(crate) fn version(api: &str, api_min: &str) -> Reply {
    ok(format!(r#"{{"Version":"1.0","ApiVersion":"{api}","MinAPIVersion":"{api_min}"}}"#))
}

/// A fake engine; it ends with the value.
#[derive(Debug)]
pub(crate) struct FakeEngine {
    folder: TempDir,
    asked: Arc<Mutex<Vec<String>>>,
    listening: JoinHandle<()>,
}

impl FakeEngine {
    /// Starts one that answers a request for path and query with `reply`.
    pub(crate) fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let folder = TempDir::new().expect("a folder for the socket");
        let listener = UnixListener::bind(folder.path().join("engine.sock")).expect("a socket to listen on");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let journal = Arc::clone(&asked);
        let reply = Arc::new(reply);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _peer)) = listener.accept().await {
                let (reply, journal) = (Arc::clone(&reply), Arc::clone(&journal));
                tokio::spawn(async move {
                    let Some(target) = request(stream, &*reply, &journal).await else { return };
                    tracing::debug!(target, "answered");
                });
            }
        });
        Self { folder, asked, listening }
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }

    /// Its address as in `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// A client of it.
    pub(crate) fn client(&self) -> DockerEngine {
        let settings =
            EngineSettings { host: Some(self.host()), timeout: LIMIT, ..EngineSettings::default() };
        DockerEngine::connect(settings).expect("the address is one")
    }

    /// Paths and queries that were asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Reads one request and answers it; every connection serves one.
async fn request(
    mut stream: UnixStream,
    reply: &(dyn Fn(&str) -> Reply + Send + Sync),
    journal: &Mutex<Vec<String>>,
) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1)?.to_owned();
    let reply = {
        journal.lock().unwrap_or_else(PoisonError::into_inner).push(target.clone());
        reply(&target)
    };
    match reply {
        Reply::Whole(status, body) => {
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all((head + &body).as_bytes()).await.ok()?;
        }
        Reply::Pieces(pieces) => {
            send(&mut stream, pieces).await?;
            stream.write_all(b"0\r\n\r\n").await.ok()?;
        }
        Reply::Broken(pieces) => send(&mut stream, pieces).await?,
        // The client gives up and closes.
        Reply::Silence => drop(stream.read_buf(&mut Vec::new()).await),
    }
    Some(target)
}

async fn send(stream: &mut UnixStream, pieces: Vec<Vec<u8>>) -> Option<()> {
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .ok()?;
    for piece in pieces {
        let chunk = [format!("{:x}\r\n", piece.len()).into_bytes(), piece, b"\r\n".to_vec()].concat();
        stream.write_all(&chunk).await.ok()?;
        stream.flush().await.ok()?;
        // Lets the client read it by itself.
        tokio::task::yield_now().await;
    }
    Some(())
}
