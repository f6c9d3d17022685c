//! A running server, and a client that shows every byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hemostat_agent::health::{HealthSource, PartReport, Report};
use hemostat_web::{Surface, VersionInfo, serve};
use prometheus::{IntCounter, Registry};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A report that the test sets.
pub(crate) struct Board(Mutex<Report>);

impl Board {
    pub(crate) fn set(&self, report: Report) {
        *self.0.lock().expect("nobody panics") = report;
    }
}

impl HealthSource for Board {
    fn report(&self) -> Report {
        self.0.lock().expect("nobody panics").clone()
    }
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) board: Arc<Board>,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub(crate) async fn start() -> Self {
        let registry = Registry::new();
        let counter = IntCounter::new("hemostat_things_total", "Things.").expect("a counter");
        counter.inc_by(3);
        registry.register(Box::new(counter)).expect("registered");
        let board =
            Arc::new(Board(Mutex::new(report(&[part("monitor", true, true, "watching 3 containers")]))));
        let surface = Surface {
            registry,
            exporter: None,
            health: Arc::clone(&board) as _,
            version: VersionInfo::new("hemostat", "1.2.3"),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, surface, stop.clone()));
        Self { address, board, stop, task }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str) -> Answer {
        let mut stream = self.connect().await;
        let request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer");
        Answer::read(&text)
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not HTTP: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }
}

pub(crate) fn report(parts: &[PartReport]) -> Report {
    Report {
        live: parts.iter().all(|part| part.live),
        ready: !parts.is_empty() && parts.iter().all(|part| part.ready),
        parts: parts.to_vec(),
    }
}

pub(crate) fn part(name: &str, live: bool, ready: bool, detail: &str) -> PartReport {
    let ticked_ms_ago = if live { 120 } else { 95_300 };
    PartReport { name: name.to_owned(), live, ready, detail: detail.to_owned(), ticked_ms_ago }
}
