//! Follows the engine's event stream across broken connections.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use hemostat_core::engine::EngineEvent;
use hemostat_event::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::containers::{Containers, EngineError};
use crate::telemetry::Telemetry;

/// What the follower hands on.
pub(super) enum Followed {
    /// Something happened.
    Event(EngineEvent),
    /// The stream had broken and is open again; the engine may have forgotten what happened meanwhile.
    Reconnected,
}

/// Starts to follow from now on. The engine forgets all but its last few hundred events, so after a break the
/// receiver has to reconcile by listing.
pub(super) fn spawn(
    engine: Arc<dyn Containers>,
    telemetry: Arc<Telemetry>,
    stop: CancellationToken,
) -> mpsc::Receiver<Followed> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        // Zero asks the engine for new events only.
        let mut since = Timestamp::EPOCH;
        let mut wait = RECONNECT_FIRST;
        while !stop.is_cancelled() {
            let mut events = engine.events(since);
            if since != Timestamp::EPOCH && sender.send(Followed::Reconnected).await.is_err() {
                return;
            }
            let broke = loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sender.closed() => return,
                    event = events.next() => match event {
                        Some(Ok(event)) if event.at <= since && since != Timestamp::EPOCH => {
                            // `since` includes its own moment: these were handed on before the break.
                        }
                        Some(Ok(event)) => {
                            since = event.at;
                            wait = RECONNECT_FIRST;
                            if sender.send(Followed::Event(event)).await.is_err() {
                                return;
                            }
                        }
                        Some(Err(error)) => break Some(error),
                        None => break None,
                    }
                }
            };
            let error = broke.unwrap_or(EngineError::Refused {
                operation: "stream events",
                message: "the stream ended".to_owned(),
            });
            telemetry.engine_failed("events", &error);
            let _stopped = tokio::time::timeout(wait, stop.cancelled()).await;
            wait = (wait * 2).min(RECONNECT_MAX);
        }
    });
    receiver
}

/// Events that may wait for the monitor; beyond this the engine waits.
const QUEUE: usize = 256;
/// First wait before the stream is opened again; doubled each time.
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
/// Longest wait before the stream is opened again.
const RECONNECT_MAX: Duration = Duration::from_secs(5);
