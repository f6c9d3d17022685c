//! Takes due timers.

use std::sync::Arc;
use std::time::Duration;

use hemostat_core::role::Timer;
use hemostat_event::{HostName, Role};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::lanes::Work;
use super::room::Room;
use super::{pause, slot};
use crate::log::EventLog;
use crate::telemetry::Telemetry;

/// Takes due timers, under a lease in the log. One that is dealt with for longer than its lease is taken again by
/// whoever comes first; taken by this replica, it goes on under the new lease.
pub(super) struct Timekeeper {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) role: Role,
    /// The host whose timers it takes, where it is not those of all.
    pub(super) host: Option<HostName>,
    /// The name of the replica's membership; timers are taken under it too.
    pub(super) name: watch::Receiver<slot::Name>,
    pub(super) interval: Duration,
    pub(super) lease: Duration,
    /// Timers have room of their own: entries that wait for a retry must not keep a deadline from being met.
    pub(super) room: Room<Timer>,
    pub(super) work: mpsc::Sender<Work>,
    pub(super) telemetry: Arc<Telemetry>,
}

impl Timekeeper {
    /// Takes timers until `stop`. When the lanes have `drained`, those that are left are given back.
    pub(super) async fn run(mut self, stop: CancellationToken, drained: CancellationToken) {
        self.take_until(&stop).await;
        // What is dealt with during the drain is not in this consumer's hands any more, and left alone.
        let left = self.room.in_flight();
        let name = self.name.borrow().clone();
        drained.cancelled().await;
        if let Some(name) = name
            && !left.is_empty()
            && let Err(error) = self.log.give_back(self.role, &name, &left).await
        {
            self.telemetry.hand_over_failed(self.role, &error);
        }
    }

    async fn take_until(&mut self, stop: &CancellationToken) {
        let batch = u32::try_from(TIMERS_BATCH).unwrap_or(u32::MAX);
        while !stop.is_cancelled() {
            let Some(name) = self.member(stop).await else { return };
            if !self.room.has(batch, self.interval).await {
                continue;
            }
            let (role, host) = (self.role, self.host.as_ref());
            let due = self.log.take_due(role, host, &name, self.lease, TIMERS_BATCH).await;
            let full = match due {
                Ok(timers) => {
                    let full = timers.len() == TIMERS_BATCH;
                    for timer in timers {
                        let Some(place) = self.room.take(&timer).await else { continue };
                        let work = Work::Timer(timer, place, Arc::clone(&name));
                        if self.work.send(work).await.is_err() {
                            return;
                        }
                    }
                    full
                }
                Err(error) => {
                    // The reader meets the same failure and reports it; timers wait in the log.
                    self.telemetry.timers_unavailable(self.role, &error);
                    false
                }
            };
            if !full {
                pause(self.interval, stop).await;
            }
        }
    }

    /// Waits until the replica is a member; `None` when it stops before.
    async fn member(&mut self, stop: &CancellationToken) -> slot::Name {
        let named = stop.run_until_cancelled(self.name.wait_for(Option::is_some)).await?;
        named.ok().and_then(|name| name.clone())
    }
}

/// Most timers taken at a time.
const TIMERS_BATCH: usize = 32;
/// Most timers taken and not dealt with.
pub(super) const TIMERS_MAX: usize = 4 * TIMERS_BATCH;
