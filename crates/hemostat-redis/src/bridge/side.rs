//! The Redis of the old agents: their channels and keys, and the marks that keep a bridge from repeating itself.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use hemostat_agent::log::LogError;
use hemostat_core::bridge::OldChannel;
use hemostat_core::bridge::keys::{Before, What, Write};
use hemostat_core::bridge::outbound::{Outbound, Saying};
use hemostat_event::{Event, EventId, Timestamp};
use redis::Value;
use redis::aio::PubSub;
use tokio::time::timeout;

use crate::access::Access;
use crate::connect::ConnectError;
use crate::fault::{self, Effect};
use crate::link::{Ground, Link};
use crate::place::Place;
use crate::reply;
use crate::scripts::SAY;

/// What the marks begin with. They are the bridge's own, and on the side of the old agents.
const PREFIX: &str = "hemostat:bridge:";
/// How long it is remembered what was said: as long as the log remembers ids.
const REMEMBERED_SECS: u64 = 86_400;
/// Longest wait for a subscription.
const SUBSCRIBE_MAX: Duration = Duration::from_secs(5);

/// The Redis of the old agents.
pub struct OldSide {
    link: Link,
}

impl fmt::Debug for OldSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OldSide").finish_non_exhaustive()
    }
}

/// Why the Redis of the old agents cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// The agents of Python know no clusters, and their keys could not be written together there.
    #[error(
        "the Python HemoStat cannot use a Redis Cluster; name the single Redis of its agents in \
         bridge.redis_url (HEMOSTAT_BRIDGE_REDIS_URL)"
    )]
    Cluster,
    /// It cannot be reached, or is not one that is known.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It is away or refuses.
    #[error(transparent)]
    Away(#[from] LogError),
}

/// What became of a saying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// It was said; so many of its keys could not be written, because something else is there.
    Now { keys_failed: u64 },
    /// It was said before.
    Before,
    /// A value that it was decided on is another one by now.
    Changed,
}

impl OldSide {
    /// Reaches it.
    ///
    /// # Errors
    /// [`SideError`] says what to change; [`SideError::Away`] may pass by itself.
    pub async fn connect(url: &str, access: &Access) -> Result<Self, SideError> {
        let place = Place::read(url).map_err(|error| ConnectError::Url(error.into()))?;
        let place = place.prepared(|info| access.prepare(info))?;
        let link = Link::reach(place, PREFIX.to_owned()).await?;
        if matches!(link.ground(), Ground::Cluster(_)) {
            return Err(SideError::Cluster);
        }
        let info: String = link.query(redis::cmd("INFO"), Effect::Read).await?;
        let version = info.lines().find_map(|line| line.trim_end().strip_prefix("redis_version:"));
        let version = version.unwrap_or("unknown");
        if version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_none_or(|major| major < 7)
        {
            return Err(ConnectError::TooOld(version.to_owned()).into());
        }
        Ok(Self { link })
    }

    /// The present values of keys; those that are not there, or hold something else than text, are missing.
    pub(super) async fn read(&self, keys: &[String]) -> Result<Before, LogError> {
        if keys.is_empty() {
            return Ok(Before::new());
        }
        let mut request = redis::cmd("MGET");
        request.arg(keys);
        let values: Vec<Value> = self.link.query(request, Effect::Read).await?;
        let text = |value| match value {
            Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
            _ => None,
        };
        Ok(keys.iter().zip(values).filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect())
    }

    /// Says what was decided on `before`, each as a whole or not at all.
    pub(super) async fn say(&self, sayings: &[(Saying, Vec<String>, Before)]) -> Result<Vec<Said>, LogError> {
        if sayings.is_empty() {
            return Ok(Vec::new());
        }
        let mut calls = redis::pipe();
        for (saying, keys, before) in sayings {
            let mut call = SAY.call(&format!("{PREFIX}seq"));
            call.arg(saying.once.map(|id| id.to_string()).unwrap_or_default());
            let message = saying.message.as_ref();
            call.arg(message.map(|message| message.id().to_string()).unwrap_or_default());
            call.arg(REMEMBERED_SECS);
            call.arg(message.map_or("", |message| message.channel.name()));
            call.arg(message.map_or("", |message| message.body.as_str()));
            call.arg(keys.len());
            for key in keys {
                call.arg(key).arg(before.get(key).map_or("", String::as_str));
            }
            call.arg(saying.writes.len());
            for Write { key, what, ttl_secs } in &saying.writes {
                let (word, value) = match what {
                    What::Set(value) => ("set", value.as_str()),
                    What::Push(value) => ("push", value.as_str()),
                    What::Add(member) => ("add", member.as_str()),
                    What::Remove(member) => ("remove", member.as_str()),
                    What::Delete => ("delete", ""),
                };
                call.arg(key).arg(word).arg(value);
                call.arg(ttl_secs.map(|secs| secs.to_string()).unwrap_or_default());
            }
            calls.add_command(call);
        }
        // A repetition finds the marks; what has none may be repeated.
        let answers = self.link.run(&SAY, &calls, Effect::Read).await?;
        answers.into_iter().map(said).collect()
    }

    /// Writes the keys that follow from an event, once, and remembers that it was dealt with: a bridge will not say it any
    /// more. For whoever makes keys anew, event by event in the order of the log; `outbound` speaks on no channel.
    ///
    /// # Errors
    /// When the server is away. A repetition does no harm.
    pub async fn write_keys(
        &self,
        outbound: &mut Outbound,
        event: &Event,
        now: Timestamp,
    ) -> Result<(), LogError> {
        let before = self.read(&outbound.reads(event)).await?;
        let saying = outbound.say(event, &before, now).map(|saying| (saying, Vec::new(), Before::new()));
        self.say(saying.as_slice()).await.map(drop)
    }

    /// Whether this message was said by a bridge.
    pub(super) async fn is_ours(&self, id: EventId) -> Result<bool, LogError> {
        let mut request = redis::cmd("EXISTS");
        request.arg(format!("{PREFIX}said:{id}"));
        self.link.query(request, Effect::Read).await
    }

    /// A connection that is told what is said on these channels.
    pub(super) async fn listen(&self, channels: &BTreeSet<OldChannel>) -> Result<PubSub, LogError> {
        let (Ground::Server(node) | Ground::Sentinels(node)) = self.link.ground() else {
            return Err(fault::unexpected("a subscription"));
        };
        let subscribe = async {
            let mut connection = node.pubsub().await?;
            for channel in channels {
                connection.subscribe(channel.name()).await?;
            }
            Ok(connection)
        };
        match timeout(SUBSCRIBE_MAX, subscribe).await {
            Ok(subscribed) => subscribed.map_err(fault::connecting),
            Err(late) => Err(LogError::Unavailable(late.into())),
        }
    }
}

fn said(answer: Value) -> Result<Said, LogError> {
    let [word, _heard, failed] = reply::parts(answer)?;
    match reply::text(word)?.as_str() {
        "said" => Ok(Said::Now { keys_failed: reply::integer(&failed)?.unsigned_abs() }),
        "before" => Ok(Said::Before),
        "changed" => Ok(Said::Changed),
        _ => Err(fault::unexpected("a saying")),
    }
}
