//! The name under which a replica is a member of its group.

use std::fmt;
use std::str::FromStr;

use hemostat_event::Role;

/// A slot of a role and the epoch of the lease on it: `analyzer-0.1764109562000000`.
///
/// Slots are few and used again and again, so names do not pile up. An epoch is used once, so whoever had the slot
/// before has another name, and what it still tries to commit is fenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerName {
    /// The role.
    pub role: Role,
    /// The slot, from 0.
    pub slot: u32,
    /// The epoch of its lease.
    pub epoch: u64,
}

/// A text that is no name of a slot's member.
#[derive(Debug, thiserror::Error)]
#[error("not the name of a slot's member")]
pub struct ConsumerNameError;

impl ConsumerName {
    /// Whether `other` had the same slot earlier.
    #[must_use]
    pub fn succeeds(&self, other: &Self) -> bool {
        (self.role, self.slot) == (other.role, other.slot) && other.epoch < self.epoch
    }

    /// The same of a name as it stands in the log.
    #[must_use]
    pub fn succeeds_name(&self, other: &str) -> bool {
        other.parse().is_ok_and(|other| self.succeeds(&other))
    }
}

impl fmt::Display for ConsumerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}.{}", self.role, self.slot, self.epoch)
    }
}

impl FromStr for ConsumerName {
    type Err = ConsumerNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (role, numbers) = text.split_once('-')?;
            let (slot, epoch) = numbers.split_once('.')?;
            let name =
                Self { role: role.parse().ok()?, slot: slot.parse().ok()?, epoch: epoch.parse().ok()? };
            // `+1` and `01` are numbers too, and other names.
            (name.to_string() == text).then_some(name)
        };
        read().ok_or(ConsumerNameError)
    }
}

#[cfg(test)]
mod tests;
