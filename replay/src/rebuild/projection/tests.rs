use std::path::Path;

use super::*;
use crate::recording::Recording;

#[test]
fn what_was_answered_for_good_is_known_and_nothing_else() {
    let (projection, events) = projected("crash-twice.hsrec", Timestamp::EPOCH);
    let books = projection.bookkeeping(Cursors::default(), &responder());
    let known: Vec<_> = books.known.iter().map(|(id, _)| *id).collect();
    let mut answered = 0;
    for event in &events {
        let (id, kind) = (event.envelope.id, event.event_type());
        assert!(known.contains(&id), "{kind} {id}");
        for (input, role) in
            [(EventType::HealthAlert, Role::Analyzer), (EventType::RemediationNeeded, Role::Responder)]
        {
            let is_answered = kind == input && events.iter().any(|other| other.envelope.cause == Some(id));
            assert_eq!(known.contains(&last_key(id, role)), is_answered, "{kind} {id}");
            answered += usize::from(is_answered);
        }
        // What only some channels may have got is in the state.
        assert!(!known.contains(&last_key(id, Role::Alert)), "{kind} {id}");
    }
    assert!(4 <= answered, "two alerts with their plans: {answered}");
}

#[test]
fn ids_that_are_not_of_interest_any_more_are_left_out() {
    let (projection, events) = projected("crash-twice.hsrec", Timestamp::MAX);
    assert!(!events.is_empty() && projection.bookkeeping(Cursors::default(), &responder()).known.is_empty());
}

fn responder() -> Responder {
    Responder { policy: hemostat_core::remediate::Policy::default() }
}

/// A golden recording, and its events without samples.
fn projected(name: &str, known_since: Timestamp) -> (Projection, Vec<Event>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings").join(name);
    let recording = Recording::open(&file).unwrap();
    let (mut projection, mut events) = (Projection::new(0, known_since), Vec::new());
    for part in 0.. {
        let Some((_, frames)) = recording.part(part).unwrap() else { break };
        for frame in &frames.index.frames {
            for record in frames.frame(frame).unwrap() {
                projection.take_in(&record);
                events.extend(record.event().and_then(Result::ok));
            }
        }
    }
    events.retain(|event| event.event_type() != EventType::ContainerSample);
    (projection, events)
}
