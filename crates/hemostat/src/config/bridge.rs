//! The settings of the bridge to the Python HemoStat.

use std::collections::BTreeSet;

use hemostat_core::bridge::OldChannel;
use hemostat_event::{HostName, Role};

use super::Secret;
use super::read::{Reader, boolean, redis_url, words};

/// The bridge.
#[derive(Debug, Clone)]
pub(crate) struct Bridge {
    /// Whether `up` runs it.
    pub enabled: bool,
    /// Channels that it says something on.
    pub channels: BTreeSet<OldChannel>,
    /// Whose keys it writes.
    pub keys: BTreeSet<Role>,
    /// Channels that it listens to.
    pub inbound: BTreeSet<OldChannel>,
    /// The Redis of the Python agents, where it is not that of the log.
    pub url: Option<Secret>,
    /// The host that their messages are about.
    pub host: HostName,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Bridge {
    Bridge {
        enabled: reader.read("bridge.enabled", boolean),
        channels: reader.read("bridge.channels", channels),
        keys: reader.read("bridge.keys", keys),
        inbound: reader.read("bridge.inbound", channels),
        url: reader.optional("bridge.redis_url", redis_url),
        host: reader.read("bridge.host", |text| HostName::new(text).map_err(|error| error.to_string())),
    }
}

fn channels(text: &str) -> Result<BTreeSet<OldChannel>, String> {
    several(text, |word| {
        word.parse().map_err(|error: hemostat_core::bridge::UnknownChannel| error.to_string())
    })
}

fn keys(text: &str) -> Result<BTreeSet<Role>, String> {
    several(text, |word| match word.parse() {
        Ok(role) if Role::AGENTS.contains(&role) => Ok(role),
        _ => Err(format!("`{word}` is not one of monitor, analyzer, responder, alert")),
    })
}

fn several<T: Ord>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<BTreeSet<T>, String> {
    if text == "none" {
        return Ok(BTreeSet::new());
    }
    words(text).iter().map(|word| read(word)).collect()
}
