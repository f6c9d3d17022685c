//! A local HTTP server that remembers what it was sent, and a message to send.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, Uri};
use hemostat_core::notify::Message;
use hemostat_event::{
    Action, ContainerId, ContainerRef, DeadLetter, Envelope, Event, EventId, HostName, IncidentId,
    NotificationKind, Outcome, RemediationComplete, Role, Severity, Source, Subject, Timestamp, TraceParent,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().expect("text")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// A server that gives every request the same answer.
    pub(crate) async fn answering(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        Self::answering_in_turn(&[status], headers, body).await
    }

    /// A server whose answers differ in their status; the last one is given for ever.
    pub(crate) async fn answering_in_turn(statuses: &[u16], headers: &[(&str, &str)], body: &str) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let statuses = statuses.to_vec();
        let seen = Arc::clone(&requests);
        let headers: Vec<_> =
            headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let body = body.to_owned();
        let answer = move |method: Method, uri: Uri, sent: HeaderMap, bytes: Bytes| {
            let mut seen = seen.lock().expect("nobody panics");
            let status = statuses[seen.len().min(statuses.len() - 1)];
            seen.push(Request { method, uri, headers: sent, body: bytes });
            let mut answer = Response::builder().status(status);
            for (name, value) in &headers {
                answer = answer.header(name, value);
            }
            let answer = answer.body(Body::from(body.clone())).expect("an answer");
            async move { answer }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            axum::serve(listener, Router::new().fallback(answer)).await.expect("serves for ever");
        });
        Self { address, requests, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("nobody panics").clone()
    }

    /// The one request that came.
    pub(crate) fn request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address of this host at which nobody listens.
pub(crate) fn nobody(path: &str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    format!("http://{address}{path}")
}

/// A message about a restart.
pub(crate) fn message() -> Message {
    let complete = RemediationComplete {
        container: ContainerRef {
            id: ContainerId::new("ab".repeat(32)).expect("an id"),
            name: "web".into(),
            image: "nginx".into(),
            project: Some("shop".into()),
            service: None,
        },
        plan: id(),
        action: Action::Restart { stop_timeout_secs: None },
        outcome: Outcome::Success,
        dry_run: false,
        duration_ms: Some(1_400),
        run_started_at: None,
        reason: "exit code 1".into(),
        confidence: 0.88,
    };
    Message {
        id: id(),
        kind: NotificationKind::Remediated,
        severity: Severity::Warning,
        title: "web was restarted".into(),
        text: "Exit code 1. Whether it helped is checked next.".into(),
        fields: vec![("Container".into(), "web".into()), ("Host".into(), "h1".into())],
        event: Event { envelope: envelope(), data: complete.into() },
    }
}

/// A message about an event that is too large to be carried along.
pub(crate) fn large_message() -> Message {
    let letter = DeadLetter {
        stream: "health_alert".into(),
        entry: "1-0".into(),
        group: Role::Analyzer,
        event: None,
        incident: None,
        errors: vec!["not an event".into()],
        attempts: 1,
        original: BTreeMap::from([("event".to_owned(), "f".repeat(300_000))]),
    };
    let event =
        Event { envelope: Envelope { subject: None, incident: None, ..envelope() }, data: letter.into() };
    Message { kind: NotificationKind::DeadLetter, event, ..message() }
}

fn id() -> EventId {
    EventId::observed(&subject(), Role::Responder, at(), 0)
}

fn at() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

fn subject() -> Subject {
    Subject::new(&HostName::new("h1").expect("a host"), "web").expect("a subject")
}

fn envelope() -> Envelope {
    Envelope {
        id: id(),
        source: Source { role: Role::Responder, instance: "r1".into() },
        time: at(),
        host: HostName::new("h1").expect("a host"),
        subject: Some(subject()),
        incident: Some(IncidentId::opened(&subject(), at())),
        cause: None,
        traceparent: Some(
            TraceParent::new("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("a trace"),
        ),
    }
}
