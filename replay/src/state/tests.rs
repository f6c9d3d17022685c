use std::time::Duration;

use hemostat_event::cloudevents::Position;
use hemostat_event::{
    Action, Actor, Change, Channel, ContainerChanged, ContainerId, ContainerRef, Data, Delivery, Envelope,
    Event, EventId, HealthRecovered, IncidentId, Notification, NotificationKind, Outcome, Recovery,
    RemediationComplete, RemediationStarted, Role, RunState, Source, Timestamp,
};
use proptest::prelude::*;

use hemostat_agent::log;
use hemostat_core::detect;
use hemostat_core::diagnose::Analyzer;
use hemostat_core::notify::Alerter;
use hemostat_core::remediate::Responder;
use hemostat_core::role::Decide as _;

use super::diff::changes;
use super::states::States;
use super::*;

proptest! {
    #[test]
    fn folding_a_prefix_and_going_on_is_folding_the_whole(log in logs(), cut in 0.0..1.0f64) {
        let (cut, mut states) = folded_up_to(&log, cut);
        let known: Vec<_> = states.known().collect();
        let at_cut = known_at(end(), &log[..cut]);
        prop_assert_eq!(known.len(), at_cut.len());
        prop_assert!(known.iter().all(|(subject, known)| at_cut.get(&(0, subject.clone())) == Some(known)));
        // That somebody has looked changes nothing.
        for (position, event) in &log[cut..] {
            states.fold(*position, event);
        }
        let whole: KnownOfAll = states.known().map(|(subject, known)| ((0, subject), known)).collect();
        prop_assert_eq!(whole, known_at(end(), &log));
    }

    #[test]
    fn folding_on_from_a_stored_state_is_folding_the_whole(log in logs(), cut in 0.0..1.0f64) {
        let (cut, mut states) = folded_up_to(&log, cut);
        let stored = states.stored();
        for (position, event) in &log[cut..] {
            states.fold(*position, event);
        }
        let rest: Vec<_> = log[cut..].iter().map(|(_, event)| event).collect();
        for ((role, subject), whole) in states.stored() {
            let before = stored.get(&(role, subject.clone())).cloned().unwrap_or_default();
            let on = match role {
                Role::Monitor => folded_on(role, detect::fold, &subject, &before, &rest),
                Role::Analyzer => folded_on(role, Analyzer::fold, &subject, &before, &rest),
                Role::Responder => folded_on(role, Responder::fold, &subject, &before, &rest),
                _ => folded_on(role, Alerter::fold, &subject, &before, &rest),
            };
            prop_assert_eq!(&on, &whole);
            prop_assert!(states.say(role, &subject, &whole));
            prop_assert_eq!(states.say(role, &subject, &before), before == whole, "an older one is another");
        }
    }

    #[test]
    fn the_state_at_a_point_is_the_fold_of_what_is_before_it(log in logs(), cut in 0.0..1.0f64) {
        let last = (log.len() as f64 * cut) as usize;
        let (position, event) = &log[last];
        let before = known_at(end(), &log[..=last]);
        prop_assert_eq!(&known_at(Point::Place(*position), &log), &before);
        prop_assert_eq!(&known_at(Point::Event(event.envelope.id), &log), &before);
        prop_assert_eq!(&known_at(Point::Time(event.envelope.time), &log), &before);
        prop_assert_eq!(changes(&before, &before), []);
    }
}

/// Where a part of the log ends, and the states there.
fn folded_up_to(log: &[(Position, Event)], part: f64) -> (usize, States) {
    let cut = (log.len() as f64 * part) as usize;
    let mut states = States::default();
    for (position, event) in &log[..cut] {
        states.fold(*position, event);
    }
    (cut, states)
}

/// A stored state, and the events of `role` about its container that come after it, as a replica goes on.
fn folded_on<S: Default + serde::Serialize + serde::de::DeserializeOwned>(
    role: Role,
    fold: fn(&mut S, &Event),
    subject: &Subject,
    before: &log::Versioned,
    rest: &[&Event],
) -> log::Versioned {
    let mut state = match before.version {
        0 => S::default(),
        _ => rmp_serde::from_slice(&before.bytes).unwrap(),
    };
    let mut version = before.version;
    for event in rest {
        let envelope = &event.envelope;
        if envelope.source.role == role && envelope.subject.as_ref() == Some(subject) {
            fold(&mut state, event);
            version += 1;
        }
    }
    log::Versioned::of(version, &state)
}

#[test]
fn where_the_numbers_begin_anew_the_states_do_too() {
    let mut log: Vec<_> = (1..=3).map(|seq| numbered(seq, 0, 0)).collect();
    log.push(numbered(1, 1, 0));
    let known = known_at(end(), &log);
    assert_eq!(known.keys().map(|(_, subject)| subject.as_str()).collect::<Vec<_>>(), ["h1/b"]);
    // The place is the first that has the number.
    let known = known_at(Point::Place(Position { partition: 0, seq: 1 }), &log);
    assert_eq!(known.keys().map(|(_, subject)| subject.as_str()).collect::<Vec<_>>(), ["h1/a"]);
}

#[test]
fn a_point_the_log_does_not_come_to_is_an_error() {
    let log: Vec<_> = (1..=3).map(|seq| numbered(seq, 0, 0)).collect();
    let finish = |point| fold(point, &log).finish();
    assert!(finish(Point::Place(Position { partition: 0, seq: 4 })).is_err());
    assert!(finish(Point::Place(Position { partition: 1, seq: 1 })).is_err());
    assert!(finish(Point::Event(EventId::from_bytes([0; 16]))).is_err());
    assert!(finish(Point::Time(Timestamp::EPOCH)).unwrap().is_empty());
}

#[test]
fn a_point_is_a_time_a_place_or_an_event() {
    let id = EventId::from_bytes([7; 16]);
    assert_eq!("3/17".parse(), Ok(Point::Place(Position { partition: 3, seq: 17 })));
    assert_eq!(id.to_string().parse(), Ok(Point::Event(id)));
    assert!(matches!("2026-11-24 06:00:00".parse(), Ok(Point::Time(_))));
    assert!("3/x".parse::<Point>().is_err());
}

#[test]
fn what_changed_is_told_field_by_field() {
    let log = [numbered(1, 0, 0), numbered(2, 0, 1)];
    let before = known_at(Point::Place(log[0].0), &log);
    let after = known_at(Point::Place(log[1].0), &log);
    let changes = changes(&before, &after);
    let run = changes.iter().find(|change| change.field == "run").expect("it stopped running");
    assert_eq!((run.container.as_str(), run.role), ("h1/a", Role::Monitor));
    assert_eq!((run.before.as_deref(), run.after.as_deref()), (Some("running"), Some("exited")));
}

/// Behind every event.
fn end() -> Point {
    Point::Time(Timestamp::from_millis(4_000_000_000_000))
}

/// Logs of one partition about three containers, a second between two events.
fn logs() -> impl Strategy<Value = Vec<(Position, Event)>> {
    prop::collection::vec((0..3u8, 0..8u8), 1..80).prop_map(|choices| {
        (1..).zip(choices).map(|(seq, (container, what))| numbered(seq, container, what)).collect()
    })
}

fn numbered(seq: u64, container: u8, what: u8) -> (Position, Event) {
    let time = Timestamp::from_millis(1_700_000_000_000) + Duration::from_secs(seq);
    let subject: Subject = ["h1/a", "h1/b", "h1/c"][usize::from(container)].parse().unwrap();
    let plan = EventId::from_bytes([what; 16]);
    let id = ContainerId::new("ab".repeat(32)).unwrap();
    let container = ContainerRef { id, name: "a".into(), image: "i".into(), project: None, service: None };
    let changed =
        |change| ContainerChanged { container: container.clone(), change, by: Actor::Engine, at: time };
    let action = Action::Restart { stop_timeout_secs: None };
    let (role, data): (Role, Data) = match what {
        0 => (Role::Monitor, changed(Change::Discovered { state: RunState::Running }).into()),
        1 => (Role::Monitor, changed(Change::Died { exit_code: 1 }).into()),
        2 => (Role::Monitor, changed(Change::Started).into()),
        3 => (Role::Monitor, changed(Change::OomKilled).into()),
        4 => {
            let (kinds, reason) = (Vec::new(), Recovery::Cleared);
            let recovered = HealthRecovered {
                container: container.clone(),
                kinds,
                reason,
                opened_at: time,
                lasted_ms: 1,
            };
            (Role::Monitor, recovered.into())
        }
        5 => {
            let told = Notification {
                container: Some(container.clone()),
                kind: NotificationKind::Remediated,
                channel: Channel::Slack,
                delivery: Delivery::Sent { attempt: 1 },
                dedup_key: format!("{subject}/remediated@{time}"),
            };
            (Role::Alert, told.into())
        }
        6 => {
            let started = RemediationStarted {
                container: container.clone(),
                plan,
                action,
                target: container.id.clone(),
                kinds: Vec::new(),
                run_started_at: None,
                attempt: 1,
                budget: 3,
                probe: false,
                dry_run: false,
            };
            (Role::Responder, started.into())
        }
        _ => {
            let done = RemediationComplete {
                container: container.clone(),
                plan,
                action,
                outcome: Outcome::Success,
                dry_run: false,
                duration_ms: None,
                run_started_at: None,
                reason: "because".into(),
                confidence: 1.0,
            };
            (Role::Responder, done.into())
        }
    };
    let envelope = Envelope {
        id: EventId::observed(&subject, role, time, 0),
        source: Source { role, instance: "one".into() },
        time,
        host: subject.host(),
        incident: Some(IncidentId::opened(&subject, time)),
        subject: Some(subject),
        cause: Some(plan),
        traceparent: None,
    };
    (Position { partition: 0, seq }, Event { envelope, data })
}

fn fold(point: Point, log: &[(Position, Event)]) -> Fold {
    let mut fold = Fold::new(&point);
    for (position, event) in log {
        fold.take_in(*position, event.envelope.time, Some(event));
    }
    fold
}

fn known_at(point: Point, log: &[(Position, Event)]) -> KnownOfAll {
    fold(point, log).finish().expect("the log comes to the point")
}
