//! Shadows: logs that a replay fills with the past, under a namespace of their own.
//!
//! A shadow bears a mark beside the version of its layout, and has borne it since before its first event. So a replay
//! writes into nothing that was there before it, and takes away nothing but what a replay has written; and an agent can
//! tell that what it reads has been already.

use std::collections::BTreeSet;

use hemostat_agent::log::{LogError, Partition};

use crate::access::Access;
use crate::connect::{ConnectError, RedisSettings};
use crate::fault::{self, Effect};
use crate::keys::Keys;
use crate::link::Link;
use crate::log::RedisLog;
use crate::reply;
use crate::scripts::MARK;

/// The name of the key that bears the mark, in the first partition.
pub(crate) const META: &str = "meta";
/// Keys in one step of a walk over them.
const SCAN_COUNT: usize = 500;

impl RedisLog {
    /// Opens a shadow, making it where there is no log.
    ///
    /// # Errors
    /// [`ConnectError::NoShadow`] when there is a log that bears no mark; besides, as for [`RedisLog::connect`].
    pub async fn shadow(settings: RedisSettings) -> Result<Self, ConnectError> {
        Self::open(settings, &Access::default(), true).await
    }

    /// Whether this log is a shadow.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn is_shadow(&self) -> Result<bool, LogError> {
        let mut request = redis::cmd("HEXISTS");
        request.arg(self.shared.keys.meta()).arg("shadow");
        self.shared.link.query(request, Effect::Read).await
    }

    /// Refuses to go on where this is no shadow.
    pub(crate) async fn must_be_shadow(&self) -> Result<(), LogError> {
        if self.is_shadow().await? {
            return Ok(());
        }
        let reason = format!("the log `{}` is no shadow; nothing of it is changed", self.shared.namespace);
        Err(LogError::Refused { reason, source: None })
    }

    /// Takes everything out of a shadow but its mark; answers with how many keys went.
    ///
    /// # Errors
    /// [`LogError::Refused`] when it is none. After another error some may be left; the call can be repeated.
    pub async fn clear_shadow(&self) -> Result<u64, LogError> {
        self.must_be_shadow().await?;
        let mut count = 0;
        for partition in self.shared.partitions() {
            count += self.clear(partition).await?;
        }
        Ok(count)
    }

    /// Takes a shadow away, its mark last.
    ///
    /// # Errors
    /// As for [`RedisLog::clear_shadow`].
    pub async fn remove_shadow(&self) -> Result<(), LogError> {
        self.clear_shadow().await?;
        let mut gone = redis::cmd("DEL");
        gone.arg(self.shared.keys.meta());
        self.shared.link.query::<u64>(gone, Effect::Read).await.map(drop)
    }

    async fn clear(&self, partition: Partition) -> Result<u64, LogError> {
        let mut count = 0;
        for names in self.names(partition).await?.chunks(SCAN_COUNT) {
            let mut gone = redis::cmd("UNLINK");
            for name in names.iter().filter(|name| *name != META) {
                gone.arg(self.shared.keys.named(partition, name));
            }
            if 1 < gone.args_iter().count() {
                // What is gone already is not gone again.
                count += self.shared.link.query::<u64>(gone, Effect::Read).await?;
            }
        }
        Ok(count)
    }

    /// The names of the keys of a partition.
    pub(crate) async fn names(&self, partition: Partition) -> Result<Vec<String>, LogError> {
        let (link, keys) = (&self.shared.link, &self.shared.keys);
        let prefix = keys.named(partition, "");
        // A walk may come past a key twice.
        let (mut cursor, mut names) = ("0".to_owned(), BTreeSet::new());
        loop {
            let mut request = redis::cmd("SCAN");
            // A namespace has none of the characters that mean something in a pattern.
            request.arg(&cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(SCAN_COUNT);
            let [next, found] = reply::parts(link.query_at(partition, request, Effect::Read).await?)?;
            for key in reply::array(found)? {
                names.extend(reply::text(key)?.strip_prefix(&prefix).map(str::to_owned));
            }
            cursor = reply::text(next)?;
            if cursor == "0" {
                return Ok(names.into_iter().collect());
            }
        }
    }
}

/// Marks the log as a shadow where there is none yet.
///
/// # Errors
/// [`ConnectError::NoShadow`] when there is one that is not marked.
pub(crate) async fn mark(link: &Link, keys: &Keys, namespace: &str) -> Result<(), ConnectError> {
    let call = MARK.call(&keys.seq(Partition(0)));
    // A repetition changes nothing.
    match reply::integer(&link.run_one(&MARK, call, Effect::Read).await?)? {
        0 => Err(ConnectError::NoShadow(namespace.to_owned())),
        1 => Ok(()),
        _ => Err(fault::unexpected("a mark").into()),
    }
}
