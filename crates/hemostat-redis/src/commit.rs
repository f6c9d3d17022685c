//! How commits, states and timers are written for the scripts, and what the answers say.

use hemostat_agent::log::{Commit, CommitAnswer, CommitInput, LogError, StreamName, Versioned};
use hemostat_core::role::Timer;
use hemostat_event::{Event, EventId, EventType, HostName, Subject, Timestamp, codec};
use redis::{Cmd, Value};

use crate::fault::unexpected;
use crate::reply;

/// Most commits in one call: beyond 64 nothing is gained (measured), and others wait longer.
pub(crate) const BATCH_MAX: usize = 64;

/// Writes a commit as `commit.lua` reads it.
pub(crate) fn write(call: &mut Cmd, commit: &Commit) {
    call.arg(commit.role.as_str()).arg(commit.key.as_bytes());
    match &commit.input {
        CommitInput::Entry { at, prev, consumer, acknowledge } => {
            call.arg("entry").arg(at.stream.to_string()).arg(at.id.to_string());
            call.arg(prev.map(|id| id.to_string()).unwrap_or_default()).arg(consumer);
            call.arg(u8::from(*acknowledge));
        }
        CommitInput::Timer { timer, consumer, acknowledge } => {
            call.arg("timer").arg(timer_member(timer)).arg(format!("{} {consumer}", timer.due.micros()));
            call.arg(u8::from(*acknowledge));
        }
        CommitInput::Lease { lease } => {
            call.arg("lease").arg(&lease.name).arg(lease.epoch);
        }
    }
    match &commit.state {
        Some(change) => {
            // With the space that ends the version in a state as it stands.
            let expected = format!("{} ", change.expected);
            call.arg(1).arg(commit.subject.as_str()).arg(expected).arg(stored_state(&change.next));
        }
        None => {
            call.arg(0);
        }
    }
    call.arg(commit.emit.len());
    for event in &commit.emit {
        write_event(call, event);
    }
    call.arg(commit.timers.len());
    for timer in &commit.timers {
        call.arg(timer_member(timer)).arg(timer.due.micros());
    }
}

/// Writes an event as the scripts read it: its stream, its container or nothing where order is of no interest, its id,
/// and its stored form.
pub(crate) fn write_event(call: &mut Cmd, event: &Event) {
    let measures = event.event_type() == EventType::ContainerSample;
    let subject = event.envelope.subject.as_ref().filter(|_| !measures);
    call.arg(StreamName::of(event).to_string()).arg(subject.map_or("", Subject::as_str));
    // Samples are too many to be remembered.
    call.arg(if measures { &[][..] } else { event.envelope.id.as_bytes() }).arg(codec::encode(event));
}

/// What `commit.lua` answers for a commit.
pub(crate) fn answer(commit: &Commit, answer: &Value) -> Result<CommitAnswer, LogError> {
    match (reply::integer(answer)?, commit.emit.len() as u64) {
        (-1, _) => Ok(CommitAnswer::Fenced),
        (-2, _) => Ok(CommitAnswer::Duplicate),
        (-3, _) => Ok(CommitAnswer::Conflict),
        (-4, _) => Ok(CommitAnswer::Early),
        (0, 0) => Ok(CommitAnswer::Committed(Vec::new())),
        (first, count) => {
            let first = u64::try_from(first).map_err(|_negative| unexpected("a commit"))?;
            Ok(CommitAnswer::Committed((first..first + count).collect()))
        }
    }
}

/// A state as it stands in its hash. The version is text, so scripts compare it exactly.
pub(crate) fn stored_state(state: &Versioned) -> Vec<u8> {
    [state.version.to_string().as_bytes(), b" ", &state.bytes].concat()
}

/// Reads a state as it stands in its hash.
pub(crate) fn state(value: Value) -> Result<Versioned, LogError> {
    if value == Value::Nil {
        return Ok(Versioned::default());
    }
    let stored = reply::bytes(value)?;
    let read = || {
        let space = stored.iter().position(|byte| *byte == b' ')?;
        let version = std::str::from_utf8(&stored[..space]).ok()?.parse().ok()?;
        Some(Versioned { version, bytes: stored[space + 1..].to_vec() })
    };
    read().ok_or_else(|| unexpected("a request for a state"))
}

/// What tells a timer from others. Subjects and ids have no spaces; a name may.
pub(crate) fn timer_member(timer: &Timer) -> String {
    format!("{} {} {}", timer.subject, timer.cause, timer.name)
}

/// What the members of all timers of a host begin with, and no others.
pub(crate) fn timers_of(host: &HostName) -> String {
    format!("{host}/")
}

/// Reads a timer from its member and its due time.
pub(crate) fn timer(member: &str, due: &str) -> Option<Timer> {
    let mut parts = member.splitn(3, ' ');
    let subject = parts.next()?.parse().ok()?;
    let cause: EventId = parts.next()?.parse().ok()?;
    let name = parts.next()?.to_owned();
    Some(Timer { subject, name, cause, due: Timestamp::from_micros(due.parse().ok()?) })
}

#[cfg(test)]
mod tests;
