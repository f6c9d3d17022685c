//! The event log of HemoStat on Redis Streams.
//!
//! [`RedisLog`] is the implementation of [`EventLog`](hemostat_agent::log::EventLog) on Redis 7.0 and later (and
//! Valkey): on one server, on one behind sentinels, and on a cluster. [`managed`] runs a private redis-server for
//! those who have none.
//!
//! Keys are `<namespace>:{<partition>}:<name>`; everything about one host is in one partition, and all keys of a
//! partition have the same hash tag, so every script stays in one slot:
//!
//! | name | holds |
//! |---|---|
//! | `<type>`, `remediation_needed:<host>` | the streams; an entry has the fields `seq`, `event`, and `prev` where there is one before it about its container |
//! | `streams` | the names of the streams that were ever written to or read from |
//! | `seq` | the number of the partition's last event |
//! | `state:<role>` | container → version, a space, the state |
//! | `seen:<n>` | ids of the events and commits of the `n`-th half day since 1970; gone after 24 h |
//! | `cursor` | group, a space, stream → the position from which a lost group goes on, a space, the last acknowledged entry |
//! | `groups` | group, a space, stream → log time of the last sign of life of a member |
//! | `last:<stream>` | container → its last entry there |
//! | `lost` | group, a space, stream → entries that were trimmed away before the group had dealt with them |
//! | `redriven` | dead letters that were handed out once more, by the time of their entry |
//! | `timers:<role>`, `timer:<role>` | when each timer can be taken; its due time, a space, who took it |
//! | `lease:<name>` | owner, epoch and end of a lease |
//! | `agents` | role and instance → log time until which it counts, a space, what is known of it |
//! | `moving` | nothing, ever; see `scripts.rs` |
//! | `rebuild:<role>` | states that were worked out anew, before they take the place of `state:<role>` |
//! | `barrier` | nothing; written so that there is something to wait for |
//! | `meta` (partition 0) | version of this layout, number of partitions, and the mark of a shadow |
//!
//! Invariants:
//! - RS-1: what changes more than one key is a script (`src/scripts`), so it happens as a whole. A script is refused
//!   before its first line where Redis is a replica or cannot persist, and at `maxmemory` where it makes the log
//!   grow.
//! - RS-2: events come first in a script, all of one commit or none; what follows them cannot be refused.
//! - RS-3: entries are handed out by one connection per reader and partition, which nothing else waits for, and
//!   whose answers are never dropped: a read that is given up is finished by the next.
//! - RS-4: a lost connection, group, stream, script or everything is a normal state, from which the same process
//!   goes on.

mod access;
pub mod acl;
pub mod bare;
pub mod bridge;
mod cluster;
mod commit;
mod connect;
mod durable;
mod fault;
mod keeping;
mod keys;
mod link;
mod log;
pub mod managed;
mod node;
mod place;
mod reader;
mod redriving;
mod reply;
mod restore;
mod scripts;
mod sentinel;
mod server;
mod shadow;
mod shared;
mod status;
#[cfg(feature = "testing")]
pub mod testing;

pub use access::Access;
pub use connect::{ConnectError, RedisSettings};
pub use durable::{Durability, DurabilitySettings};
pub use log::RedisLog;
pub use restore::{AdoptError, Bookkeeping, KNOWN_FOR, Snapshot};
