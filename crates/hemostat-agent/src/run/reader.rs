//! Where inputs come from: the group's entries and the due timers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hemostat_core::role::Timer;
use hemostat_event::Role;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::health::Tick;
use crate::log::{Entry, EntryRef, EventLog, GroupReader, LogError, Membership};
use crate::telemetry::Telemetry;

/// An input with its place among those in flight; the place is given back when the work is dropped.
pub(super) struct Work {
    pub(super) what: What,
    pub(super) place: Place,
}

/// What is to be dealt with.
pub(super) enum What {
    Entry(Entry),
    Timer(Timer),
}

/// The room for inputs in flight, and which entries they are.
#[derive(Clone)]
pub(super) struct Room {
    permits: Arc<Semaphore>,
    entries: Arc<Mutex<BTreeSet<EntryRef>>>,
}

/// One input's place.
pub(super) struct Place {
    entry: Option<EntryRef>,
    entries: Arc<Mutex<BTreeSet<EntryRef>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(entry) = &self.entry {
            self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(entry);
        }
    }
}

impl Room {
    pub(super) fn new(places: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(places)), entries: Arc::default() }
    }

    async fn place(&self, entry: Option<EntryRef>) -> Place {
        let permit =
            Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        if let Some(entry) = &entry {
            self.entries.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.clone());
        }
        Place { entry, entries: Arc::clone(&self.entries), _permit: permit }
    }

    fn in_flight(&self) -> Vec<EntryRef> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn is_full(&self) -> bool {
        self.permits.available_permits() == 0
    }
}

/// Takes entries from the group.
pub(super) struct Reader {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) membership: Membership,
    pub(super) room: Room,
    pub(super) work: mpsc::Sender<Work>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) tick: Tick,
}

impl Reader {
    /// Reads until `stop`; waits out whatever can pass.
    pub(super) async fn run(self, stop: CancellationToken) -> Result<(), LogError> {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let mut reader = match self.log.join(self.membership.clone()).await {
                Ok(reader) => reader,
                Err(error @ LogError::Refused { .. }) => return Err(error),
                Err(error) => {
                    failures += 1;
                    self.wait(&error, failures, &stop).await;
                    continue;
                }
            };
            if let Err(error) = self.read_on(reader.as_mut(), &mut failures, &stop).await {
                failures += 1;
                self.wait(&error, failures, &stop).await;
            }
        }
        Ok(())
    }

    /// Hands entries on until `stop` or an error.
    async fn read_on(
        &self,
        reader: &mut dyn GroupReader,
        failures: &mut u32,
        stop: &CancellationToken,
    ) -> Result<(), LogError> {
        let mut renewed = Instant::now();
        while !stop.is_cancelled() {
            if self.membership.claim_after / 3 <= renewed.elapsed() {
                reader.renew(&self.room.in_flight()).await?;
                renewed = Instant::now();
            }
            self.tick.tick();
            if self.room.is_full() {
                // No place: look again soon, and keep renewing what is in flight meanwhile.
                let _still_full = timeout(FULL_POLL, self.room.place(None)).await;
                continue;
            }
            let entries = reader.read().await?;
            if *failures != 0 {
                self.telemetry.log_reached(self.membership.role);
                *failures = 0;
            }
            self.tick.ready(true, "reading");
            for entry in entries {
                let place = self.room.place(Some(entry.at.clone())).await;
                if self.work.send(Work { what: What::Entry(entry), place }).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn wait(&self, error: &LogError, failures: u32, stop: &CancellationToken) {
        self.tick.tick();
        self.tick.ready(false, "the event log is away");
        self.telemetry.log_failed(self.membership.role, error, failures);
        pause(RECONNECT_FIRST.saturating_mul(1 << failures.min(6)).min(RECONNECT_MAX), stop).await;
    }
}

/// Takes due timers.
pub(super) struct Timekeeper {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) role: Role,
    pub(super) consumer: String,
    pub(super) interval: Duration,
    pub(super) lease: Duration,
    pub(super) room: Room,
    pub(super) work: mpsc::Sender<Work>,
    pub(super) telemetry: Arc<Telemetry>,
}

impl Timekeeper {
    pub(super) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.log.take_due(self.role, &self.consumer, self.lease, TIMERS_MAX).await {
                Ok(timers) => {
                    for timer in timers {
                        let place = self.room.place(None).await;
                        if self.work.send(Work { what: What::Timer(timer), place }).await.is_err() {
                            return;
                        }
                    }
                }
                // The reader meets the same failure and reports it; timers wait in the log.
                Err(error) => self.telemetry.timers_unavailable(self.role, &error),
            }
            pause(self.interval, &stop).await;
        }
    }
}

/// Waits for `span` or the stop signal.
pub(super) async fn pause(span: Duration, stop: &CancellationToken) {
    let _stopped = timeout(span, stop.cancelled()).await;
}

/// How often a full replica looks for a free place.
const FULL_POLL: Duration = Duration::from_millis(200);
/// First wait before the log is tried again; doubled each time.
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
/// Longest wait before the log is tried again: a restarted server is found within this time.
const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// Most timers taken at a time.
const TIMERS_MAX: usize = 32;
