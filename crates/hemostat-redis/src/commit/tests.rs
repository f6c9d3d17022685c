use hemostat_event::{HostName, Role, Subject};

use super::*;

#[test]
fn states_are_read_as_they_are_written() {
    for (version, bytes) in [(0, &b""[..]), (7, b" 1 2 "), (u64::MAX, &[0xff, 0x20, 0x00])] {
        let state = Versioned { version, bytes: bytes.to_vec() };
        let stored = Value::BulkString(stored_state(&state));
        assert_eq!(super::state(stored).expect("it is a state"), state);
    }
    assert_eq!(state(Value::Nil).expect("there is none yet"), Versioned::default());
    for other in ["", "7", "x y", "-1 y"] {
        let read = state(Value::BulkString(other.as_bytes().to_vec()));
        assert!(matches!(read, Err(LogError::Refused { .. })), "{other}: {read:?}");
    }
}

#[test]
fn timers_are_read_as_they_are_written() {
    let host = HostName::new("web-1").expect("it is a host name");
    let subject = Subject::new(&host, "db").expect("it is a container name");
    let cause = EventId::observed(&subject, Role::Monitor, Timestamp::from_micros(1), 0);
    // The last due time is beyond what a double can hold exactly.
    for (name, due) in [("verify", 0), ("two words", 1_790_000_000_123_456), ("", 253_402_300_798_999_999)] {
        let timer = Timer {
            subject: subject.clone(),
            name: name.to_owned(),
            cause,
            due: Timestamp::from_micros(due),
        };
        let read = super::timer(&timer_member(&timer), &timer.due.micros().to_string());
        assert_eq!(read, Some(timer));
    }
    for (member, due) in [("", "1"), ("web-1/db", "1"), ("web-1/db nonsense verify", "1")] {
        assert_eq!(super::timer(member, due), None, "{member}");
    }
    assert_eq!(super::timer(&format!("web-1/db {cause} verify"), "soon"), None);
}

#[test]
fn answers_number_the_events_of_a_commit() {
    let host = HostName::new("web-1").expect("it is a host name");
    let subject = Subject::new(&host, "db").expect("it is a container name");
    let key = EventId::observed(&subject, Role::Monitor, Timestamp::from_micros(1), 0);
    let lease = hemostat_agent::log::Lease { name: "engine:web-1".to_owned(), host, epoch: 1 };
    let mut commit = Commit {
        role: Role::Monitor,
        subject,
        input: CommitInput::Lease { lease },
        key,
        state: None,
        emit: Vec::new(),
        timers: Vec::new(),
    };
    let read = |commit: &Commit, number| super::answer(commit, &Value::Int(number)).expect("it is an answer");
    assert_eq!(read(&commit, 0), CommitAnswer::Committed(vec![]));
    let letter = hemostat_event::DeadLetter {
        stream: "health_alert".to_owned(),
        entry: "1-0".to_owned(),
        group: Role::Analyzer,
        event: None,
        incident: None,
        errors: Vec::new(),
        attempts: 1,
        original: std::collections::BTreeMap::new(),
    };
    let event = hemostat_event::Event {
        envelope: hemostat_event::Envelope {
            id: key,
            source: hemostat_event::Source { role: Role::Monitor, instance: "a".to_owned() },
            time: Timestamp::EPOCH,
            host: HostName::new("web-1").expect("it is a host name"),
            subject: None,
            incident: None,
            cause: None,
            traceparent: None,
        },
        data: letter.into(),
    };
    commit.emit = vec![event.clone(), event];
    assert_eq!(read(&commit, 41), CommitAnswer::Committed(vec![41, 42]));
    let refusals = [
        (-1, CommitAnswer::Fenced),
        (-2, CommitAnswer::Duplicate),
        (-3, CommitAnswer::Conflict),
        (-4, CommitAnswer::Early),
    ];
    for (number, answer) in refusals {
        assert_eq!(read(&commit, number), answer);
    }
    assert!(super::answer(&commit, &Value::Int(-5)).is_err());
}
