//! Every message of the Python agents, both ways. The fixtures are what its unmodified code published
//! (`scripts/bridge_fixtures.py`).

mod heard;
mod kept;
mod said;

use std::collections::BTreeMap;
use std::time::Duration;

use hemostat_event::{
    Action, Data, Envelope, Event, EventId, HostName, Mode, Outcome, Rejection, RemediationVerified, Role,
    RunState, Source, Timestamp, Verification,
};
use serde_json::{Value, json};

use super::inbound::{self, Inbound, MESSAGE_BYTES_MAX, Refusal};
use super::keys::{Before, What, Write};
use super::outbound::{self, Outbound, Saying};
use super::{Message, OldChannel, isoformat};

macro_rules! fixtures {
    ($($name:ident)*) => {
        $(const $name: &str = include_str!(concat!("../fixtures/", stringify!($name), ".json"));)*
        const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

#[allow(non_upper_case_globals, reason = "they are named after their files")]
mod files {
    fixtures!(health_alert_exited health_alert_running health_alert_restarts remediation_needed false_alarm
        remediation_complete_success remediation_complete_failed remediation_complete_cooldown
        remediation_complete_breaker remediation_complete_not_applicable remediation_complete_dry_run);

    pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        ALL.iter().copied()
    }

    pub(super) fn text(name: &str) -> &'static str {
        all().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("no fixture {name}")).1
    }
}

fn fixture(name: &str) -> (OldChannel, Value) {
    let mut fixture: BTreeMap<String, Value> = serde_json::from_str(files::text(name)).expect("JSON");
    let channel = fixture["channel"].as_str().and_then(OldChannel::named).expect("a channel");
    (channel, fixture.remove("message").expect("a message"))
}

fn hear(name: &str) -> Result<Event, Refusal> {
    hear_with(&mut inbound(), name)
}

fn hear_with(inbound: &mut Inbound, name: &str) -> Result<Event, Refusal> {
    let (channel, message) = fixture(name);
    inbound.hear(channel, message.to_string().as_bytes(), now())
}

fn inbound() -> Inbound {
    Inbound::new(inbound::Settings {
        host: HostName::new("python").expect("a name"),
        instance: "bridge-1".to_owned(),
        plan_ttl: Duration::from_secs(300),
    })
}

fn settings() -> outbound::Settings {
    outbound::Settings {
        channels: OldChannel::ALL.into(),
        keys: Role::AGENTS.into(),
        budget: 3,
        breaker_failures: 3,
    }
}

fn outbound() -> Outbound {
    Outbound::new(settings())
}

/// The same event, said by one of ours.
fn by(mut event: Event, role: Role) -> Event {
    event.envelope.source = Source { role, instance: format!("{role}-1") };
    event
}

fn ended(outcome: Outcome) -> Event {
    let mut event = by(hear("remediation_complete_success").expect("an outcome"), Role::Responder);
    let Data::RemediationComplete(done) = &mut event.data else { panic!("an outcome") };
    done.outcome = outcome;
    event
}

fn judged(verdict: Verification) -> Event {
    let event = ended(Outcome::Success);
    let Data::RemediationComplete(done) = event.data else { panic!("an outcome") };
    let data = RemediationVerified {
        container: done.container,
        plan: done.plan,
        action: done.action.kind(),
        verdict,
        detail: String::new(),
        state: None,
        health: None,
        elapsed_ms: 1,
    };
    let id = EventId::derive(event.envelope.id, Role::Responder, "verified", 0);
    Event { envelope: Envelope { id, ..event.envelope }, data: data.into() }
}

fn say(event: &Event, before: &Before) -> Saying {
    outbound().say(event, before, event.envelope.time).expect("something is said")
}

fn body(saying: &Saying) -> Value {
    serde_json::from_str(&saying.message.as_ref().expect("a message").body).expect("it is JSON")
}

fn set(writes: &[Write], key: &str, ttl_secs: u64) -> Value {
    let write = writes.iter().find(|write| write.key == key).unwrap_or_else(|| panic!("{key}: {writes:#?}"));
    assert_eq!(write.ttl_secs, Some(ttl_secs), "{key}");
    match &write.what {
        What::Set(value) => serde_json::from_str(value).expect("JSON"),
        other => panic!("{key}: {other:?}"),
    }
}

fn pushed(writes: &[Write], key: &str, ttl_secs: u64) -> Value {
    let write = writes.iter().find(|write| write.key == key).unwrap_or_else(|| panic!("{key}: {writes:#?}"));
    assert_eq!(write.ttl_secs, Some(ttl_secs), "{key}");
    match &write.what {
        What::Push(value) => serde_json::from_str(value).expect("JSON"),
        other => panic!("{key}: {other:?}"),
    }
}

/// After every fixture.
fn now() -> Timestamp {
    Timestamp::parse("2027-01-01T00:00:00Z").expect("a time")
}
