//! The people: a webhook that counts what it is sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// Most bytes of a request.
const REQUEST_MAX: usize = 1 << 20;

/// A webhook on a port of its own.
pub(super) struct Channel {
    url: String,
    deliveries: Deliveries,
    _server: AbortOnDropHandle<()>,
}

/// How often each message came, by its id.
type Deliveries = Arc<Mutex<BTreeMap<String, usize>>>;

impl Channel {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let deliveries = Deliveries::default();
        let counted = Arc::clone(&deliveries);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    // A sender that is killed in the middle is what this is about.
                    let _cut_off = answer(stream, &counted).await;
                });
            }
        });
        Self { url, deliveries, _server: AbortOnDropHandle::new(server) }
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// How often each message came, by its id.
    pub(super) fn deliveries(&self) -> BTreeMap<String, usize> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads one request, counts it and says that it was taken.
async fn answer(mut stream: TcpStream, counted: &Deliveries) -> std::io::Result<()> {
    let mut request = Vec::new();
    let head = loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        read_more(&mut stream, &mut request).await?;
    };
    let text = String::from_utf8_lossy(&request[..head]).into_owned();
    let header = |wanted: &str| {
        let named = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        };
        text.lines().find_map(named)
    };
    let body: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while request.len() < head + body {
        read_more(&mut stream, &mut request).await?;
    }
    let id = header("webhook-id").unwrap_or_else(|| "a request without an id".to_owned());
    *counted.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default() += 1;
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await
}

async fn read_more(stream: &mut TcpStream, request: &mut Vec<u8>) -> std::io::Result<()> {
    if stream.read_buf(request).await? == 0 || REQUEST_MAX < request.len() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}
