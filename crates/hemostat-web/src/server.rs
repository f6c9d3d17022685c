//! Connections: accepted, limited in number and patience, ended.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{Surface, pages};

/// Connections at a time: a scraper, a few probes and some people need ten. More wait in the system's queue.
const CONNECTIONS_MAX: usize = 64;
/// Longest wait for the head of a request, the first and, on an idle connection, the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest life of a connection: one whose client asks and does not read the answer must end as well.
const LIFE_MAX: Duration = Duration::from_secs(600);
/// Longest wait for an answer that is under way when its connection has to end; answers take milliseconds.
const DRAIN: Duration = Duration::from_millis(300);
/// Wait after a failed accept: usually the process has no file descriptor left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves `surface` on `listener` until `stop` is cancelled, then lets answers that are under way end.
///
/// # Errors
/// When the listener has no address. What goes wrong with a connection, or with accepting one, ends that connection at
/// most.
pub async fn serve(listener: TcpListener, surface: Surface, stop: CancellationToken) -> io::Result<()> {
    let address = listener.local_addr()?;
    let service = TowerToHyperService::new(pages::router(surface));
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let (service, stop) = (service.clone(), stop.clone());
                connections.spawn(async move {
                    converse(stream, service, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%address, %error, "cannot accept a connection");
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = sleep(ACCEPT_AGAIN) => {}
                }
            }
        }
    }
    // Nobody is let in any more.
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
    Ok(())
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        warn!(%error, "a connection's task failed");
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, service: TowerToHyperService<axum::Router>, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = over(&stop) => {
            connection.as_mut().graceful_shutdown();
            match timeout(DRAIN, connection).await {
                Ok(ended) => ended,
                Err(_elapsed) => return debug!("a connection was cut"),
            }
        }
    };
    if let Err(error) = ended {
        // Clients go away in the middle all the time.
        debug!(%error, "a connection ended early");
    }
}

/// Ends when a connection has to.
async fn over(stop: &CancellationToken) {
    let _either = timeout(LIFE_MAX, stop.cancelled()).await;
}
