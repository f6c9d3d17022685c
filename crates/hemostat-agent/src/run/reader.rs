//! Takes entries from the group.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lanes::Work;
use super::room::Room;
use super::{pause, wait_for_log};
use crate::health::Tick;
use crate::log::{EntryRef, EventLog, GroupReader, LogError, Membership};
use crate::telemetry::Telemetry;

/// Takes entries from the group, no more than there is room for, and renews those that are in flight.
pub(super) struct Reader {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) membership: Membership,
    /// Has at least one batch of places.
    pub(super) room: Room<EntryRef>,
    pub(super) work: mpsc::Sender<Work>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) tick: Tick,
}

impl Reader {
    /// Reads until `stop`; waits out whatever can pass. When the lanes have `drained`, what is left is handed over.
    pub(super) async fn run(
        self,
        stop: CancellationToken,
        drained: CancellationToken,
    ) -> Result<(), LogError> {
        let mut failures = 0;
        while !stop.is_cancelled() {
            self.tick.tick();
            let error = match self.log.join(self.membership.clone()).await {
                Ok(mut reader) => match self.read_on(reader.as_mut(), &mut failures, &stop).await {
                    Ok(()) => {
                        drained.cancelled().await;
                        if let Err(error) = reader.hand_over().await {
                            self.telemetry.hand_over_failed(self.membership.role, &error);
                        }
                        return Ok(());
                    }
                    Err(error) => error,
                },
                Err(error @ LogError::Refused { .. }) => return Err(error),
                Err(error) => error,
            };
            failures += 1;
            self.tick.ready(false, "the event log is away");
            self.telemetry.log_failed(self.membership.role, &error, failures);
            pause(wait_for_log(failures), &stop).await;
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
        let batch = u32::try_from(self.membership.batch).unwrap_or(u32::MAX);
        let mut renewed = Instant::now();
        while !stop.is_cancelled() {
            self.tick.tick();
            if self.membership.claim_after / 3 <= renewed.elapsed() {
                reader.renew(&self.room.in_flight()).await?;
                renewed = Instant::now();
            }
            // With room for a whole batch no entry that was read waits for a place, unrenewed.
            if !self.room.has(batch, FULL_POLL).await {
                continue;
            }
            // Never dropped half-way: the log hands the entries out all the same.
            let entries = reader.read().await?;
            if *failures != 0 {
                self.telemetry.log_reached(self.membership.role);
                *failures = 0;
            }
            self.tick.ready(true, "reading");
            for entry in entries {
                // After a broken connection the group hands out again what is still being dealt with here.
                let Some(place) = self.room.take(&entry.at).await else { continue };
                if self.work.send(Work::Entry(Box::new(entry), place, 0)).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// How often a full replica looks for free places, and so how late a renewal may be.
const FULL_POLL: Duration = Duration::from_millis(200);
