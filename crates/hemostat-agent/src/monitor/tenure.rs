//! The right to watch an engine: its lease, renewed as long as this monitor runs.
//!
//! Decision events are written under the lease's epoch, which the log checks. What the log does not check (samples)
//! is written only while the lease cannot have ended.

use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hemostat_event::Role;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::log::{EventLog, Lease, LogError};
use crate::telemetry::Telemetry;

/// A lease that this monitor holds, or did until just now.
pub(super) struct Tenure {
    log: Arc<dyn EventLog>,
    telemetry: Arc<Telemetry>,
    owner: String,
    ttl: Duration,
    held: Mutex<Held>,
    /// Whether the log answered last time.
    reachable: watch::Sender<bool>,
    /// Cancelled when somebody else has the lease.
    over: CancellationToken,
}

struct Held {
    lease: Lease,
    /// The lease has not ended before this.
    until: Instant,
}

/// Why there is no tenure.
pub(super) enum NoTenure {
    /// Another monitor watches the engine.
    Taken,
    /// The log did not give the lease.
    Log(LogError),
}

impl Tenure {
    /// Takes the lease `name`; when it is lost later, `over` is cancelled.
    pub(super) async fn begin(
        log: &Arc<dyn EventLog>,
        telemetry: &Arc<Telemetry>,
        settings: &super::Settings,
        over: CancellationToken,
    ) -> Result<Self, NoTenure> {
        let name = format!("engine:{}", settings.host);
        let asked = Instant::now();
        let lease = log.lease(&name, &settings.host, &settings.instance, settings.lease).await;
        let lease = lease.map_err(NoTenure::Log)?.ok_or(NoTenure::Taken)?;
        Ok(Self {
            log: Arc::clone(log),
            telemetry: Arc::clone(telemetry),
            owner: settings.instance.clone(),
            ttl: settings.lease,
            held: Mutex::new(Held { lease, until: asked + settings.lease }),
            reachable: watch::Sender::new(true),
            over,
        })
    }

    /// The lease, as it was renewed last.
    pub(super) fn lease(&self) -> Lease {
        self.held().lease.clone()
    }

    /// Whether the lease cannot have ended yet.
    pub(super) fn is_certain(&self) -> bool {
        !self.over.is_cancelled() && Instant::now() < self.held().until
    }

    /// Follows whether the log answers.
    pub(super) fn reachable(&self) -> watch::Receiver<bool> {
        self.reachable.subscribe()
    }

    /// Renews the lease; ends the tenure when somebody else has it.
    pub(super) async fn renew(&self) {
        let (lease, asked) = (self.lease(), Instant::now());
        match self.log.lease(&lease.name, &lease.host, &self.owner, self.ttl).await {
            // A lease that had ended and that nobody took comes back, with a new epoch: this monitor has followed
            // the engine all the time and goes on. Whatever another wrote meanwhile shows in the versions.
            Ok(Some(lease)) => {
                *self.held() = Held { lease, until: asked + self.ttl };
                self.reachable.send_replace(true);
            }
            Ok(None) => self.over.cancel(),
            Err(error) => {
                let first = self.reachable.send_replace(false);
                self.telemetry.log_failed(Role::Monitor, &error, if first { 1 } else { 2 });
            }
        }
    }

    /// Gives the lease back, so that the next monitor need not wait for its end; if this fails it waits.
    pub(super) async fn release(&self) {
        if let Err(error) = self.log.release(&self.lease(), &self.owner).await {
            self.telemetry.log_failed(Role::Monitor, &error, 1);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews until the tenure is over or the handle is dropped.
pub(super) fn keep(tenure: Arc<Tenure>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        while !tenure.over.is_cancelled() {
            // Two renewals may fail before the lease ends.
            sleep(tenure.ttl / 3).await;
            tenure.renew().await;
        }
    }))
}
