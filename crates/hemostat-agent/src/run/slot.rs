//! The slot of a replica: its leased name in the group.
//!
//! Invariant SL-1: no two members ever have the same name, not even one after the other. The name holds the epoch of
//! the lease, and an epoch ends with its lease: renewed too late, it is another one.

use std::sync::Arc;
use std::time::Duration;

use hemostat_event::{HostName, Role};

use crate::log::{ConsumerName, EventLog, Lease, LogError};

/// The name of the present membership; `None` as long as there is none.
pub(super) type Name = Option<Arc<str>>;

/// A slot while this replica has it.
pub(super) struct Slot {
    lease: Lease,
    owner: String,
    ttl: Duration,
    /// The consumer's name.
    pub(super) name: Arc<str>,
}

impl Slot {
    /// Takes the lowest free slot of `role`; waits for none.
    pub(super) async fn take(
        log: &dyn EventLog,
        role: Role,
        owner: &str,
        ttl: Duration,
    ) -> Result<Self, LogError> {
        for slot in 0..SLOTS_MAX {
            let lease = log.lease(&format!("member:{role}:{slot}"), &place(role), owner, ttl).await?;
            if let Some(lease) = lease {
                let name = ConsumerName { role, slot, epoch: lease.epoch }.to_string().into();
                return Ok(Self { lease, owner: owner.to_owned(), ttl, name });
            }
        }
        let reason = format!("{SLOTS_MAX} replicas of the {role} run already; stop some of them");
        Err(LogError::Refused { reason, source: None })
    }

    /// Prolongs the lease. `false` when it had ended: the name is not this replica's any more.
    pub(super) async fn renew(&self, log: &dyn EventLog) -> Result<bool, LogError> {
        let Lease { name, host, epoch } = &self.lease;
        match log.lease(name, host, &self.owner, self.ttl).await? {
            Some(lease) if lease.epoch == *epoch => Ok(true),
            Some(lease) => {
                // Taken anew and not wanted: the lowest free slot is looked for.
                log.release(&lease, &self.owner).await?;
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// Gives the slot back.
    pub(super) async fn release(&self, log: &dyn EventLog) -> Result<(), LogError> {
        log.release(&self.lease, &self.owner).await
    }
}

/// All members of a role have to look in the same partition, whatever host they run on.
fn place(role: Role) -> HostName {
    HostName::new(role.as_str()).expect("the word of a role is a host name")
}

/// Most members of a group.
const SLOTS_MAX: u32 = 1_024;
