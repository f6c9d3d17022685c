//! What an entry looks like in its stream, the same for every implementation.

use std::collections::BTreeMap;

use hemostat_event::{
    DeadLetter, Envelope, Event, EventId, HostName, Role, Source, Subject, Timestamp, codec,
};

use super::{Entry, EntryError, EntryRef};

/// The field that holds an event's stored form.
pub const FIELD_EVENT: &str = "event";
/// The field that holds its number in the partition's sequence, in decimal.
pub const FIELD_SEQ: &str = "seq";
/// The field that holds the position of the entry before it about the same container in the same stream.
pub const FIELD_PREV: &str = "prev";
/// The field that holds the id of the dead letter because of which the entry stands in its stream once more.
pub const FIELD_REDRIVE: &str = "redrive";
/// The field that holds the group for which it does; for others it is not there.
pub const FIELD_FOR: &str = "for";

/// Most bytes of an entry's fields as text. An event of the greatest size would not fit into a letter about
/// itself; the whole of it stays in its stream.
const TEXT_BYTES_MAX: usize = 256 * 1_024;

impl Entry {
    /// Reads the fields of the entry at `at`.
    #[must_use]
    pub fn read<N: AsRef<[u8]>, V: AsRef<[u8]>>(at: EntryRef, attempts: u32, fields: &[(N, V)]) -> Self {
        let field = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name.as_ref() == wanted.as_bytes());
            found.map(|(_, value)| value.as_ref())
        };
        let text = |wanted: &str| field(wanted).and_then(|value| std::str::from_utf8(value).ok());
        let seq = text(FIELD_SEQ).and_then(|number| number.parse().ok());
        // One that is not before it is of another life of the stream, or not ours.
        let prev = text(FIELD_PREV).and_then(|id| id.parse().ok()).filter(|prev| *prev < at.id);
        let redrive = text(FIELD_REDRIVE).and_then(|id| id.parse().ok());
        let event = match field(FIELD_EVENT) {
            Some(bytes) => codec::decode(bytes).map_err(EntryError::from),
            None => Err(EntryError::NoEvent),
        };
        let raw = if event.is_ok() { BTreeMap::new() } else { texts(fields) };
        Self { at, seq, prev, redrive, event, attempts, raw }
    }
}

/// Whether an entry with these fields is there for one group only, and `role` is another: it is acknowledged unseen.
#[must_use]
pub fn is_for_another<N: AsRef<[u8]>, V: AsRef<[u8]>>(role: Role, fields: &[(N, V)]) -> bool {
    let group = fields.iter().find(|(name, _)| name.as_ref() == FIELD_FOR.as_bytes());
    group.is_some_and(|(_, group)| group.as_ref() != role.as_str().as_bytes())
}

/// The `dead_letter` event about the entry at `at`, whose fields are `fields` (empty when it is no longer there).
/// Its id is a function of the position and the group, so that a repeated burial is known as one.
#[must_use]
pub fn letter_event<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    at: &EntryRef,
    fields: &[(N, V)],
    host: &HostName,
    source: &Source,
    mut letter: DeadLetter,
    now: Timestamp,
) -> Event {
    if !fields.is_empty() {
        letter.original = texts(fields);
    }
    let stream = Subject::new(host, &format!("{}:{}", at.partition.0, at.stream.event_type()))
        .expect("a number and the word of a type make a name");
    let entry = EventId::observed(
        &stream,
        letter.group,
        at.id.time(),
        usize::try_from(at.id.n).unwrap_or(usize::MAX),
    );
    let step = format!("dead_letter/{}/{}", at.stream, at.id);
    let envelope = Envelope {
        id: EventId::derive(letter.event.unwrap_or(entry), letter.group, &step, 0),
        source: source.clone(),
        time: now,
        host: host.clone(),
        subject: None,
        incident: letter.incident,
        cause: letter.event,
        traceparent: None,
    };
    Event { envelope, data: letter.into() }
}

/// The fields as texts, within a limit; what is cut says so.
fn texts<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> BTreeMap<String, String> {
    let mut room = TEXT_BYTES_MAX;
    let mut texts = BTreeMap::new();
    for (name, value) in fields {
        let name = text(name.as_ref(), &mut room);
        let value = text(value.as_ref(), &mut room);
        texts.insert(name, value);
    }
    texts
}

/// Text as it is, anything else in hexadecimal; no longer than there is `room`.
fn text(bytes: &[u8], room: &mut usize) -> String {
    let (mut text, fits) = match std::str::from_utf8(bytes) {
        Ok(text) => (text[..text.floor_char_boundary(*room)].to_owned(), text.len() <= *room),
        Err(_) => {
            let shown = bytes.len().min(*room / 2);
            let hex = bytes[..shown].iter().map(|byte| format!("{byte:02x}")).collect();
            (hex, shown == bytes.len())
        }
    };
    *room -= text.len();
    if !fits {
        *room = 0;
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    text
}

#[cfg(test)]
mod tests;
