//! What is written when a dead letter is handed to its group once more, the same for every implementation.

use hemostat_event::{
    Command, Data, DeadLetter, Envelope, Event, EventId, OperatorCommand, Role, Source, Subject, Timestamp,
    codec,
};

use super::{Entry, EntryId, FIELD_EVENT, StreamName};

/// What became of a request to hand a dead letter out once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redriven {
    /// The group is given the entry again.
    Handed {
        /// The number of the order.
        order: u64,
        /// The number of the entry, which follows it.
        entry: u64,
    },
    /// It was done before. If the entry has died again, there is another letter about it.
    Before,
    /// The group has acknowledged the event otherwise: it would take the entry for a repetition.
    DealtWith,
    /// There is nothing to hand out, and why.
    Nothing(&'static str),
}

/// What is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Redrive {
    /// The id of the letter.
    pub letter: EventId,
    /// The group that is given the entry again.
    pub group: Role,
    /// The stream it stands in.
    pub stream: StreamName,
    /// The container in whose order it stands.
    pub subject: Option<Subject>,
    /// The stored form of the event, as it stood.
    pub event: Vec<u8>,
    /// Key of the commit by which the group would have acknowledged the event.
    pub acknowledged: Option<EventId>,
    /// The order that stands before it.
    pub order: Event,
}

impl Redrive {
    /// Where the original entry of a letter stood; what is to be answered where it has none.
    ///
    /// # Errors
    /// When the letter is none, or about something that is no entry.
    pub fn original(letter: &Entry) -> Result<(StreamName, EntryId), Redriven> {
        let found = letter_of(letter)?;
        match (found.stream.parse(), found.entry.parse()) {
            (Ok(stream), Ok(id)) => Ok((stream, id)),
            _ => Err(Redriven::Nothing("it is about a deadline, which has no entry")),
        }
    }

    /// The redrive of a letter, on the order of `by`. `original` are the fields of the original entry, empty when it is
    /// not there any more; what the letter quotes of it is taken then.
    ///
    /// # Errors
    /// When there is nothing to hand out.
    pub fn of<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        letter: &Entry,
        original: &[(N, V)],
        by: &str,
        source: &Source,
        now: Timestamp,
    ) -> Result<Self, Redriven> {
        let (stream, _) = Self::original(letter)?;
        let found = letter_of(letter)?;
        let envelope = &letter.event.as_ref().map_err(|_no_event| NO_LETTER)?.envelope;
        let stored = original.iter().find(|(name, _)| name.as_ref() == FIELD_EVENT.as_bytes());
        let event = match stored {
            Some((_, bytes)) => bytes.as_ref().to_vec(),
            None => {
                found.original.get(FIELD_EVENT).map(|text| quoted_bytes(text)).ok_or(NO_EVENT)?.ok_or(GONE)?
            }
        };
        let read = codec::decode(&event).ok();
        let subject = read.as_ref().and_then(|event| event.envelope.subject.clone());
        let id = read.as_ref().map(|event| event.envelope.id);
        let order = Event {
            envelope: Envelope {
                id: EventId::derive(envelope.id, Role::Operator, "redrive", 0),
                source: source.clone(),
                time: now,
                host: envelope.host.clone(),
                subject: subject.clone().filter(|subject| subject.host() == envelope.host),
                incident: found.incident,
                cause: Some(envelope.id),
                traceparent: None,
            },
            data: Data::OperatorCommand(OperatorCommand {
                // What cannot be read has no id of its own.
                command: Command::Redrive { event: id.unwrap_or(envelope.id) },
                by: by.to_owned(),
            }),
        };
        let acknowledged = id.map(|id| last_key(id, found.group));
        Ok(Self { letter: envelope.id, group: found.group, stream, subject, event, acknowledged, order })
    }
}

/// The key of the last commit of `role` for an event, whatever it decides.
#[must_use]
pub fn last_key(event: EventId, role: Role) -> EventId {
    EventId::derive(event, role, "ack", 0)
}

const NO_LETTER: Redriven = Redriven::Nothing("there is no dead letter");
const NO_EVENT: Redriven = Redriven::Nothing("the entry has no field `event`");
const GONE: Redriven =
    Redriven::Nothing("the entry was trimmed away, and the letter quotes only a part of it");

fn letter_of(entry: &Entry) -> Result<&DeadLetter, Redriven> {
    match &entry.event {
        Ok(Event { data: Data::DeadLetter(letter), .. }) => Ok(letter),
        _ => Err(NO_LETTER),
    }
}

/// Reads the field of an entry as a letter quotes it: text where it was text, hexadecimal otherwise. No stored event is
/// text, it begins with a byte that no text begins with. Nothing where it was cut.
#[must_use]
pub fn quoted_bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if !digits.len().is_multiple_of(2) { None } else { digits.chunks(2).map(byte).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_letter_quotes_is_read_back_only_as_a_whole() {
        assert_eq!(quoted_bytes("84a0ff"), Some(vec![0x84, 0xa0, 0xff]));
        assert_eq!(quoted_bytes("84a0… (300 bytes)"), None);
        assert_eq!(quoted_bytes("84a"), None);
    }
}
