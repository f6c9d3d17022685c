//! Takes entries from the group, as a member of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lanes::Work;
use super::room::Room;
use super::slot::Slot;
use super::{pause, slot, wait_for_log};
use crate::health::Tick;
use crate::log::{EntryRef, EventLog, GroupReader, LogError, Membership};
use crate::telemetry::Telemetry;

/// Takes entries from the group, no more than there is room for, and renews those that are in flight and the slot.
pub(super) struct Reader {
    pub(super) log: Arc<dyn EventLog>,
    /// Without a name as long as there is no slot.
    pub(super) membership: Membership,
    /// Who takes the slot.
    pub(super) owner: String,
    /// Places for entries in flight, at least one batch.
    pub(super) places: usize,
    /// Places for those that wait, besides.
    pub(super) waiting: usize,
    pub(super) work: mpsc::Sender<Work>,
    /// The name of the present membership.
    pub(super) name: watch::Sender<slot::Name>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) tick: Tick,
}

/// A slot, and what is in flight under its name. With the next name everything begins anew: what was in flight is
/// dealt with under the old one, or fenced and dealt with again.
struct Seat {
    slot: Slot,
    room: Room<EntryRef>,
}

/// How reading ended.
enum End {
    /// The replica stops.
    Stopped,
    /// The slot is somebody else's.
    SlotLost,
}

impl Reader {
    /// Reads until `stop`; waits out whatever can pass. When the lanes have `drained`, what is left is handed over.
    pub(super) async fn run(
        mut self,
        stop: CancellationToken,
        drained: CancellationToken,
    ) -> Result<(), LogError> {
        let (mut failures, mut seat) = (0, None);
        while !stop.is_cancelled() {
            self.tick.tick();
            let error = match self.join(&mut seat).await {
                Ok((mut reader, taken)) => {
                    match self.read_on(reader.as_mut(), &taken, &mut failures, &stop).await {
                        Ok(End::Stopped) => {
                            drained.cancelled().await;
                            if let Err(error) = self.leave(reader.as_mut(), &taken.slot).await {
                                self.telemetry.hand_over_failed(self.membership.role, &error);
                            }
                            return Ok(());
                        }
                        Ok(End::SlotLost) => {
                            self.telemetry.slot_lost(self.membership.role, &taken.slot.name);
                            continue;
                        }
                        Err(error) => {
                            seat = Some(taken);
                            error
                        }
                    }
                }
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

    /// Ends the membership.
    async fn leave(&self, reader: &mut dyn GroupReader, slot: &Slot) -> Result<(), LogError> {
        reader.hand_over().await?;
        // After that: whoever has the slot next takes over what was left in it.
        slot.release(&*self.log).await
    }

    /// Joins under the slot there is, or under a new one.
    async fn join(&mut self, seat: &mut Option<Seat>) -> Result<(Box<dyn GroupReader>, Seat), LogError> {
        if let Some(Seat { slot, .. }) = &seat
            && !slot.renew(&*self.log).await?
        {
            self.telemetry.slot_lost(self.membership.role, &slot.name);
            *seat = None;
        }
        if seat.is_none() {
            self.name.send_replace(None);
            let Membership { role, claim_after, .. } = self.membership;
            let slot = Slot::take(&*self.log, role, &self.owner, claim_after).await?;
            *seat = Some(Seat { slot, room: Room::new(self.places, self.waiting) });
        }
        let taken = seat.as_ref().expect("it was taken just now");
        self.membership.consumer = taken.slot.name.to_string();
        let reader = self.log.join(self.membership.clone()).await?;
        self.name.send_replace(Some(Arc::clone(&taken.slot.name)));
        Ok((reader, seat.take().expect("it was taken just now")))
    }

    /// Hands entries on until `stop`, the end of the slot's lease, or an error.
    async fn read_on(
        &self,
        reader: &mut dyn GroupReader,
        seat: &Seat,
        failures: &mut u32,
        stop: &CancellationToken,
    ) -> Result<End, LogError> {
        let batch = u32::try_from(self.membership.batch).unwrap_or(u32::MAX);
        let mut renewed = Instant::now();
        while !stop.is_cancelled() {
            self.tick.tick();
            if self.membership.claim_after / 3 <= renewed.elapsed() {
                if !seat.slot.renew(&*self.log).await? {
                    return Ok(End::SlotLost);
                }
                reader.renew(&seat.room.in_flight()).await?;
                renewed = Instant::now();
            }
            // With room for a whole batch no entry that was read waits for a place, unrenewed.
            if !seat.room.has(batch, FULL_POLL).await {
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
                let Some(place) = seat.room.take(&entry.at).await else { continue };
                let name = Arc::clone(&seat.slot.name);
                if self.work.send(Work::Entry(Box::new(entry), place, 0, name)).await.is_err() {
                    return Ok(End::Stopped);
                }
            }
        }
        Ok(End::Stopped)
    }
}

/// How often a full replica looks for free places, and so how late a renewal may be.
const FULL_POLL: Duration = Duration::from_millis(200);
