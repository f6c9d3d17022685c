//! Work on a partition that one process does at a time, and how far it has come.
//!
//! The archiver and the bridge read a partition along, outside any group: whoever holds the lease works, the others stand
//! by. Their group has no members; it is moved behind what is done, so that trimming and lag need no rule of their own for
//! it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hemostat_event::{HostName, Role};
use tokio::time::{Instant, timeout};

use crate::log::{EntryId, EventLog, Lease, LogError, Partition, StreamName};

/// How long the lease lasts: a process that dies is replaced within this time.
pub const LEASE: Duration = Duration::from_secs(15);
/// Time between two signs of life of the group: small beside the silence after which it is taken away, an hour at least.
const SIGN: Duration = Duration::from_secs(60);
/// Time to give the lease back at a shutdown.
const RELEASE: Duration = Duration::from_millis(300);

/// The lease on the work of a role on a partition, held or waited for.
pub struct Tenancy {
    log: Arc<dyn EventLog>,
    name: String,
    /// Where the lease is: in the partition itself, so that it is there when the partition is.
    place: HostName,
    owner: String,
    held: Option<Held>,
}

struct Held {
    lease: Lease,
    asked: Instant,
}

impl Tenancy {
    /// Stands by. The lease is named after role and partition.
    ///
    /// # Panics
    /// When the log has no such partition.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, role: Role, partition: Partition, owner: &str) -> Self {
        let mut names = (0_u32..).map(|n| HostName::new(format!("{role}-{n}")).expect("a plain word"));
        let place = names.find(|host| log.partition_of(host) == partition);
        let place = place.expect("every partition has names of hosts");
        Self { log, name: name(role, partition), place, owner: owner.to_owned(), held: None }
    }

    /// Takes the lease, or renews it when it is time. Says whether it is held.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn hold(&mut self) -> Result<bool, LogError> {
        if self.held.as_ref().is_some_and(|held| held.asked.elapsed() < LEASE / 3) {
            return Ok(true);
        }
        let asked = Instant::now();
        let lease = self.log.lease(&self.name, &self.place, &self.owner, LEASE).await?;
        self.held = lease.map(|lease| Held { lease, asked });
        Ok(self.is_held())
    }

    /// Whether the lease was held when it was asked for last.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Gives the lease back. Others need not wait for its end; if this fails they do.
    pub async fn end(self) {
        if let Some(held) = self.held {
            let _hangs = timeout(RELEASE, self.log.release(&held.lease, &self.owner)).await;
        }
    }
}

/// The name of the lease of a role on a partition.
#[must_use]
pub fn name(role: Role, partition: Partition) -> String {
    format!("{role}:{}", partition.0)
}

/// How far the group of a role without members was moved in a partition, and when.
#[derive(Debug, Default)]
pub struct Bookmark {
    positions: BTreeMap<StreamName, EntryId>,
    moved_at: Option<Instant>,
}

impl Bookmark {
    /// Whether the group was moved there, and lately.
    #[must_use]
    pub fn is_fresh(&self, positions: &BTreeMap<StreamName, EntryId>) -> bool {
        self.moved_at.is_some_and(|at| at.elapsed() < SIGN) && self.positions == *positions
    }

    /// Moves the group to `positions`; also where nothing is new, now and then, as a sign of life.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn put(
        &mut self,
        log: &dyn EventLog,
        (role, partition): (Role, Partition),
        positions: BTreeMap<StreamName, EntryId>,
    ) -> Result<(), LogError> {
        if self.is_fresh(&positions) {
            return Ok(());
        }
        let moved: Vec<_> = positions.iter().map(|(stream, id)| (stream.clone(), *id)).collect();
        log.advance(role, partition, &moved).await?;
        *self = Self { positions, moved_at: Some(Instant::now()) };
        Ok(())
    }
}
