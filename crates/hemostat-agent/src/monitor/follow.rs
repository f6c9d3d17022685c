//! Follows the engine's event stream across broken connections.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use hemostat_core::engine::EngineEvent;
use hemostat_event::Timestamp;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::containers::{Containers, EngineError};
use crate::telemetry::Telemetry;

/// What the follower hands on.
#[derive(Debug, PartialEq)]
pub(super) enum Followed {
    /// Something happened.
    Event(EngineEvent),
    /// The stream had broken and is opened again; the engine may have forgotten what happened meanwhile.
    Reconnected,
}

/// Follows from `since` on, until the handle is dropped. The engine forgets all but its last few hundred events, so
/// after a break the receiver has to reconcile by listing.
pub(super) fn spawn(
    engine: Arc<dyn Containers>,
    telemetry: Arc<Telemetry>,
    since: Timestamp,
) -> (mpsc::Receiver<Followed>, AbortOnDropHandle<()>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let follower = Follower { engine, telemetry, sender, since, handed_on: Vec::new() };
    (receiver, AbortOnDropHandle::new(tokio::spawn(follower.run())))
}

struct Follower {
    engine: Arc<dyn Containers>,
    telemetry: Arc<Telemetry>,
    sender: mpsc::Sender<Followed>,
    /// Time of the latest event that was handed on.
    since: Timestamp,
    /// The events of that moment: a stream that is opened again repeats them.
    handed_on: Vec<EngineEvent>,
}

impl Follower {
    /// Follows until nobody listens.
    async fn run(mut self) {
        let mut wait = RECONNECT_FIRST;
        loop {
            let since = self.since;
            let Some(error) = self.follow().await else { return };
            self.telemetry.engine_failed("events", &error);
            if since < self.since {
                wait = RECONNECT_FIRST;
            }
            sleep(wait).await;
            wait = (wait * 2).min(RECONNECT_MAX);
            if self.sender.send(Followed::Reconnected).await.is_err() {
                return;
            }
        }
    }

    /// Follows one stream to its end; `None` when nobody listens any more.
    async fn follow(&mut self) -> Option<EngineError> {
        let mut events = self.engine.events(self.since);
        while let Some(event) = events.next().await {
            match event {
                // Handed on before the stream broke. Events of one moment may be many, and each counts.
                Ok(event) if self.handed_on.contains(&event) => {}
                Ok(event) => {
                    self.note(&event);
                    self.sender.send(Followed::Event(event)).await.ok()?;
                }
                Err(error) => return Some(error),
            }
        }
        Some(EngineError::Refused { operation: "stream events", message: "the stream ended".to_owned() })
    }

    fn note(&mut self, event: &EngineEvent) {
        match event.at.cmp(&self.since) {
            Ordering::Greater => {
                self.since = event.at;
                self.handed_on = vec![event.clone()];
            }
            Ordering::Equal => self.handed_on.push(event.clone()),
            // The engine dates events before it orders them: one may come a moment late.
            Ordering::Less => {}
        }
    }
}

/// Events that may wait for the monitor; beyond this the engine waits.
const QUEUE: usize = 256;
/// First wait before the stream is opened again; doubled each time.
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
/// Longest wait before the stream is opened again.
const RECONNECT_MAX: Duration = Duration::from_secs(5);
