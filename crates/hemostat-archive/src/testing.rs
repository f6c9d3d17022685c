//! Entries and archives for the tests of this crate.

use hemostat_agent::log::{EntryId, FIELD_EVENT, FIELD_SEQ, StreamName};
use hemostat_event::{
    Command, Envelope, Event, EventId, HostName, IncidentId, OperatorCommand, Role, Source, Subject,
    Timestamp, codec,
};

use crate::record::Record;

/// Log time of entry 0, in milliseconds.
pub(crate) const START_MS: u64 = 1_700_000_000_000;

/// The container that entries of this number are about.
pub(crate) fn subject(seq: u64) -> Subject {
    format!("host/container-{}", seq % 7).parse().expect("a host and a name")
}

/// An order about a container, with the body that the number gives it.
pub(crate) fn event(seq: u64) -> Event {
    let time = Timestamp::from_millis(START_MS + seq * 10);
    let subject = subject(seq);
    let envelope = Envelope {
        id: EventId::observed(&subject, Role::Operator, time, 0),
        source: Source { role: Role::Operator, instance: "test".to_owned() },
        time,
        host: HostName::new("host").expect("a name"),
        incident: Some(IncidentId::opened(&subject, time)),
        subject: Some(subject),
        cause: None,
        traceparent: None,
    };
    let command = Command::Deny { plan: envelope.id, reason: format!("reason {}", seq * 7919) };
    Event { envelope, data: OperatorCommand { command, by: "somebody".to_owned() }.into() }
}

/// The entry with this number.
pub(crate) fn record(seq: u64) -> Record {
    let event = event(seq);
    let stream = StreamName::of(&event);
    let fields = [(FIELD_SEQ, seq.to_string().into_bytes()), (FIELD_EVENT, codec::encode(&event))];
    let salt = std::array::from_fn(|place| (seq.wrapping_mul(31) as u8).wrapping_add(place as u8));
    let id = EntryId { ms: START_MS + seq * 10, n: 0 };
    Record::read(stream, id, &fields, salt).expect("it has a number")
}
