//! What each agent may do on Redis: the least its scripts and readers need.
//!
//! Redis checks every command of a script against the rights of its caller, so a stream can be closed to a role
//! although all roles use the same scripts. Rules use selectors (Redis 7.0): a command is allowed where one of them
//! names the command and all of its keys. Reading is open to all roles: the log has no secrets from its own agents.
//!
//! - A role appends only to its own streams: only the responder writes intents, a monitor writes no decisions. A
//!   person may hand dead letters to their groups once more.
//! - A role acknowledges and takes over only on the streams it reads, and writes only its own states and timers.
//! - The archiver reads along: it writes no event and no state, takes leases, and moves its group.
//! - The bridge reads along likewise, and speaks on the channels and writes the keys of the Python HemoStat. It appends
//!   only what it was told to listen to ([`inbound_rules`]).
//! - The exporter of metrics reads, and writes nothing at all.
//! - Nobody may delete an entry. Only the responder, which may act anyway, trims: the janitor runs beside it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use hemostat_core::bridge::OldChannel;
use hemostat_event::{EventType, IdError, Role};

use crate::keys::Keys;

/// Commands that change no key of the log. `WAITAOF`, which Redis 7.0 does not know by name, is one of the connection's.
/// `CONFIG GET` is not among them: it tells passwords. What is asked by it is done without where it is refused.
const ANYWHERE: &str = "+@connection -@admin -@dangerous +time +info +role +script|load +cluster|slots +cluster|shards \
                        +cluster|info +cluster|nodes";

/// The line of an ACL file for the default user, which nobody can log in as. It keeps all rights: Redis 7.0 loads its
/// append-only file as that user, and passes over every transaction that it may not make, so the log would be empty after a
/// restart.
pub const LOCKED_DEFAULT_USER: &str = "user default off resetpass ~* &* +@all";

/// Who has a user on Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// A part of HemoStat that writes events, or reads them as a group.
    Role(Role),
    /// The exporter of metrics, which has no group and no state.
    Metrics,
}

impl User {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Role::ALL.into_iter().map(Self::Role).chain([Self::Metrics]).collect()
    }

    /// The word that the user's name ends with.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Role(role) => role.as_str(),
            Self::Metrics => "metrics",
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for User {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let known = Self::all().into_iter().find(|user| user.as_str() == text);
        known.ok_or_else(|| IdError::Role(text.to_owned()))
    }
}

/// The rules of a user that may do what `user` needs in the log `namespace`, as `ACL SETUSER` takes them; without a
/// password. [`None`] where `namespace` is none.
#[must_use]
pub fn rules(user: User, namespace: &str) -> Option<Vec<String>> {
    match user {
        User::Role(role) => of_role(role, namespace),
        User::Metrics => reading(namespace),
    }
}

/// What every user may: read everything of the log, and nothing else.
fn reading(namespace: &str) -> Option<Vec<String>> {
    Keys::new(namespace)?;
    let key = |name: &str| format!("~{namespace}:{{*}}:{name}");
    let mut rules =
        vec!["on".to_owned(), "resetkeys".to_owned(), "resetchannels".to_owned(), "-@all".to_owned()];
    rules.extend(ANYWHERE.split_whitespace().map(str::to_owned));
    rules.push(format!("(%R~{namespace}:{{*}}:* +@read)"));
    // Scripts name these two keys. What a script does is allowed or refused command by command.
    rules.push(format!("({} {} +evalsha +eval)", key("seq"), key("moving")));
    Some(rules)
}

fn of_role(role: Role, namespace: &str) -> Option<Vec<String>> {
    let mut rules = reading(namespace)?;
    let key = |name: &str| format!("~{namespace}:{{*}}:{name}");
    let mut select = |commands: &str, keys: &[String]| rules.push(format!("({} {commands})", keys.join(" ")));

    // What every writer keeps: numbers, names, known ids, its sign of life, the version of the layout.
    select("+sadd", &[key("streams")]);
    select("+hset +hdel", &[key("agents")]);
    select("+hsetnx", &[key("meta")]);
    select("+set", &[key("barrier")]);

    let writes = streams(role.writes(), &key);
    if !writes.is_empty() {
        select("+incrby", &[key("seq")]);
        select("+sadd +expireat", &[key("seen:*")]);
        select("+xadd", &writes);
        let latest = writes.iter().map(|stream| stream.replacen("}:", "}:last:", 1)).collect::<Vec<_>>();
        select("+hset", &latest);
        select("+hset +hdel", &[key(&format!("state:{role}"))]);
    }
    if role == Role::Monitor {
        select("+hset", &[key("lease:engine:*")]);
    }

    let reads = role.reads();
    if !reads.is_empty() {
        let group = "+xreadgroup +xack +xclaim +xautoclaim +xgroup|create +xgroup|delconsumer +xsetid";
        select(group, &streams(reads, &key));
        select("+zadd +zrem", &[key(&format!("timers:{role}"))]);
        select("+hset +hdel", &[key(&format!("timer:{role}"))]);
        select("+hset +hdel +hincrby", &[key("cursor"), key("groups"), key("lost")]);
        select("+hset", &[key(&format!("lease:member:{role}:*"))]);
    }
    if role == Role::Operator {
        // Dead letters are handed to their groups once more, so into the streams that groups read.
        let again = Role::ALL.iter().flat_map(|role| role.reads()).copied().collect::<Vec<_>>();
        let again = streams(&again, &key);
        select("+xadd", &again);
        let latest: Vec<_> = again.iter().map(|stream| stream.replacen("}:", "}:last:", 1)).collect();
        select("+hset", &latest);
        select("+zadd +zremrangebyscore", &[key("redriven")]);
    }
    let all = EventType::ALL.map(|kind| kind.as_str().to_owned());
    let all: Vec<_> = all.iter().map(String::as_str).chain(["remediation_needed:*"]).map(key).collect();
    if role == Role::Archiver {
        select("+xgroup|create +xgroup|setid +xsetid", &all);
        select("+hset +hdel", &[key("cursor"), key("groups")]);
        select("+hset", &[key("lease:archiver:*")]);
    }
    if role == Role::Bridge {
        select("+xgroup|create +xgroup|setid +xsetid", &all);
        select("+hset +hdel", &[key("cursor"), key("groups")]);
        select("+hset", &[key("lease:bridge:*")]);
        let names = ["bridge", "state", "stats", "audit", "events", "remediation"];
        let mut old: Vec<_> = names.iter().map(|name| format!("~hemostat:{name}:*")).collect();
        old.push("~hemostat:containers".to_owned());
        select("+evalsha +eval +get +mget +exists +set +del +expire +lpush +ltrim +sadd +srem", &old);
        let channels = OldChannel::ALL.map(|channel| format!("&{}", channel.name()));
        select("+publish +subscribe", &channels);
    }
    if role == Role::Responder {
        select("+xtrim +xgroup|destroy", &all);
        select("+hset", &[key("lease:janitor")]);
        select("+hdel", &[key("last:*")]);
    }
    Some(rules)
}

/// What the bridge may do besides where it listens to these channels: append what it hears, and dead letters.
#[must_use]
pub fn inbound_rules(channels: &BTreeSet<OldChannel>, namespace: &str) -> Vec<String> {
    if channels.is_empty() {
        return Vec::new();
    }
    let key = |name: &str| format!("~{namespace}:{{*}}:{name}");
    let mut types: Vec<_> = channels.iter().map(|channel| heard_as(*channel)).collect();
    types.push(EventType::DeadLetter);
    let writes = streams(&types, &key);
    let latest: Vec<_> = writes.iter().map(|stream| stream.replacen("}:", "}:last:", 1)).collect();
    let rule = |commands: &str, keys: &[String]| format!("({} {commands})", keys.join(" "));
    vec![
        rule("+incrby", &[key("seq")]),
        rule("+sadd +expireat", &[key("seen:*")]),
        rule("+xadd", &writes),
        rule("+hset", &latest),
    ]
}

/// The type of the events that are heard on a channel.
const fn heard_as(channel: OldChannel) -> EventType {
    match channel {
        OldChannel::HealthAlert => EventType::HealthAlert,
        OldChannel::RemediationNeeded => EventType::RemediationNeeded,
        OldChannel::RemediationComplete => EventType::RemediationComplete,
        OldChannel::FalseAlarm => EventType::FalseAlarm,
    }
}

fn streams(types: &[EventType], key: &impl Fn(&str) -> String) -> Vec<String> {
    let name = |kind: &EventType| match kind {
        EventType::RemediationNeeded => key("remediation_needed:*"),
        kind => key(kind.as_str()),
    };
    types.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_ask_for_the_configuration_of_the_server() {
        for user in User::all() {
            let rules = rules(user, "hemostat").expect("a namespace");
            assert!(rules.iter().any(|rule| rule == "-@admin"), "{user}");
            assert!(!rules.iter().any(|rule| rule.contains("config")), "{user}: {rules:?}");
        }
    }

    #[test]
    fn a_user_is_known_by_its_word() {
        for user in User::all() {
            assert_eq!(user.as_str().parse::<User>().ok(), Some(user));
        }
        assert!("exporter".parse::<User>().is_err());
    }
}
