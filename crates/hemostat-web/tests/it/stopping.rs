//! W-1 and W-2: it ends when it is told to, and clients end when they must.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::running::Running;

/// Far more than anything here needs; what must be fast is asserted on its own.
const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn it_stops_at_once_although_clients_hold_their_connections() {
    let running = Running::start().await;
    let mut idle = running.connect().await;
    ask_and_keep(&mut idle).await;
    // Half a request.
    let mut slow = running.connect().await;
    slow.write_all(b"GET /metrics HTTP/1.1\r\nhost: te").await.expect("sent");
    // Nothing at all.
    let mut silent = running.connect().await;
    // Once somebody who came later has been answered, all of them have been let in.
    assert_eq!(running.get("/livez").await.status, 200);

    let before = Instant::now();
    running.stop.cancel();
    timeout(LIMIT, running.task).await.expect("it ends").expect("no panic").expect("no error");
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());

    for stream in [&mut idle, &mut slow, &mut silent] {
        assert!(is_closed(stream).await);
    }
    assert!(TcpStream::connect(running.address).await.is_err(), "nobody is let in any more");
}

#[tokio::test]
async fn it_stops_at_once_when_nobody_is_there() {
    let running = Running::start().await;
    let before = Instant::now();
    running.stop.cancel();
    timeout(LIMIT, running.task).await.expect("it ends").expect("no panic").expect("no error");
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let running = Running::start().await;
    let mut stream = running.connect().await;
    for _request in 0..3 {
        ask_and_keep(&mut stream).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_ends_its_request_is_cut_off() {
    let running = Running::start().await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: te").await.expect("sent");
    let before = tokio::time::Instant::now();
    assert!(timeout(LIMIT, is_closed(&mut stream)).await.expect("cut off"));
    assert!(Duration::from_secs(9) < before.elapsed(), "{:?}", before.elapsed());
    running.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_nothing_more_is_cut_off() {
    let running = Running::start().await;
    let mut stream = running.connect().await;
    ask_and_keep(&mut stream).await;
    assert!(timeout(LIMIT, is_closed(&mut stream)).await.expect("cut off"));
    running.stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_and_does_not_read_is_cut_off() {
    let running = Running::start().await;
    let (ours, mut theirs) = running.connect().await.into_split();
    // It asks until the answers fill all buffers and the server stops reading.
    let before = tokio::time::Instant::now();
    let asked = async { while theirs.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.is_ok() {} };
    timeout(Duration::from_secs(700), asked).await.expect("cut off");
    let after = before.elapsed();
    assert!((Duration::from_secs(600)..Duration::from_secs(610)).contains(&after), "{after:?}");
    drop(ours);
    running.stop.cancel();
}

#[tokio::test]
async fn who_does_not_fit_waits_and_is_served_when_there_is_room() {
    let running = Running::start().await;
    let mut holding = Vec::new();
    for _connection in 0..64 {
        let mut stream = running.connect().await;
        ask_and_keep(&mut stream).await;
        holding.push(stream);
    }
    let mut waiting = running.connect().await;
    waiting.write_all(b"GET /livez HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    let early = timeout(Duration::from_millis(100), waiting.read_to_string(&mut answer)).await;
    assert!(early.is_err(), "it was let in: {answer}");
    holding.pop();
    timeout(LIMIT, waiting.read_to_string(&mut answer)).await.expect("let in").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn what_is_not_http_ends_its_own_connection_only() {
    let running = Running::start().await;
    let mut stream = running.connect().await;
    stream.write_all(b"\x16\x03\x01\x02\x00 hello\r\n\r\n").await.expect("sent");
    assert!(timeout(LIMIT, is_closed(&mut stream)).await.expect("closed"));
    assert_eq!(running.get("/livez").await.status, 200);
}

/// Asks for a page and leaves the connection open.
async fn ask_and_keep(stream: &mut TcpStream) {
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nhealthy\n") {
        let mut bytes = [0; 512];
        let read = stream.read(&mut bytes).await.expect("an answer");
        assert_ne!(read, 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&bytes[..read]);
    }
}

/// Reads to the end. A connection may also end with a reset, when bytes of ours were left unread.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest).await {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}
