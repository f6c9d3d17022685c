//! Looking on: which streams and groups there are, how far they have come, and who runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hemostat_agent::log::{
    AgentPresence, Counted, Cursors, EntryId, GroupStatus, LogError, Partition, StreamName,
};
use hemostat_event::{EventType, HostName, Role, Timestamp};
use redis::Value;
use serde::{Deserialize, Serialize};

use crate::fault::{self, Effect};
use crate::log::millis;
use crate::reply;
use crate::scripts::{ANNOUNCE, CURSORS, GROUPS};
use crate::shared::Shared;

/// Most unread entries that are counted one by one. Beyond, a group is simply far behind.
const UNREAD_COUNTED_MAX: usize = 1_000;
/// Most pending entries of a group that are looked for in their stream: what a replica has in flight at most.
const PENDING_LOOKED_UP_MAX: usize = 256;

/// What is known of a replica, as it stands in its hash.
#[derive(Serialize, Deserialize)]
struct Presence {
    role: Role,
    instance: String,
    host: HostName,
    version: String,
    started_at: Timestamp,
}

pub(crate) async fn announce(
    shared: &Shared,
    presence: &AgentPresence,
    ttl: Duration,
) -> Result<(), LogError> {
    let AgentPresence { role, instance, host, version, started_at } = presence.clone();
    let field = format!("{role}/{instance}");
    let partition = shared.partition_of(&host);
    let stored = Presence { role, instance, host, version, started_at };
    let stored =
        rmp_serde::to_vec_named(&stored).expect("a presence has only values that MessagePack can write");
    let mut call = ANNOUNCE.call(&shared.keys.seq(partition));
    call.arg(field).arg(millis(ttl)).arg(stored);
    shared.link.run_one(&ANNOUNCE, call, Effect::Write).await?;
    Ok(())
}

pub(crate) async fn agents(shared: &Shared) -> Result<Vec<AgentPresence>, LogError> {
    let mut requests = redis::pipe();
    requests.cmd("TIME");
    for partition in shared.partitions() {
        requests.cmd("HVALS").arg(shared.keys.agents(partition));
    }
    let mut answers = ask(shared, &requests).await?.into_iter();
    let [secs, micros] = reply::parts(answers.next().unwrap_or_default())?;
    let number = |value| reply::text(value)?.parse::<u64>().map_err(|_other| fault::unexpected("TIME"));
    let now_ms = number(secs)? * 1_000 + number(micros)? / 1_000;
    let mut agents = Vec::new();
    for answer in answers {
        for value in reply::array(answer)? {
            agents.extend(presence(&reply::bytes(value)?, now_ms));
        }
    }
    Ok(agents)
}

/// A replica that still counts at `now_ms`. One that a later version announced in another form is left out.
fn presence(stored: &[u8], now_ms: u64) -> Option<AgentPresence> {
    let space = stored.iter().position(|byte| *byte == b' ')?;
    let until: u64 = std::str::from_utf8(&stored[..space]).ok()?.parse().ok()?;
    if until <= now_ms {
        return None;
    }
    let Presence { role, instance, host, version, started_at } =
        rmp_serde::from_slice(&stored[space + 1..]).ok()?;
    Some(AgentPresence { role, instance, host, version, started_at })
}

pub(crate) async fn streams(shared: &Shared, partition: Partition) -> Result<Vec<StreamName>, LogError> {
    let names = names(shared, &[partition]).await?.pop().unwrap_or_default();
    let mut requests = redis::pipe();
    for name in &names {
        requests.cmd("EXISTS").arg(shared.keys.stream(partition, name));
    }
    let exist = ask(shared, &requests).await?;
    Ok(names
        .into_iter()
        .zip(exist)
        .filter(|(_, exists)| *exists == Value::Int(1))
        .map(|(name, _)| name)
        .collect())
}

pub(crate) async fn cursors(shared: &Shared, partition: Partition) -> Result<Cursors, LogError> {
    let call = CURSORS.call(&shared.keys.seq(partition));
    let unexpected = || fault::unexpected("a request for cursors");
    let mut flat = reply::array(shared.link.run_one(&CURSORS, call, Effect::Read).await?)?.into_iter();
    let seq = reply::text(flat.next().unwrap_or_default())?.parse().map_err(|_other| unexpected())?;
    let mut positions = BTreeMap::new();
    while let (Some(field), Some(cursor)) = (flat.next(), flat.next()) {
        let (field, cursor) = (reply::text(field)?, reply::text(cursor)?);
        let cursor =
            if cursor.is_empty() { EntryId::ZERO } else { cursor.parse().map_err(|_other| unexpected())? };
        let (group, stream) = field.split_once(' ').ok_or_else(unexpected)?;
        // A group that is not one of ours registers nothing; one of a later version is its own affair.
        if let (Ok(role), Ok(stream)) = (group.parse(), stream.parse()) {
            positions.insert((role, stream), cursor);
        }
    }
    Ok(Cursors { seq, positions })
}

pub(crate) async fn groups(shared: &Shared) -> Result<Vec<GroupStatus>, LogError> {
    let partitions: Vec<_> = shared.partitions().collect();
    let mut calls = redis::pipe();
    for (partition, names) in partitions.iter().zip(names(shared, &partitions).await?) {
        let mut call = GROUPS.call(&shared.keys.seq(*partition));
        call.arg(UNREAD_COUNTED_MAX).arg(PENDING_LOOKED_UP_MAX);
        for name in names {
            call.arg(name.to_string());
        }
        calls.add_command(call);
    }
    let answers = shared.link.run(&GROUPS, &calls, Effect::Read).await?;
    let mut groups = Vec::new();
    for (partition, rows) in partitions.into_iter().zip(answers) {
        for row in reply::array(rows)? {
            groups.extend(group(partition, row)?);
        }
    }
    Ok(groups)
}

/// A row of `groups.lua`; nothing where the group is not one of ours.
fn group(partition: Partition, row: Value) -> Result<Option<GroupStatus>, LogError> {
    let [
        stream,
        name,
        exists,
        pending,
        oldest_pending,
        oldest_unread,
        least,
        most,
        lost,
        oldest_retained,
        seen,
    ] = reply::parts(row)?;
    let (Ok(stream), Ok(role)) = (reply::text(stream)?.parse(), reply::text(name)?.parse()) else {
        return Ok(None);
    };
    let time = |id: Value| match reply::text(id)? {
        none if none.is_empty() => Ok(None),
        id => id
            .parse()
            .map(EntryId::time)
            .map(Some)
            .map_err(|_other| fault::unexpected("a request for groups")),
    };
    let count = |value: &Value| Ok(reply::integer(value)?.unsigned_abs());
    Ok(Some(GroupStatus {
        partition,
        stream,
        role,
        exists: reply::integer(&exists)? == 1,
        pending: count(&pending)?,
        oldest_pending: time(oldest_pending)?,
        oldest_unread: time(oldest_unread)?,
        unread: Counted { least: count(&least)?, most: count(&most)? },
        lost: count(&lost)?,
        oldest_retained: time(oldest_retained)?,
        seen: reply::text(seen)?.parse().ok().map(Timestamp::from_millis),
    }))
}

/// The streams that each partition may have: those of every type, and those that were ever used.
pub(crate) async fn names(
    shared: &Shared,
    partitions: &[Partition],
) -> Result<Vec<Vec<StreamName>>, LogError> {
    let mut requests = redis::pipe();
    for partition in partitions {
        requests.cmd("SMEMBERS").arg(shared.keys.streams(*partition));
    }
    let read = |answer| {
        let used = reply::array(answer)?.into_iter().map(reply::text).collect::<Result<Vec<_>, _>>()?;
        let used = used.iter().filter_map(|name| name.parse().ok());
        let names: BTreeSet<_> = EventType::ALL.into_iter().map(StreamName::Type).chain(used).collect();
        Ok(names.into_iter().collect())
    };
    ask(shared, &requests).await?.into_iter().map(read).collect()
}

async fn ask(shared: &Shared, requests: &redis::Pipeline) -> Result<Vec<Value>, LogError> {
    let answers = shared.link.ask(requests, Effect::Read).await?;
    let answers: Result<_, _> = answers.into_iter().map(Value::extract_error).collect();
    answers.map_err(|error| fault::asking(error, Effect::Read))
}
